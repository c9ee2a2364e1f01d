"""Layers that only scale: Rescaling, Normalization, and channels put in another order."""

from typing import TYPE_CHECKING

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.compression.kinds.affine import affine_sums, fold_affine, settle_shift
from tfkit.compression.kinds.counting import Sums, channels_of, weighted_sums
from tfkit.compression.kinds.kind import Bits, Fault, Kind, handed_on, named
from tfkit.compression.operators import affine
from tfkit.graph import LayerCall, Node
from tfkit.keras_types import Tensor
from tfkit.layers import ChannelOrder, FakeQuantize, PixelGrid

if TYPE_CHECKING:
    from tfkit.compression.folded import Folding
    from tfkit.compression.neighbours import Neighbours, Summing

_GREY_LEVELS = 256


def composed_scaling(
    layers: list[keras.Layer], *, channels: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[int, ...]]:
    """Scale, offset and order of channels of Rescaling, Normalization and ChannelOrder layers, one behind the other.

    Args:
        layers: In running order; none of which `scaling_fault` says anything of.
        channels: How many there are.

    Returns:
        (channels,) each: the layers give `scale * x[..., order] + offset`.

    Example:
        >>> scale, offset, order = composed_scaling([keras.layers.Rescaling(2.0, offset=-1.0)], channels=2)
        >>> scale.tolist(), offset.tolist()
        ([2.0, 2.0], [-1.0, -1.0])
    """
    scale, offset, order = np.ones(channels), np.zeros(channels), tuple(range(channels))
    for layer in layers:
        if isinstance(layer, ChannelOrder):
            taken = list(layer.order)
            scale, offset, order = scale[taken], offset[taken], tuple(order[channel] for channel in taken)
            continue
        own_scale, own_offset = (_of_channels(numbers) for numbers in _scale_and_offset(layer))
        scale, offset = scale * own_scale, offset * own_scale + own_offset
    return scale, offset, order


def scaling_fault(layer: keras.Layer, *, channels: int) -> str | None:
    """Why a Rescaling or Normalization layer is no scaling channel by channel; None for all that are.

    Args:
        layer: The layer.
        channels: Size of the last axis of what it takes.

    Example:
        >>> scaling_fault(keras.layers.Rescaling(1 / 255), channels=3)
    """
    for numbers in _scale_and_offset(layer):
        if np.ptp(numbers.reshape(-1, numbers.shape[-1] if numbers.ndim else 1), axis=0).any():
            return "it scales each place by numbers of its own; the rule is for one number, or one for each channel"
        if (count := _of_channels(numbers).size) not in (1, channels):
            return f"it scales {channels} channels by {count} numbers"
    return None


def holds_zero(scale: float, offset: float) -> bool:
    """Whether one of 256 grey levels stands for zero, to half a level: a quantised tensor has no range without it.

    Args:
        scale: Real value of one grey level.
        offset: Real value of a black pixel.

    Example:
        >>> holds_zero(1 / 255, 0.0), holds_zero(1 / 255, 0.5)
        (True, False)
    """
    return scale > 0 and -0.5 * scale <= -offset <= (_GREY_LEVELS - 0.5) * scale


