"""The plain model a quantisation-aware one stands for: kernels on their grid, BatchNorm folded, roundings noted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.compression.folding_tables import AnswerTable, answer_table, plain_lookup, plain_positions
from tfkit.compression.operators import (
    affine,
    causal_padding,
    channel_affine,
    convolution,
    hard_sigmoid,
    layer_pads_causally,
    leaky_relu,
    on_output_channels,
    prelu,
    replaced_operator,
    scaled_pixels,
    told_apart,
)
from tfkit.compression.rules import (
    is_bounded,
    is_leading_scaling,
    is_tabulated,
    negative_slope_of,
    padding_value,
    runs_activation,
    treatment_of,
)
from tfkit.compression.scaling import composed_scaling
from tfkit.compression.sums import LARGEST_BIAS
from tfkit.errors import ModelError
from tfkit.graph import LayerGraph, Node, activation_name, build_model, read_graph
from tfkit.graph.building import Copy
from tfkit.keras_types import Tensor
from tfkit.layers import (
    SHARES,
    Add,
    AddPositions,
    CompressedKernel,
    FakeQuantize,
    MaskedMean,
    MatMul,
    PixelGrid,
    PreciseActivation,
    QuantizedLayerNormalization,
    SettledHardSigmoid,
    SettledHardSilu,
    Subtract,
    TokenIds,
    plain_class,
)
from tfkit.models import with_dtype_policy


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


@dataclass(frozen=True)
class TrainedKernel:
    """A kernel as it was trained.

    Attributes:
        layer: Its layer's name.
        steps: Whole numbers in the Keras layout, int8 in `-127..127` or `-7..7`; a negative BatchNorm scale has
            turned their signs. A table's are those of its file, `-128..127`.
        bits: 8 or 4.
        is_table: Whether it is a table of rows to look up, which a file holds as Keras does.
    """

    layer: str
    steps: NDArray[np.int8]
    bits: int
    is_table: bool = False


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


def fold(model: keras.Model) -> FoldedModel:
    """Fold a quantisation-aware model into the plain one that its file holds.

    BatchNorm goes into the kernel before it: the grid is per channel, so a channel's scale moves from the weights
    into their step width and the whole numbers stay as trained (Krishnamoorthi 2018,
    https://arxiv.org/abs/1806.08342, folds likewise, but trains on folded weights). A BatchNorm on its own becomes a
    1x1 depthwise convolution.

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
    folding = _Folding(read_graph(model))
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


class _Folding:
    def __init__(self, graph: LayerGraph) -> None:
        self.graph = graph
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
        layer = node.operation
        if isinstance(layer, PixelGrid):
            return self._pixels(layer, args[0])
        if isinstance(layer, FakeQuantize):
            if layer.per_channel:
                args = (
                    affine(args[0], layer.channel_ranges().astype(np.float64), np.zeros(1), name=f"{layer.name}_scale"),
                )
            rounding = _rounding_of(layer)
            source = node.inputs[0].node
            if source is not None and treatment_of(source) == "same_rounded":
                rounding = replace(rounding, name=_own_name(source))
            return self._rounded(args[0], rounding)
        if treatment_of(node) == "absent" or node.name in self._folded_away:
            return args[0]
        if is_leading_scaling(self.graph, node):
            return self._scaled(node, args[0])
        outputs = self._outputs(node, copy, args, kwargs)
        if node.name in self.float_layers:
            self.float_tensors.append(outputs)
        if treatment_of(node) == "activation" and any(args[0] is narrow for narrow in self.four_bit):
            self.four_bit.append(outputs)  # it runs inside the operator, whose output this is
        return outputs

    def _outputs(self, node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]) -> Tensor:
        layer, treatment = node.operation, treatment_of(node)
        if treatment == "kernel":
            return self._kernel(node, args[0])
        if isinstance(layer, QuantizedLayerNormalization):
            return self._layer_normalization(layer, args[0])
        if treatment == "affine":
            return self._affine(node, args[0])
        if node.name in self.float_layers:
            return copy()(*args, **kwargs)
        if treatment == "table":
            return self._table(node, args[0])
        if isinstance(layer, AddPositions):
            return plain_positions(layer, args[0])
        if isinstance(layer, MatMul) and layer.scale != 1.0:
            return self._scaled_product(node, args)
        if isinstance(layer, MaskedMean):
            return layer.steps(
                args[0],
                args[1],
                lambda step, value: self._with_range(value, _rounding_of(layer.quantizers[step])),
            )
        if treatment == "activation" and self._runs_inside(node) and is_bounded(node):
            return self._bounded_by_range(keras.layers.ReLU(name=node.name)(args[0]))
        if treatment == "activation" and not self._runs_inside(node):
            six = getattr(layer, "max_value", None) == 6 or activation_name(layer) == "relu6"
            function = "relu6" if six else "relu"
            outputs = self._moved(args[0], name=node.name, activation=function)
            return self._bounded_by_range(outputs) if is_bounded(node) else outputs
        if isinstance(layer, keras.layers.PReLU):
            return self._prelu(node, args[0])
        if is_tabulated(node):
            return self._tabulated(node, args)
        if treatment == "joined" or node.kind in ("Maximum", "Minimum"):
            args = (self._on_one_grid(node, args[0]), *args[1:])
        if negative_slope_of(layer) is not None:
            outputs, share = leaky_relu(layer, args[0], moved=self._on_one_grid(node, [args[0]])[0])
            self.joined.append((outputs, (share,)))
            return outputs
        if isinstance(layer, Add | Subtract):
            return plain_class(layer)(name=node.name)(*args)
        if isinstance(layer, PreciseActivation):
            return keras.layers.Activation(layer.activation, name=node.name)(*args)
        if isinstance(layer, SettledHardSilu):
            return keras.layers.Activation("hard_silu", name=node.name)(args[0])
        if activation_name(layer) == "hard_sigmoid":
            shift = layer.shift if isinstance(layer, SettledHardSigmoid) else 3.0
            one = self._told_apart(args[0], np.ones(1))
            outputs, sixfold = hard_sigmoid(args[0], one=one, shift=shift, name=node.name)
            self._with_range(sixfold, Rounding(f"{node.name}_sixfold", 0.0, 6.0, self.bits))
            return outputs
        return self._passed_on(node, copy, args, kwargs)

    def _bounded_by_range(self, tensor: Tensor) -> Tensor:
        """Note a tensor that nothing but the end of its own range keeps below a bound."""
        self._bounded.add(id(tensor))
        self._kept.append(tensor)
        return tensor

    def _prelu(self, node: Node, tensor: Tensor) -> Tensor:
        follower, own = self._next(node), self._ranges.get(id(tensor))
        above = self._moved(tensor, name=f"{node.name}_above", activation="relu")
        turned = self._told_apart(tensor, np.full(1, -1.0))
        outputs, below, share = prelu(node.operation, tensor, moved=above, turned=turned, name=node.name)
        if own is not None:
            step = (own.maximum - own.minimum) / (2**own.bits - 1)
            whole = own.maximum if own.bits == 16 else step * (2**own.bits - 1)
            self._with_range(below, Rounding(f"{node.name}_below", 0.0, whole, own.bits))
        if follower is not None and isinstance(follower.operation, FakeQuantize):
            target = _rounding_of(follower.operation)
            for tensor, name in ((above, "above"), (share, "share")):
                self._with_range(tensor, replace(target, name=f"{node.name}_{name}"))
        return outputs

    def _tabulated(self, node: Node, args: tuple[Tensor, ...]) -> Tensor:
        """A stand-in of one operator that has a range of its own; the file's exporter puts the table in its place."""
        tensor = next(argument for argument in args if isinstance(argument, keras.KerasTensor))
        own, follower = self._ranges.get(id(tensor)), self._next(node)
        if own is None or follower is None or not isinstance(follower.operation, FakeQuantize):
            raise ModelError(
                f"layer '{node.name}': a table of its answers needs an input and an output of 8 bits",
                hint=f"leave it in float: skip=['{node.name}']",
            )
        self.tables.append(answer_table(node, _range(own), follower.operation))
        takers = self.graph.consumers(node.inputs[0])
        if len(takers) > 1:  # the converter makes one operator of two that are alike
            tensor = self._with_range(
                self._moved(tensor, name=f"{node.name}_input"), replace(own, name=f"{node.name}_input")
            )
        return keras.ops.gelu(tensor, approximate=False)

    def _passed_on(self, node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]) -> Tensor:
        treatment = treatment_of(node)
        rounding = self._ranges.get(id(args[0]))
        if node.kind == "Pad" and padding_value(node) and rounding is not None:
            kwargs = {"constant_values": rounding.minimum}  # an integer has no infinity; the maximum is the same
            args = args[:1]
        outputs = replaced_operator(node.operation, args[0]) if treatment == "same" else None
        if node.kind == "Minimum":
            outputs = keras.ops.maximum(*args[0])
            self.smaller.append(_rounding_of(self._next(node).operation).name)  # type: ignore[union-attr]
        outputs = copy()(*args, **kwargs) if outputs is None else outputs
        if treatment == "same" and id(args[0]) in self._bounded:
            self._bounded_by_range(outputs)
        if treatment == "same" and rounding is not None:
            return self._with_range(outputs, rounding)
        if treatment == "same_rounded" and rounding is not None:
            return self._with_range(outputs, replace(rounding, name=_own_name(node)))
        if treatment == "joined":
            self.joined.append((outputs, tuple(args[0])))
        if treatment == "masked":
            self.joined.append((outputs, (args[0],)))
        return outputs

    def _scaled_product(self, node: Node, args: tuple[Tensor, ...]) -> Tensor:
        """A product on the grid that its scale turns into that of the scores, so that scaling rounds nothing."""
        scale = node.operation.scale
        product = keras.ops.matmul(*args)
        taker = self._next(node)
        if taker is not None and treatment_of(taker) == "masked":
            taker = self._next(taker)
        if taker is not None and isinstance(taker.operation, FakeQuantize):
            target = _rounding_of(taker.operation)
            low, high = target.minimum / scale, target.maximum / scale
            self._with_range(product, Rounding(f"{node.name}_unscaled", low, high, target.bits))
        return keras.ops.multiply(product, scale)

    def _table(self, node: Node, ids: Tensor) -> Tensor:
        follower = self._next(node)
        quantizer = follower.operation if follower is not None else None
        outputs, steps = plain_lookup(node.operation, quantizer if isinstance(quantizer, FakeQuantize) else None, ids)
        if steps is not None:
            self.kernels.append(TrainedKernel(node.name, steps, 8, is_table=True))
        return outputs

    def _on_one_grid(self, node: Node, tensors: list[Tensor]) -> list[Tensor]:
        """Put tensors that are on grids of their own on that of what they are joined to.

        XNNPACK's QUANTIZE from int8 to int8 multiplies by a number of 8 bits, a quarter of a step wrong at the ends of
        the range; a depthwise convolution by 1 does the same exactly.
        """
        follower = self._next(node)
        if follower is None or not isinstance(follower.operation, FakeQuantize):
            return tensors
        target = _rounding_of(follower.operation)
        on_grid: dict[int, Tensor] = {}  # one tensor may go in twice
        for number, tensor in enumerate(tensors):
            own = self._ranges.get(id(tensor))
            if id(tensor) in on_grid or own is None or _range(own) == _range(target):
                continue
            if self.bits != 8 and id(tensor) not in self._bounded:  # in 16 bits QUANTIZE is as good
                continue
            on_grid[id(tensor)] = self._moved(tensor, name=f"{node.name}_input{number}")
            self._with_range(on_grid[id(tensor)], replace(target, name=f"{target.name}_input{number}"))
        return [on_grid.get(id(tensor), tensor) for tensor in tensors]

    def _moved(self, tensor: Tensor, *, name: str, activation: str | None = None) -> Tensor:
        """A tensor as it is, by an operator of its own: on another grid, or with an activation.

        What stands behind its name tells the file's tensor from others that hold the same.
        """
        one = self._told_apart(tensor, np.ones(1))
        return affine(tensor, one, np.zeros(1), name=f"{name}_moved", activation=activation)

    def _affine(self, node: Node, tensor: Tensor) -> Tensor:
        scale, shift = channel_affine(node.operation, channels=int(node.output.shape[-1] or 1))
        return affine(tensor, self._told_apart(tensor, scale), shift, name=node.name)

    def _told_apart(self, tensor: Tensor, scale: NDArray[np.float64]) -> NDArray[np.float64]:
        key = id(tensor), np.broadcast_to(scale, int(tensor.shape[-1])).astype(np.float32).tobytes()
        self._scalings[key] += 1
        return told_apart(scale, number=self._scalings[key] - 1)

    def _rounded(self, tensor: Tensor, rounding: Rounding) -> Tensor:
        """A tensor of 16 bits that is rounded to eight for some takers is one tensor, on the range of the eight."""
        wide = self._ranges.get(id(tensor))
        if wide is not None and (wide.bits, rounding.bits) == (16, 8):
            self.roundings = [pair for pair in self.roundings if pair[1] is not tensor]
            rounding = replace(rounding, name=wide.name)
        return self._with_range(tensor, rounding)

    def _with_range(self, tensor: Tensor, rounding: Rounding) -> Tensor:
        self._ranges[id(tensor)] = rounding
        self._kept.append(tensor)
        self.roundings.append((rounding, tensor))
        return tensor

    def _pixels(self, grid: PixelGrid, tensor: Tensor) -> Tensor:
        if self.bits == 8:
            self.input = Rounding(grid.name, *grid.real_range, 8)
            return self._with_range(tensor, self.input)
        # LiteRT converts no uint8 into int16: the file takes raw pixels as float32, and scales them itself.
        self.input = Rounding(f"{grid.name}_raw", 0.0, 255.0, 16)
        self._with_range(tensor, self.input)
        scale, zero_point = np.full(1, grid.scale), grid.zero_point
        scaled = affine(tensor, scale, -scale * zero_point, name=grid.name)
        return self._with_range(scaled, Rounding(grid.name, *grid.real_range, 16))

    def _next(self, node: Node) -> Node | None:
        taker = self.graph.only_consumer(node.output)
        while taker is not None and treatment_of(taker) == "absent":
            taker = self.graph.only_consumer(taker.output)
        return taker

    def _runs_inside(self, node: Node) -> bool:
        source = node.inputs[0].node
        while source is not None and treatment_of(source) == "absent":
            source = source.inputs[0].node
        return source is not None and runs_activation(source) and self._next(source) is node

    def _scaled(self, node: Node, tensor: Tensor) -> Tensor:
        """Scaling alike for all channels is in the input's scale and zero point; else the last one does it all."""
        chain = [node.operation]
        source = node.inputs[0].node
        while source is not None:
            if source.kind in ("Rescaling", "Normalization", "ChannelOrder"):
                chain.insert(0, source.operation)
            source = source.inputs[0].node if source.inputs else None
        channels = int(node.output.shape[-1] or 1)
        follower = self._next(node)
        if follower is None or not isinstance(follower.operation, FakeQuantize):
            return tensor
        return scaled_pixels(tensor, *composed_scaling(chain, channels=channels), name=node.name)

    def _kernel(self, node: Node, tensor: Tensor) -> Tensor:
        layer = node.operation
        bits = layer.weight_bits if isinstance(layer, CompressedKernel) else None
        used = layer.effective_kernel() if isinstance(layer, CompressedKernel) else layer.kernel
        kernel = steps = np.asarray(keras.ops.convert_to_numpy(used), np.float64)
        if bits is not None:
            step = np.asarray(keras.ops.convert_to_numpy(layer.kernel_scale()), np.float64)
            steps = np.round(kernel / step)
            kernel = steps * step
        bias = np.asarray(keras.ops.convert_to_numpy(layer.bias), np.float64) if layer.use_bias else None
        follower = self._next(node)
        if follower is not None and treatment_of(follower) == "affine":
            scale, shift = channel_affine(follower.operation, channels=int(node.output.shape[-1] or 1))
            self._folded_away.add(follower.name)
            kernel = kernel * on_output_channels(scale, layer, kernel)
            steps = steps * on_output_channels(np.sign(scale), layer, kernel)
            bias = shift if bias is None else bias * scale + shift
        shares = _channel_ranges(follower)
        if shares is not None:
            kernel = kernel / on_output_channels(shares, layer, kernel)
            bias = None if bias is None else bias / shares
        if bits is not None:
            alive = on_output_channels(self._alive(layer, kernel, bias, tensor), layer, kernel)
            kernel = kernel * alive
            self.kernels.append(TrainedKernel(node.name, (steps * alive).astype(np.int8), bits))
        if layer_pads_causally(layer):
            rounding = self._ranges.get(id(tensor))
            tensor = causal_padding(layer, tensor, name=node.name)
            if rounding is not None:
                self._with_range(tensor, rounding)
        outputs = convolution(layer, kernel, bias, tensor, name=node.name)
        if shares is not None:
            self._with_range(outputs, Rounding(f"{node.name}_shares", *SHARES, 8))
        if bits == 4:
            self.four_bit.append(outputs)
        return outputs

    def _alive(
        self, layer: keras.Layer, kernel: NDArray[np.float64], bias: NDArray[np.float64] | None, tensor: Tensor
    ) -> NDArray[np.float64]:
        """1 for each channel, 0 for a dead one, whose weights are lost beside its bias.

        An int32 bias counts in steps of input times weights: weights a hundred-millionth of the bias leave it no
        room, and change nothing. Zeros do as well, on a wider grid.
        """
        rounding = self._ranges.get(id(tensor))
        largest = np.abs(kernel).max(axis=layer.reduced_axes).ravel()
        if bias is None or rounding is None:
            return np.ones(largest.shape)
        input_step = max(rounding.maximum - rounding.minimum, 1e-9) / 255
        return np.asarray(largest >= 127 * np.abs(bias) / (input_step * LARGEST_BIAS), np.float64)

    def _layer_normalization(self, layer: QuantizedLayerNormalization, tensor: Tensor) -> Tensor:
        normalized = layer.steps(
            tensor, lambda step, value: self._with_range(value, _rounding_of(layer.quantizers[step]))
        )
        if not layer.scale and not layer.center:
            return affine(normalized, np.ones(1), np.zeros(1), name=layer.name)
        return affine(normalized, *channel_affine(layer, channels=int(tensor.shape[-1])), name=layer.name)


def _channel_ranges(follower: Node | None) -> NDArray[np.float64] | None:
    """The ranges of a layer's channels where each is rounded by its own: the file holds shares of them."""
    quantizer = follower.operation if follower is not None else None
    if isinstance(quantizer, FakeQuantize) and quantizer.per_channel:
        return quantizer.channel_ranges().astype(np.float64)
    return None


def _own_name(pooling: Node) -> str:
    """What the rounding of an average pooling is called, though its input's quantiser does it."""
    return f"{pooling.name}_quantizer"


def _range(rounding: Rounding) -> tuple[float, float]:
    return rounding.minimum, rounding.maximum


def _rounding_of(quantizer: FakeQuantize) -> Rounding:
    if quantizer.fixed_range is not None:
        return Rounding(quantizer.name, *quantizer.fixed_range, quantizer.bits)
    return Rounding(quantizer.name, *quantizer.real_range(), quantizer.result_bits)
