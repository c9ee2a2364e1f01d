"""What layers that only scale do to each channel."""

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.layers import ChannelOrder

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