def _of_channels(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    return numbers.reshape(-1, numbers.shape[-1])[0] if numbers.ndim else numbers.reshape(1)


def _scale_and_offset(layer: keras.Layer) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """As the layer holds them: numbers, or arrays that fit what it takes."""
    if isinstance(layer, keras.layers.Rescaling):
        return np.asarray(layer.scale, np.float64), np.asarray(layer.offset, np.float64)
    mean = np.asarray(keras.ops.convert_to_numpy(layer.mean), np.float64)
    deviation = np.sqrt(np.asarray(keras.ops.convert_to_numpy(layer.variance), np.float64))
    deviation = np.maximum(deviation, keras.config.epsilon())
    return (deviation, mean) if layer.invert else (1 / deviation, -mean / deviation)


def fold_leading(folding: "Folding", call: LayerCall) -> Tensor:
    """Scaling alike for all channels is in the input's scale and zero point; else the last one does it all."""
    node, tensor = call.node, call.args[0]
    chain = [node.operation]
    source = node.inputs[0].node
    while source is not None:
        if source.kind in _SCALING:
            chain.insert(0, source.operation)
        source = source.inputs[0].node if source.inputs else None
    follower = folding.taker(node.output)
    if follower is None or not isinstance(follower.operation, FakeQuantize):
        return tensor
    scale, shift, order = composed_scaling(chain, channels=channels_of(node))
    if order == tuple(range(len(order))):
        return affine(tensor, scale, shift, name=node.name)
    layer = keras.layers.Conv2D(len(order), 1, name=node.name)
    outputs = layer(tensor)
    kernel = np.zeros((1, 1, len(order), len(order)), np.float32)
    kernel[0, 0, list(order), range(len(order))] = scale
    layer.set_weights([kernel, shift.astype(np.float32)])
    return outputs


def _leading_sums(summing: "Summing", node: Node) -> Sums | None:
    """Of pixels scaled channel by channel, the last scaling given: one operator for all of them."""
    chain: list[keras.Layer] = []
    before: Node | None = node
    while before is not None and not isinstance(before.operation, PixelGrid):
        if summing.treatment(before) != "absent":
            chain.insert(0, before.operation)
        before = before.inputs[0].node
    scale, shift, _ = composed_scaling(chain, channels=channels_of(node))
    return weighted_sums(scale, before.operation.step() if before is not None else None, shift=shift)


def _scaling_sums(summing: "Summing", node: Node, quantizer: FakeQuantize) -> Sums | None:
    if summing.is_leading_scaling(node):
        return _leading_sums(summing, node)
    return affine_sums(summing, node, quantizer)


def _order_sums(summing: "Summing", node: Node, quantizer: FakeQuantize) -> Sums | None:
    return _leading_sums(summing, node) if summing.is_leading_scaling(node) else None


def _channel_affine(node: Node) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return composed_scaling([node.operation], channels=channels_of(node))[:2]


def _scaling_fault(neighbours: "Neighbours", node: Node, bits: Bits) -> Fault | None:
    reason = scaling_fault(node.operation, channels=channels_of(node))
    return None if reason is None else Fault(reason)


def _move_offset(layer: keras.Layer, by: NDArray[np.float64]) -> bool:
    layer.offset = (np.asarray(layer.offset, np.float64) + by).tolist()
    return True


def _settle_offset(neighbours: "Neighbours", node: Node) -> bool:
    return not neighbours.is_leading_scaling(node) and settle_shift(neighbours, node)


def _fold_scaling(folding: "Folding", call: LayerCall) -> Tensor:
    return fold_leading(folding, call) if folding.is_leading_scaling(call.node) else fold_affine(folding, call)


def _fold_order(folding: "Folding", call: LayerCall) -> Tensor:
    return fold_leading(folding, call) if folding.is_leading_scaling(call.node) else handed_on(folding, call)


_SCALING = ("Rescaling", "Normalization", "ChannelOrder")
RESCALING = Kind(
    covers=named("Rescaling"),
    treatment="affine",
    fault=_scaling_fault,
    runs_activation=True,
    scales_pixels=True,
    channel_affine=_channel_affine,
    move_shift=_move_offset,
    settle=_settle_offset,
    sums=_scaling_sums,
    fold=_fold_scaling,
)
NORMALIZATION = Kind(
    covers=named("Normalization"),
    treatment="affine",
    fault=_scaling_fault,
    runs_activation=True,
    scales_pixels=True,
    channel_affine=_channel_affine,
    sums=_scaling_sums,
    fold=_fold_scaling,
)
CHANNEL_ORDER = Kind(
    covers=named("ChannelOrder"), treatment="same", scales_pixels=True, sums=_order_sums, fold=_fold_order
)
KINDS = (RESCALING, NORMALIZATION, CHANNEL_ORDER)
