"""The plain model that a quantisation-aware one stands for: kernels on their grid, BatchNorm folded, roundings noted."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.compression.input_grid import composed_scaling
from tfkit.compression.rules import is_leading_scaling, treatment_of
from tfkit.graph import LayerGraph, Node, build_model, read_graph
from tfkit.layers import CompressedKernel, FakeQuantize, PixelGrid, QuantizedLayerNormalization, plain_class

_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose)


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
        steps: Whole numbers in the Keras layout, int8 in `-127..127` or `-7..7`.
        bits: 8 or 4; None for a kernel left in float.
    """

    layer: str
    steps: NDArray[np.int8]
    bits: int | None


@dataclass(frozen=True)
class FoldedModel:
    """A plain float32 model with everything that an integer file of it needs to know.

    Attributes:
        model: It takes scaled pixels (n, height, width, channels), the values of the file's input tensor.
        input: The rounding of that input.
        roundings: The roundings with the tensors of `model` they apply to, in running order.
        joined: Each concatenation's tensor with the tensors that go into it: they share its scale.
        kernels: The trained kernels.
        float_layers: Layers the policy left in float.
    """

    model: keras.Model
    input: Rounding
    roundings: tuple[tuple[Rounding, Any], ...]
    joined: tuple[tuple[Any, tuple[Any, ...]], ...]
    kernels: tuple[TrainedKernel, ...]
    float_layers: tuple[str, ...]


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
    """
    folding = _Folding(read_graph(model))
    built = build_model(folding.graph, folding.call)
    return FoldedModel(
        built,
        folding.input,
        tuple(folding.roundings),
        tuple(folding.joined),
        tuple(folding.kernels),
        tuple(folding.float_layers),
    )


class _Folding:
    def __init__(self, graph: LayerGraph) -> None:
        self.graph = graph
        self.input = Rounding("pixel_grid", 0.0, 255.0, 8)
        self.roundings: list[tuple[Rounding, Any]] = []
        self.joined: list[tuple[Any, tuple[Any, ...]]] = []
        self.kernels: list[TrainedKernel] = []
        self.float_layers: list[str] = []
        self._ranges: dict[int, Rounding] = {}
        self._kept: list[Any] = []  # tensors are known by identity
        self._folded_away: set[str] = set()

    def call(self, node: Node, copy: Callable[[], Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        layer, treatment = node.operation, treatment_of(node)
        if isinstance(layer, PixelGrid):
            self.input = Rounding(layer.name, *layer.real_range, 8)
            return self._with_range(args[0], self.input)
        if isinstance(layer, FakeQuantize):
            return self._with_range(args[0], _rounding_of(layer))
        if treatment == "absent" or node.name in self._folded_away:
            return args[0]
        if is_leading_scaling(self.graph, node):
            return self._scaled(node, args[0])
        if isinstance(layer, CompressedKernel):
            return self._kernel(node, args[0])
        if isinstance(layer, QuantizedLayerNormalization):
            return self._layer_normalization(layer, args[0])
        if treatment == "affine":
            return affine(args[0], *channel_affine(layer), name=node.name)
        outputs = copy()(*args, **kwargs)
        if treatment in ("same", "same_rounded") and id(args[0]) in self._ranges:
            return self._with_range(outputs, self._ranges[id(args[0])])
        if treatment == "joined":
            self.joined.append((outputs, tuple(args[0])))
        return outputs

    def _with_range(self, tensor: Any, rounding: Rounding) -> Any:
        self._ranges[id(tensor)] = rounding
        self._kept.append(tensor)
        self.roundings.append((rounding, tensor))
        return tensor

    def _next(self, node: Node) -> Node | None:
        taker = self.graph.only_consumer(node.output)
        while taker is not None and treatment_of(taker) == "absent":
            taker = self.graph.only_consumer(taker.output)
        return taker

    def _scaled(self, node: Node, tensor: Any) -> Any:
        """Scaling alike for all channels is in the input's scale and zero point; else the last one does it all."""
        chain = [node.operation]
        source = node.inputs[0].node
        while source is not None:
            if source.kind in ("Rescaling", "Normalization"):
                chain.insert(0, source.operation)
            source = source.inputs[0].node if source.inputs else None
        channels = int(node.output.shape[-1] or 1)
        follower = self._next(node)
        if follower is None or not isinstance(follower.operation, FakeQuantize):
            return tensor
        return affine(tensor, *composed_scaling(chain, channels=channels), name=node.name)

    def _kernel(self, node: Node, tensor: Any) -> Any:
        layer = node.operation
        kernel = np.asarray(keras.ops.convert_to_numpy(layer.effective_kernel()), np.float64)
        step = np.asarray(keras.ops.convert_to_numpy(layer.kernel_scale()), np.float64)
        if layer.weight_bits is not None:
            steps = np.round(kernel / step)
            kernel = steps * step
            self.kernels.append(TrainedKernel(node.name, steps.astype(np.int8), layer.weight_bits))
        bias = np.asarray(keras.ops.convert_to_numpy(layer.bias), np.float64) if layer.use_bias else None
        follower = self._next(node)
        if follower is not None and treatment_of(follower) == "affine" and self._foldable(follower):
            scale, shift = channel_affine(follower.operation)
            self._folded_away.add(follower.name)
            kernel = kernel * _on_output_channels(scale, layer, kernel)
            bias = shift if bias is None else bias * scale + shift
        return _plain(layer, kernel, bias)(tensor)

    def _foldable(self, node: Node) -> bool:
        axis = getattr(node.operation, "axis", -1)
        return axis in (-1, len(node.output.shape) - 1)

    def _layer_normalization(self, layer: QuantizedLayerNormalization, tensor: Any) -> Any:
        normalized = layer.steps(
            tensor, lambda step, value: self._with_range(value, _rounding_of(layer.quantizers[step]))
        )
        return affine(normalized, *channel_affine(layer), name=layer.name)


