"""The whole-number arithmetic of LiteRT's kernels, on real numbers that hold whole ones."""

import math
from typing import Any

import keras
from keras import ops

LARGEST_OF_16 = 32767  # a 16-bit grid is symmetric about zero
# Products of 32 bits by 31: float32 would put one in a hundred on another side of a half. JAX has none by default.
PRECISE = "float32" if keras.backend.backend() == "jax" else "float64"


def rounded_twice(numbers: Any, multiplier: float, *, divided_by: int = 1) -> Any:
    """Whole numbers times a real one, as LiteRT's reference kernels give it back in whole numbers.

    A multiplier below one half is a number of 31 bits between one half and one, and a shift to the right. The product
    with the first is rounded, and the shift rounds again, halves away from zero: of a shift by two bits, one number
    in eight is one more than rounding once gives. XNNPACK's kernels round once; means of 16 bits, and what goes from
    16 bits to 8, it leaves to these.

    Source: `MultiplyByQuantizedMultiplier` of TensorFlow Lite's `kernels/internal/common.h`.

    Args:
        numbers: Of any shape and real type, whole.
        multiplier: Above 0.
        divided_by: How many numbers a sum is made of, for a mean (`QuantizedMeanOrSum` of `reference/reduce.h`): the
            division is put into the multiplier, which may then be below one half, and the shift a bit shorter.

    Returns:
        float64 (float32 on JAX), the same shape, whole.

    Example:
        >>> rounded_twice([7.0], 0.2)  # 1.4, which is 6 quarters, and those are rounded to 2  # doctest: +SKIP
        [2.0]
    """
    mantissa, exponent = math.frexp(multiplier)
    bits = min(divided_by.bit_length() - 1, 31 + exponent)
    whole = (round(mantissa * 2**31) << bits) // divided_by
    exponent -= bits
    once = ops.floor(ops.cast(numbers, PRECISE) * (whole * 2.0 ** (max(exponent, 0) - 31)) + 0.5)
    return half_away(once * 2.0 ** min(exponent, 0))


def rounded_coarsely(numbers: Any, multiplier: float) -> Any:
    """Whole numbers of up to 48 bits times a real one, of which LiteRT takes the first 15 bits alone.

    Source: the `MultiplyByQuantizedMultiplier` for int64 of TensorFlow Lite's `kernels/internal/common.h`, which sums
    of products of 16 bits go through.

    Args:
        numbers: Of any shape and real type, whole.
        multiplier: Above 0.

    Returns:
        As `rounded_twice`.
    """
    mantissa, exponent = math.frexp(multiplier)
    short = min((round(mantissa * 2**31) + 2**15) // 2**16, 2**15 - 1)
    return ops.floor(ops.cast(numbers, PRECISE) * (short * 2.0 ** (exponent - 15)) + 0.5)


def difference(first: Any, second: Any, *, steps: tuple[float, float, float]) -> Any:
    """The difference of two 16-bit tensors, as LiteRT's SUB gives it.

    Source: `PrepareGeneralSubOp` of TensorFlow Lite's `kernels/sub.cc`: both are brought to a finer common step first.

    Args:
        first, second: Whole, in steps of their own.
        steps: Width of a step of the first, the second, and the result.

    Returns:
        Whole, in steps of the result; not clipped.
    """
    finer, widest = 2.0**15, 2 * max(steps[:2])
    scaled = [
        rounded_twice(ops.cast(numbers, PRECISE) * finer, step / widest)
        for numbers, step in zip((first, second), steps[:2], strict=True)
    ]
    return rounded_twice(scaled[0] - scaled[1], widest / (finer * steps[2]))


def half_away(numbers: Any) -> Any:
    """The nearest whole numbers, halves away from zero."""
    return ops.sign(numbers) * ops.floor(ops.abs(numbers) + 0.5)
