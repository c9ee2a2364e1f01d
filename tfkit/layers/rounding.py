"""Round tensors to the steps of a quantised one, in plain operations."""

import keras
from keras import ops

from tfkit.keras_types import Tensor

WIDE_BITS = 16
# What is narrower is a tensor of zeros: all its units are dead. LiteRT has no such range, and one of width 1 does.
DEAD_WIDTH = 1e-9


def round_to_steps(
    inputs: Tensor,
    minimum: float | Tensor,
    maximum: float | Tensor,
    *,
    bits: int,
    fused: bool,
    symmetric: bool | None = None,
) -> Tensor:
    """Fake-quantise a tensor over a range; see `FakeQuantize`.

    Args:
        inputs: A float tensor.
        minimum, maximum: float32 scalars, or one for each channel of the last axis; the range is widened to hold 0.
        bits: 8, or 16 for a symmetric grid of `2 * 32767 + 1` steps.
        fused: TensorFlow's own op instead of plain operations; for scalars.
        symmetric: Whether the grid is symmetric about zero and has a step less; default for 16 bits.

    Returns:
        A tensor of the same shape and type. Its gradient passes where the input lies within the range.

    Example:
        >>> np.asarray(round_to_steps(np.float32([0.4, 0.6]), 0.0, 255.0, bits=8, fused=False)).tolist()
        [0.0, 1.0]
    """
    dtype = inputs.dtype
    low, high, narrow = _whole_range(minimum, maximum, bits=bits, symmetric=symmetric)
    if fused and keras.backend.backend() == "tensorflow":
        return keras.quantizers.fake_quant_with_min_max_vars(inputs, low, high, num_bits=bits, narrow_range=narrow)
    scale, _, clipped = _clipped(inputs, low, high, bits=bits, narrow=narrow)
    rounded = ops.floor(clipped * (1.0 / scale) + 0.5) * scale
    return ops.cast(clipped + ops.stop_gradient(rounded - clipped), dtype)


def round_means(
    inputs: Tensor, minimum: float | Tensor, maximum: float | Tensor, *, bits: int, averaged: int, upwards: bool = False
) -> Tensor:
    """Fake-quantise means of values that lie on the grid already, as LiteRT's integer kernels do.

    Average pooling adds up int8 numbers and divides, half a step going away from zero
    (`reference_integer_ops::AveragePool`). Its zero is the int8 number 0 and not the real 0: behind a ReLU, whose 0
    is -128, a tie below the middle of the range goes down. Bilinear upsampling rounds a tie up (XNNPACK's `ibilinear`
    adds half and shifts). Ties are frequent: of the means of four numbers, one in four.

    Args:
        inputs: Means of at most `averaged` values on the grid, or weighted ones of whole multiples of `1 / averaged`.
        minimum, maximum, bits: As for `round_to_steps`.
        averaged: How many values a mean is made of, at most.
        upwards: Whether ties go up, or away from the signed number 0.

    Returns:
        As `round_to_steps`.
    """
    low, high, narrow = _whole_range(minimum, maximum, bits=bits, symmetric=None)
    scale, zero_point, clipped = _clipped(inputs, low, high, bits=bits, narrow=narrow)
    middle = zero_point - 2.0 ** (bits - 1)  # of the signed numbers that a file has
    steps = clipped * (1.0 / scale) + middle
    # The mean was computed in float32: a tie is what is nearer to one than any other mean can be.
    half = 0.5 + 0.25 / averaged
    nearest = ops.floor(steps + half) if upwards else ops.sign(steps) * ops.floor(ops.abs(steps) + half)
    rounded = (nearest - middle) * scale
    return ops.cast(clipped + ops.stop_gradient(rounded - clipped), inputs.dtype)


def _whole_range(
    minimum: float | Tensor, maximum: float | Tensor, *, bits: int, symmetric: bool | None
) -> tuple[Tensor, Tensor, bool]:
    """The range with 0 in it, and whether it is symmetric."""
    narrow = bits == WIDE_BITS if symmetric is None else symmetric
    low, high = ops.minimum(ops.convert_to_tensor(minimum, "float32"), 0.0), ops.maximum(maximum, 0.0)
    high = ops.where(high - low < DEAD_WIDTH, 1.0, high)
    if narrow:
        high = ops.maximum(-low, high)
        low = -high
    return low, high, narrow


def _clipped(inputs: Tensor, low: Tensor, high: Tensor, *, bits: int, narrow: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Width of a step, which step is zero, and the tensor clipped to the first and the last one."""
    first, last = (1.0 if narrow else 0.0), float(2**bits - 1)
    scale = (high - low) / (last - first)
    zero_point = ops.clip(ops.floor(first - low / scale + 0.5), first, last)
    lowest, highest = (first - zero_point) * scale, (last - zero_point) * scale
    return scale, zero_point, ops.clip(ops.cast(inputs, "float32"), lowest, highest)
