"""The whole-number arithmetic of LiteRT's kernels, on real numbers that hold whole ones."""

from collections.abc import Callable
from typing import Literal

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from tfkit.keras_types import Tensor

# float, or one for each channel of the last axis.
Multiplier = float | NDArray[np.float64]
# How a kernel rounds sums: once, as XNNPACK; twice, the second time halves away from zero, or up; or by 15 bits of the
# multiplier. See `rounded_twice` and `rounded_coarsely`.
Kernel = Literal["once", "away", "up", "coarse"]
LARGEST_OF_16 = 32767  # a 16-bit grid is symmetric about zero
# Products of 32 bits by 31: float32 would put one in a hundred on another side of a half. JAX has none by default.
PRECISE = "float32" if keras.backend.backend() == "jax" else "float64"


def rounded_twice(numbers: Tensor, multiplier: Multiplier, *, divided_by: int = 1, upwards: bool = False) -> Tensor:
    """Whole numbers times a real one, as LiteRT's reference kernels give it back in whole numbers.

    A multiplier below one half is a number of 31 bits between one half and one, and a shift to the right. The product
    with the first is rounded, and the shift rounds again, halves away from zero: of a shift by two bits, one number
    in eight is one more than rounding once gives. XNNPACK's kernels round once; means of 16 bits, and what goes from
    16 bits to 8, it leaves to these.

    Source: `MultiplyByQuantizedMultiplier` of TensorFlow Lite's `kernels/internal/common.h`.

    Args:
        numbers: Of any shape and real type, whole.
        multiplier: Above 0, for all or for each channel of the last axis.
        divided_by: How many numbers a sum is made of, for a mean (`QuantizedMeanOrSum` of `reference/reduce.h`): the
            division is put into the multiplier, which may then be below one half, and the shift a bit shorter.
        upwards: Whether the shift rounds halves up and not away from zero, as the kernel of 4-bit convolutions does.

    Returns:
        float64 (float32 on JAX), the same shape, whole.

    Example:
        >>> float(rounded_twice([7.0], 0.2)[0])  # 1.4, which is 6 quarters, and those are rounded to 2
        2.0
    """
    mantissa, exponent = np.frexp(np.asarray(multiplier, np.float64))
    bits = np.minimum(divided_by.bit_length() - 1, 31 + exponent)
    whole = np.floor(np.round(mantissa * 2.0**31) * 2.0**bits / divided_by)
    exponent = exponent - bits
    factor, shift = (
        _constant(values) for values in (whole * 2.0 ** (np.maximum(exponent, 0) - 31), 2.0 ** np.minimum(exponent, 0))
    )
    once = ops.floor(ops.cast(numbers, PRECISE) * factor + 0.5)
    return ops.floor(once * shift + 0.5) if upwards else half_away(once * shift)


def _constant(values: NDArray[np.float64]) -> Tensor:
    return ops.convert_to_tensor(values, PRECISE)