def channel_affine(layer: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scale and shift for each channel of a BatchNorm as it infers, a LayerNorm's, or a LayerScale.

    Args:
        layer: The layer.

    Returns:
        (channels,) each.
    """

    def numbers(weight: Any, default: float, like: Any) -> NDArray[np.float64]:
        if weight is None:
            return np.full(tuple(like.shape), default)
        return np.asarray(keras.ops.convert_to_numpy(weight), np.float64)

    if isinstance(layer, keras.layers.Rescaling | keras.layers.Normalization):
        return composed_scaling([layer], channels=1)
    if not isinstance(layer, keras.layers.BatchNormalization):
        like = layer.gamma if layer.gamma is not None else layer.beta
        return numbers(layer.gamma, 1.0, like), numbers(getattr(layer, "beta", None), 0.0, like)
    gamma, beta = numbers(layer.gamma, 1.0, layer.moving_mean), numbers(layer.beta, 0.0, layer.moving_mean)
    scale = gamma / np.sqrt(numbers(layer.moving_variance, 1.0, layer.moving_mean) + layer.epsilon)
    return scale, beta - numbers(layer.moving_mean, 0.0, layer.moving_mean) * scale


def affine(tensor: Any, scale: NDArray[np.float64], shift: NDArray[np.float64], *, name: str) -> Any:
    """Scale and shift each channel with a 1x1 depthwise convolution, the operator that has per-channel int8 scales.

    Args:
        tensor: (n, ..., channels).
        scale, shift: (channels,) or (1,).
        name: For the layer.

    Returns:
        The scaled tensor.
    """
    channels = int(tensor.shape[-1])
    layer = keras.layers.DepthwiseConv2D(1, name=name)
    middle = tuple(tensor.shape[1:-1])
    spread = tensor
    if len(middle) != 2:
        spread = keras.layers.Reshape((int(np.prod(middle)) if middle else 1, 1, channels), name=f"{name}_spread")(tensor)
    outputs = layer(spread)
    kernel = np.broadcast_to(scale, (channels,)).reshape(1, 1, channels, 1)
    layer.set_weights([kernel.astype(np.float32), np.broadcast_to(shift, (channels,)).astype(np.float32)])
    return outputs if len(middle) == 2 else keras.layers.Reshape((*middle, channels), name=f"{name}_gathered")(outputs)


def _plain(layer: Any, kernel: NDArray[np.float64], bias: NDArray[np.float64] | None) -> Any:
    config = layer.get_config() | {"use_bias": bias is not None, "dtype": "float32"}
    for own in ("weight_bits", "masked"):
        config.pop(own)
    plain = plain_class(layer).from_config(config)  # type: ignore[attr-defined]
    plain.build(layer.input.shape if hasattr(layer, "input") else None)
    plain.set_weights([kernel.astype(np.float32)] + ([] if bias is None else [bias.astype(np.float32)]))
    return plain


def _on_output_channels(scale: NDArray[np.float64], layer: Any, kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    if isinstance(layer, _DEPTHWISE):
        return scale.reshape(kernel.shape[-2:])
    if isinstance(layer, _TRANSPOSED):
        return scale.reshape(-1, 1)
    return scale


def _rounding_of(quantizer: FakeQuantize) -> Rounding:
    if quantizer.fixed_range is not None:
        return Rounding(quantizer.name, *quantizer.fixed_range, quantizer.bits)
    low, high = (float(keras.ops.convert_to_numpy(end)) for end in (quantizer.minimum, quantizer.maximum))
    return Rounding(quantizer.name, min(low, 0.0), max(high, 0.0), quantizer.bits)
