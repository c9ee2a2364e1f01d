"""Normalisation: of batches, layers and groups, and LayerScale."""

from typing import TYPE_CHECKING

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.compression.folded import rounding_of
from tfkit.compression.kinds.affine import affine_sums, fold_affine, settle_shift
from tfkit.compression.kinds.counting import NARROW_BITS, Sums, weighted_sums
from tfkit.compression.kinds.kind import Bits, Fault, Kind, Splitting, Stripping, Training, named
from tfkit.compression.operators import affine, float32_of, numbers_of
from tfkit.graph import LayerCall, Node, copy_layer
from tfkit.keras_types import Tensor
from tfkit.layers import FakeQuantize, QuantizedLayerNormalization
from tfkit.layers.whole_numbers import step_width

if TYPE_CHECKING:
    from tfkit.compression.folded import Folding
    from tfkit.compression.neighbours import Neighbours, Summing


def _other_axis(axis: object) -> Fault:
    return Fault(f"it normalises over axis {axis}; the rule is for the last axis")


def _batch_fault(neighbours: "Neighbours", node: Node, bits: Bits) -> Fault | None:
    axis = node.operation.axis
    return None if axis in (-1, len(node.output.shape) - 1) else _other_axis(axis)


def _or(weight: keras.Variable | None, default: float, like: keras.Variable) -> NDArray[np.float64]:
    return np.full(tuple(like.shape), default) if weight is None else numbers_of(weight)


def _batch_affine(node: Node) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """As it infers."""
    layer, mean = node.operation, node.operation.moving_mean
    gamma, beta = _or(layer.gamma, 1.0, mean), _or(layer.beta, 0.0, mean)
    scale = gamma / np.sqrt(numbers_of(layer.moving_variance) + layer.epsilon)
    return scale, beta - numbers_of(mean) * scale


def _learned_affine(node: Node) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    layer = node.operation
    like = layer.gamma if layer.gamma is not None else layer.beta
    return _or(layer.gamma, 1.0, like), _or(getattr(layer, "beta", None), 0.0, like)


def _move_beta(layer: keras.Layer, by: NDArray[np.float64]) -> bool:
    if getattr(layer, "beta", None) is None:
        return False
    layer.beta.assign(keras.ops.convert_to_numpy(layer.beta) + by)
    return True


def _layer_fault(neighbours: "Neighbours", node: Node, bits: Bits) -> Fault | None:
    layer, rank = node.operation, len(node.output.shape)
    axes = layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]
    if list(axes) not in ([-1], [rank - 1]):
        return _other_axis(layer.axis)
    return Fault("it uses rms_scaling, for which there is no rule") if getattr(layer, "rms_scaling", False) else None


def _train_layer(training: Training, call: LayerCall) -> Tensor:
    node = call.node
    bits = 16 if training.has_16_bits(node.output) else training.bits
    layer = copy_layer(
        node.operation, name=node.name, kind=QuantizedLayerNormalization, bits=bits, fused=training.fused
    )
    outputs = layer(*call.args, **call.kwargs)
    for weight, value in zip(layer.weights, node.operation.get_weights(), strict=False):  # it has ranges besides
        weight.assign(value)
    return outputs


def _settle_layer(neighbours: "Neighbours", node: Node) -> bool:
    layer, source = node.operation, neighbours.quantizer_of(node.inputs[0])
    if not isinstance(layer, QuantizedLayerNormalization):
        return False
    if isinstance(source, FakeQuantize):
        layer.settle(source.real_range(), source.result_bits)
    if layer.beta is None:
        return False
    return settle_shift(neighbours, node, layer.quantizers["normalized"].step())


def _layer_sums(summing: "Summing", node: Node, quantizer: FakeQuantize) -> Sums | None:
    layer = node.operation
    if not isinstance(layer, QuantizedLayerNormalization):
        return None
    scale = _learned_affine(node)[0] if layer.scale or layer.center else np.ones(1)
    wide = layer.bits != NARROW_BITS
    sums = weighted_sums(scale, layer.quantizers["normalized"].step(), kernel="coarse" if wide else "once")
    taker = summing.taker(node.output)
    if not wide or layer.settled is None or sums is None or not np.all(sums.steps > 0):
        return sums
    if taker is None or taker.operation is not quantizer or quantizer.bits == NARROW_BITS:
        return sums
    ends = summing.range_of_narrowed(taker.output) or quantizer.real_range()
    step = step_width(*ends, bits=quantizer.bits)
    layer.settle_scale(np.asarray(sums.steps, np.float32), step)
    return Sums(np.float32(step))