def rounded_coarsely(numbers: Tensor, multiplier: Multiplier) -> Tensor:
    """Whole numbers of up to 48 bits times a real one, of which LiteRT takes the first 15 bits alone.

    Source: the `MultiplyByQuantizedMultiplier` for int64 of TensorFlow Lite's `kernels/internal/common.h`, which sums
    of products of 16 bits go through.

    Args:
        numbers: Of any shape and real type, whole.
        multiplier: Above 0, for all or for each channel of the last axis.

    Returns:
        As `rounded_twice`.

    Example:
        >>> float(rounded_coarsely([7.0], 0.2)[0])
        1.0
    """
    mantissa, exponent = np.frexp(np.asarray(multiplier, np.float64))
    short = np.minimum((np.round(mantissa * 2.0**31) + 2.0**15) // 2.0**16, 2.0**15 - 1)
    return ops.floor(ops.cast(numbers, PRECISE) * _constant(short * 2.0 ** (exponent - 15.0)) + 0.5)


def rounded_sums(sums: Tensor, counted: NDArray[np.float32], step: float, *, kernel: Kernel) -> Tensor:
    """Whole sums in steps of a result, not clipped, as a kernel rounds them.

    Args:
        sums: Whole numbers, the channels last.
        counted: What a sum counts in, for each channel or (1,); above 0.
        step: Width of a step of the result.
        kernel: How it rounds.

    Returns:
        float32, the same shape, whole.
    """
    if kernel == "once":
        return ops.round(ops.cast(sums, "float32") * ops.convert_to_tensor(counted / np.float32(step)))
    multiplier = counted.astype(np.float64) / step
    coarse = kernel == "coarse"
    rounded = rounded_coarsely(sums, multiplier) if coarse else rounded_twice(sums, multiplier, upwards=kernel == "up")
    return ops.cast(rounded, "float32")


def difference(first: Tensor, second: Tensor, *, steps: tuple[float, float, float]) -> Tensor:
    """The difference of two 16-bit tensors, as LiteRT's SUB gives it; see `sum_of_wide`.

    Args:
        first, second: Whole, in steps of their own.
        steps: Width of a step of the first, the second, and the result.

    Returns:
        Whole, in steps of the result; not clipped.

    Example:
        >>> float(difference(np.float64([3.0]), np.float64([1.0]), steps=(1.0, 1.0, 1.0))[0])
        2.0
    """
    return sum_of_wide(first, second, steps=steps, sign=-1)


def sum_of_wide(first: Tensor, second: Tensor, *, steps: tuple[float, float, float], sign: int = 1) -> Tensor:
    """The sum of two 16-bit tensors, as LiteRT's ADD gives it.

    Source: `PrepareGeneralSubOp` of TensorFlow Lite's `kernels/sub.cc`, and `Prepare` of `kernels/add.cc`: both are
    brought to a finer common step first.

    Args:
        first, second: Whole, in steps of their own.
        steps: Width of a step of the first, the second, and the result.
        sign: Of the second one.

    Returns:
        Whole, in steps of the result; not clipped.

    Example:
        >>> float(sum_of_wide(np.float64([3.0]), np.float64([1.0]), steps=(1.0, 1.0, 1.0))[0])
        4.0
    """
    finer, widest = 2.0**15, 2 * max(steps[:2])
    scaled = [
        rounded_twice(ops.cast(numbers, PRECISE) * finer, step / widest)
        for numbers, step in zip((first, second), steps[:2], strict=True)
    ]
    return rounded_twice(scaled[0] + sign * scaled[1], widest / (finer * steps[2]))


def step_width(low: float, high: float, *, bits: int) -> float:
    """Width of a step of a grid over a range that holds zero, as a file holds it: a float32 number.

    Args:
        low, high: The range.
        bits: 8, or 16: symmetric about zero.

    Example:
        >>> step_width(0.0, 255.0, bits=8)
        1.0
    """
    if bits == 16:
        return float(np.float32(max(-low, high)) / np.float32(LARGEST_OF_16))
    return float((np.float32(high) - np.float32(low)) / np.float32(2**bits - 1))


def straight_through(value: Tensor, rounded: Tensor) -> Tensor:
    """`rounded`, with the gradient of `value`: explanations ask a model for it when it predicts."""

    def passed(value: Tensor, rounded: Tensor) -> tuple[Tensor, Callable[..., tuple[Tensor, Tensor]]]:
        def gradient(*arguments: Tensor, upstream: Tensor | None = None) -> tuple[Tensor, Tensor]:
            upstream = arguments[0] if upstream is None else upstream
            return upstream, ops.zeros_like(upstream)

        return rounded, gradient

    return ops.custom_gradient(passed)(value, rounded)


def half_away(numbers: Tensor) -> Tensor:
    """The nearest whole numbers, halves away from zero.

    Example:
        >>> np.asarray(half_away(np.float32([0.5, -0.5, 0.4]))).tolist()
        [1.0, -1.0, 0.0]
    """
    return ops.sign(numbers) * ops.floor(ops.abs(numbers) + 0.5)
