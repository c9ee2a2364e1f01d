"""The plain model a quantisation-aware one stands for: kernels on their grid, BatchNorm folded, roundings noted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.compression.folded import AnswerTable, FoldedModel, Rounding, TrainedKernel, rounding_of
from tfkit.compression.kinds import LayerCall, kind_of
from tfkit.compression.neighbours import Neighbours
from tfkit.compression.operators import affine, told_apart
from tfkit.graph import LayerGraph, Node, build_model, read_graph
from tfkit.graph.building import Copy
from tfkit.keras_types import Tensor
from tfkit.layers import FakeQuantize, PixelGrid, TokenIds
from tfkit.models import with_dtype_policy


def fold(model: keras.Model) -> FoldedModel:
    """Fold a quantisation-aware model into the plain one that its file holds.

    BatchNorm goes into the kernel before it: the grid is per channel, so a channel's scale moves from the weights
    into their step width and the whole numbers stay as trained (Krishnamoorthi 2018,
    https://arxiv.org/abs/1806.08342, folds likewise, but trains on folded weights). A BatchNorm on its own becomes a
    1x1 depthwise convolution. What each kind of layer becomes stands in `tfkit.compression.kinds`.

    Args:
        model: What `quantize_aware` gave, trained.

    Returns:
        The folded model.

    Example:
        >>> folded = fold(student)
        >>> is_compressed(folded.model)
        False
    """
    if any(layer.compute_dtype != "float32" for layer in model.layers):
        model = with_dtype_policy(model, "float32")
    folding = Folding(read_graph(model))
    built = build_model(folding.graph, folding.call)
    return FoldedModel(
        built,
        folding.input,
        folding.bits,
        tuple(folding.roundings),
        tuple(folding.joined),
        tuple(folding.kernels),
        tuple(folding.four_bit),
        folding.float_layers,
        tuple(folding.float_tensors),
        tuple(folding.tables),
        tuple(folding.smaller),
    )


class Folding(Neighbours):
    """A model being folded: what is around its layers, and what was noted of the tensors made so far.

    Args:
        graph: Of a quantisation-aware model.

    Attributes:
        bits: Of activations, 8 or 16.
        input, roundings, joined, kernels, four_bit, float_layers, float_tensors, tables, smaller: As in `FoldedModel`.
    """

    def __init__(self, graph: LayerGraph) -> None:
        super().__init__(graph)
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
        self._ranges: dict[int, Rounding] = {}
        self._bounded: set[int] = set()
        self._kept: list[Tensor] = []  # tensors are known by identity
        self._folded_away: set[str] = set()
        self._scalings: Counter[tuple[int, bytes]] = Counter()  # of a tensor, by its identity, with one scale

    def call(
        self, node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]
    ) -> Tensor | Sequence[Tensor]:
        """What a layer becomes, as `build_model` asks."""
        kind = kind_of(node)
        if kind.treatment == "absent" or node.name in self._folded_away:
            return args[0]
        call = LayerCall(node, copy, args, kwargs)
        is_float = node.name in self.float_layers
        # A kernel in float has its BatchNorm folded too.
        copied = kind.fold is None or (is_float and kind.treatment not in ("kernel", "affine"))
        outputs = call.copied() if copied or kind.fold is None else kind.fold(self, call)
        if is_float:
            self.float_tensors.append(outputs)
        if kind.treatment == "activation" and any(args[0] is narrow for narrow in self.four_bit):
            self.four_bit.append(outputs)  # it runs inside the operator, whose output this is
        return outputs

    def fold_away(self, node: Node) -> None:
        """Say that a layer is part of the kernel before it."""
        self._folded_away.add(node.name)

    def runs_inside(self, node: Node) -> bool:
        """Whether an activation runs inside the operator before it."""
        source = self.source(node.inputs[0])
        return source is not None and kind_of(source).runs_activation and self.taker(source.output) is node

    def note_kernel(self, node: Node, steps: NDArray[np.int8], bits: int) -> None:
        """Note a trained kernel, in the Keras layout."""
        self.kernels.append(TrainedKernel(node.name, steps, bits, first_axes=kind_of(node).first_axes))

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