def _fold_layer(folding: "Folding", call: LayerCall) -> Tensor:
    layer = call.node.operation
    if not isinstance(layer, QuantizedLayerNormalization):
        return call.copied()
    normalized = layer.steps(
        call.args[0], lambda step, value: folding.with_range(value, rounding_of(layer.quantizers[step]))
    )
    if not layer.scale and not layer.center:
        return affine(normalized, np.ones(1), np.zeros(1), name=layer.name)
    return affine(normalized, *_learned_affine(call.node), name=layer.name)


def _strip_layer(stripping: Stripping, call: LayerCall) -> Tensor | None:
    layer = call.node.operation
    if not isinstance(layer, QuantizedLayerNormalization):
        return None
    own = [np.asarray(keras.ops.convert_to_numpy(weight)) for weight in (layer.gamma, layer.beta) if weight is not None]
    return stripping.plain(call, without=("bits", "fused", "settled"), weights=own)


def _split_groups(splitting: Splitting, call: LayerCall) -> Tensor | None:
    shape = call.node.inputs[0].shape
    known = len(shape) == 4 and call.node.operation.axis in (-1, 3) and all(shape[1:])
    # One set of weights for several calls would become several.
    return _normalized_groups(call.node, call.args[0]) if known and not splitting.is_shared(call.node) else None


def _normalized_groups(node: Node, tensor: Tensor) -> Tensor:
    """A layer normalisation of each group as one row; scale and shift are a depthwise convolution's weights."""
    layer = node.operation
    height, width, channels = (int(size) for size in tensor.shape[1:])
    groups, places = layer.groups, height * width
    dtype = {"dtype": layer.dtype_policy}
    rows = keras.layers.Reshape((places, groups, channels // groups), name=f"{node.name}_grouped")(tensor)
    rows = keras.layers.Permute((2, 1, 3), name=f"{node.name}_turned")(rows)
    rows = keras.layers.Reshape((groups, places * channels // groups), name=f"{node.name}_rows")(rows)
    plain = {"scale": False, "center": False, "epsilon": layer.epsilon}
    rows = keras.layers.LayerNormalization(**plain, name=f"{node.name}_normalized", **dtype)(rows)
    rows = keras.layers.Reshape((groups, places, channels // groups), name=f"{node.name}_groups")(rows)
    rows = keras.layers.Permute((2, 1, 3), name=f"{node.name}_turned_back")(rows)
    maps = keras.layers.Reshape((height, width, channels), name=f"{node.name}_maps")(rows)
    if not layer.scale and not layer.center:
        return maps
    scaled = keras.layers.DepthwiseConv2D(1, use_bias=layer.center, name=node.name, trainable=layer.trainable, **dtype)
    outputs = scaled(maps)
    scale = float32_of(layer.gamma) if layer.scale else np.ones(channels, np.float32)
    scaled.set_weights([scale.reshape(1, 1, channels, 1), *([float32_of(layer.beta)] if layer.center else [])])
    return outputs


BATCH = Kind(
    covers=named("BatchNormalization"),
    treatment="affine",
    fault=_batch_fault,
    runs_activation=True,
    channel_affine=_batch_affine,
    move_shift=_move_beta,
    settle=settle_shift,
    sums=affine_sums,
    fold=fold_affine,
)
LAYER_SCALE = Kind(
    covers=named("LayerScale"),
    treatment="affine",
    runs_activation=True,
    channel_affine=_learned_affine,
    sums=affine_sums,
    fold=fold_affine,
)
LAYER = Kind(
    covers=lambda node: isinstance(node.operation, QuantizedLayerNormalization) or node.kind == "LayerNormalization",
    treatment="compute",
    reason="the values between its operators in 16 bits",
    fault=_layer_fault,
    runs_activation=True,
    channel_affine=_learned_affine,
    move_shift=_move_beta,
    train=_train_layer,
    settle=_settle_layer,
    sums=_layer_sums,
    wide_sums=True,
    fold=_fold_layer,
    strip=_strip_layer,
)
GROUP = Kind(covers=lambda node: type(node.operation) is keras.layers.GroupNormalization, split=_split_groups)
KINDS = (BATCH, LAYER_SCALE, LAYER, GROUP)
