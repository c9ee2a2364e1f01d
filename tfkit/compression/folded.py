"""What a quantisation-aware model is folded into: a plain one, with what its integer file must know."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.compression.neighbours import KindAround, Neighbours
from tfkit.compression.operators import affine, told_apart
from tfkit.graph import LayerCall, LayerGraph, Node
from tfkit.keras_types import Tensor
from tfkit.layers import FakeQuantize, PixelGrid, TokenIds


@dataclass(frozen=True)
class Rounding:
    """One rounding of a quantisation-aware model.

    Attributes:
        name: The quantiser's name.
        minimum, maximum: Its range.
        bits: Its bits.
    """

    name: str
    minimum: float
    maximum: float
    bits: int

    @property
    def range(self) -> tuple[float, float]:
        """Lowest and highest."""
        return self.minimum, self.maximum


def rounding_of(quantizer: FakeQuantize) -> Rounding:
    """The rounding that a quantiser stands for."""
    if quantizer.fixed_range is not None:
        return Rounding(quantizer.name, *quantizer.fixed_range, quantizer.bits)
    return Rounding(quantizer.name, *quantizer.real_range(), quantizer.result_bits)


@dataclass(frozen=True)
class TrainedKernel:
    """A kernel as it was trained.

    Attributes:
        layer: Its layer's name.
        steps: Whole numbers in the Keras layout, int8 in `-127..127` or `-7..7`; a negative BatchNorm scale has
            turned their signs. A table's are those of its file, `-128..127`.
        bits: 8 or 4.
        is_table: Whether it is a table of rows to look up.
        first_axes: Which axes may come first in the file; None: it may lie there as in Keras.
    """

    layer: str
    steps: NDArray[np.int8]
    bits: int
    is_table: bool = False
    first_axes: tuple[int | None, ...] = (-1,)


@dataclass(frozen=True)
class AnswerTable:
    """What a file looks up in place of computing a function that LiteRT has no integer kernel for.

    Attributes:
        rounding: The name of the rounding of its output.
        answers: int8 (256,): the output's steps for the inputs -128 to 127.
    """

    rounding: str
    answers: NDArray[np.int8]


@dataclass(frozen=True)
class FoldedModel:
    """A plain float32 model with everything that an integer file of it needs to know.

    Attributes:
        model: It takes scaled pixels (n, height, width, channels), the values of the file's input tensor; raw ones
            when activations have 16 bits. Or token ids and their padding mask.
        input: The rounding of that input; None for token ids, which are not rounded.
        activation_bits: 8 or 16.
        roundings: The roundings with the tensors of `model` they apply to, in running order.
        joined: Each concatenation's tensor with the tensors that go into it: they share its scale.
        kernels: The trained kernels, those left in float aside.
        four_bit: The tensors that operators with a 4-bit kernel write.
        float_layers: Layers the policy left in float, and those that run inside them.
        float_tensors: The tensors they write.
        tables: For functions without an integer kernel, in whose place `model` has a GELU.
        smaller: The roundings of what is the smaller of two tensors, in whose place `model` has the larger one.
    """

    model: keras.Model
    input: Rounding | None
    activation_bits: int
    roundings: tuple[tuple[Rounding, Tensor], ...]
    joined: tuple[tuple[Tensor, tuple[Tensor, ...]], ...]
    kernels: tuple[TrainedKernel, ...]
    four_bit: tuple[Tensor, ...]
    float_layers: tuple[str, ...]
    float_tensors: tuple[Tensor, ...]
    tables: tuple[AnswerTable, ...] = ()
    smaller: tuple[str, ...] = ()


class Folding(Neighbours):
    """A model being folded: what is around its layers, and what was noted of the tensors made so far.

    Args:
        graph: Of a quantisation-aware model.
        kind_of: Gives each layer's kind.

    Attributes:
        bits: Of activations, 8 or 16.
        input, roundings, joined, kernels, four_bit, float_layers, float_tensors, tables, smaller: As in `FoldedModel`.
        folded_away: The names of the layers that are part of the kernel before them.
    """

    def __init__(self, graph: LayerGraph, kind_of: Callable[[Node], KindAround]) -> None:
        super().__init__(graph, kind_of)
        quantizers = [node.operation for node in graph.nodes if isinstance(node.operation, FakeQuantize)]
        grids = [node.operation for node in graph.nodes if isinstance(node.operation, PixelGrid | TokenIds)]
        self.bits = min((quantizer.bits for quantizer in quantizers), default=8)
        tokens = any(isinstance(grid, TokenIds) for grid in grids)
        self.input = None if tokens else Rounding("pixel_grid", 0.0, 255.0, self.bits)
        self.roundings: list[tuple[Rounding, Tensor]] = []
        self.joined: list[tuple[Tensor, tuple[Tensor, ...]]] = []
        self.kernels: list[TrainedKernel] = []
        self.four_bit: list[Tensor] = []
        self.float_layers = tuple(dict.fromkeys(name for grid in grids for name in grid.float_layers))
        self.float_tensors: list[Tensor] = []
        self.tables: list[AnswerTable] = []
        self.smaller: list[str] = []
        self.folded_away: set[str] = set()
        self._ranges: dict[int, Rounding] = {}
        self._bounded: set[int] = set()
        self._kept: list[Tensor] = []  # tensors are known by identity
        self._scalings: Counter[tuple[int, bytes]] = Counter()  # of a tensor, by its identity, with one scale

    def fold_away(self, node: Node) -> None:
        """Say that a layer is part of the kernel before it."""
        self.folded_away.add(node.name)

    def runs_inside(self, node: Node) -> bool:
        """Whether an activation runs inside the operator before it."""
        source = self.source(node.inputs[0])
        return source is not None and self.kind_of(source).runs_activation and self.taker(source.output) is node

    def note_kernel(self, node: Node, steps: NDArray[np.int8], bits: int) -> None:
        """Note a trained kernel, in the Keras layout."""
        self.kernels.append(TrainedKernel(node.name, steps, bits, first_axes=self.kind_of(node).first_axes))

    def range_of(self, tensor: Tensor) -> Rounding | None:
        """The rounding that was noted of a tensor."""
        return self._ranges.get(id(tensor))

    def with_range(self, tensor: Tensor, rounding: Rounding) -> Tensor:
        """Note a rounding of a tensor; gives the tensor."""
        self._ranges[id(tensor)] = rounding
        self._kept.append(tensor)
        self.roundings.append((rounding, tensor))
        return tensor

    def rounded(self, tensor: Tensor, rounding: Rounding) -> Tensor:
        """A tensor of 16 bits that is rounded to eight for some takers is one tensor, on the range of the eight."""
        wide = self.range_of(tensor)
        if wide is not None and (wide.bits, rounding.bits) == (16, 8):
            self.roundings = [pair for pair in self.roundings if pair[1] is not tensor]
            rounding = replace(rounding, name=wide.name)
        return self.with_range(tensor, rounding)

    def bounded_by_range(self, tensor: Tensor) -> Tensor:
        """Note a tensor that nothing but the end of its own range keeps below a bound; gives the tensor."""
        self._bounded.add(id(tensor))
        self._kept.append(tensor)
        return tensor

    def hand_on(self, call: LayerCall, outputs: Tensor) -> Tensor:
        """Note that what a layer gives lies on its input's grid; gives it."""
        taken = call.args[0]
        if id(taken) in self._bounded:
            self.bounded_by_range(outputs)
        rounding = self.range_of(taken)
        return outputs if rounding is None else self.with_range(outputs, rounding)

    def hand_on_means(self, call: LayerCall, outputs: Tensor) -> Tensor:
        """Note that what a layer gives is rounded to its input's grid; gives it."""
        rounding = self.range_of(call.args[0])
        if rounding is None:
            return outputs
        return self.with_range(outputs, replace(rounding, name=self.name_of_means(call.node)))

    @staticmethod
    def name_of_means(node: Node) -> str:
        """What the rounding of an average pooling is called, though its input's quantiser does it."""
        return f"{node.name}_quantizer"

    def on_one_grid(self, node: Node, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Put tensors that are on grids of their own on that of what they are joined to.

        XNNPACK's QUANTIZE from int8 to int8 multiplies by a number of 8 bits, a quarter of a step wrong at the ends of
        the range; a depthwise convolution by 1 does the same exactly.

        Args:
            node: The call of what joins them.
            tensors: What goes into it.

        Returns:
            The tensors, moved where they must be.
        """
        follower = self.taker(node.output)
        if follower is None or not isinstance(follower.operation, FakeQuantize):
            return list(tensors)
        target = rounding_of(follower.operation)
        on_grid: dict[int, Tensor] = {}  # one tensor may go in twice
        for number, tensor in enumerate(tensors):
            own = self.range_of(tensor)
            if id(tensor) in on_grid or own is None or own.range == target.range:
                continue
            if self.bits != 8 and id(tensor) not in self._bounded:  # in 16 bits QUANTIZE is as good
                continue
            on_grid[id(tensor)] = self.moved(tensor, name=f"{node.name}_input{number}")
            self.with_range(on_grid[id(tensor)], replace(target, name=f"{target.name}_input{number}"))
        return [on_grid.get(id(tensor), tensor) for tensor in tensors]

    def moved(self, tensor: Tensor, *, name: str, activation: str | None = None) -> Tensor:
        """A tensor as it is, by an operator of its own: on another grid, or with an activation.

        What stands behind its name tells the file's tensor from others that hold the same.

        Args:
            tensor: (n, ..., channels).
            name: For the layer.
            activation: What the operator shall run behind it.

        Returns:
            The tensor.
        """
        one = self.told_apart(tensor, np.ones(1))
        return affine(tensor, one, np.zeros(1), name=f"{name}_moved", activation=activation)

    def told_apart(self, tensor: Tensor, scale: NDArray[np.float64]) -> NDArray[np.float64]:
        """A scale of a tensor, of which the converter makes another operator than of an equal one."""
        key = id(tensor), np.broadcast_to(scale, int(tensor.shape[-1])).astype(np.float32).tobytes()
        self._scalings[key] += 1
        return told_apart(scale, number=self._scalings[key] - 1)
