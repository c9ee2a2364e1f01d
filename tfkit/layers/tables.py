"""What LiteRT's 16-bit kernels look up in tables, with straight lines between the entries.

Source: `LUTPopulateInt16` and `LUTLookup` of TensorFlow Lite's `kernels/internal/common.h`.
"""

from collections.abc import Callable

import numpy as np
from keras import ops
from numpy.typing import NDArray

from tfkit.keras_types import Tensor
from tfkit.layers.whole_numbers import LARGEST_OF_16, half_away, rounded_twice

_Numbers = NDArray[np.floating] | np.floating
_SEGMENTS = 512  # over all of int16; those below zero are never asked for
_WIDTH = 128  # steps of the input in one of them
_EXPONENT_STEP, _UNIT_STEP = np.float32(10 / 65535), np.float32(2 / 65535)


def tabulated_inverse_root(inputs: Tensor, *, input_step: Tensor, output_step: Tensor) -> Tensor:
    """`1 / sqrt(x)` as LiteRT's 16-bit kernel gives it: from a table, in straight lines between its entries.

    The table has an entry for each 128 steps of the input, moved by half of the error in the middle of a line. Where
    one position's variance is a hundred times that of the others, theirs lie before the first entries, and the
    kernel's answer is a fifth from the true one: a model that is to give the file's answers must compute so too.

    Source: `LUTPopulateInt16` and `LUTLookup` of TensorFlow Lite's `kernels/internal/common.h`.

    Args:
        inputs: float32, of 0 or more, multiples of `input_step`.
        input_step: float32 scalar above 0: the step of the 16-bit input.
        output_step: float32 scalar above 0: the step of the 16-bit output.

    Returns:
        The same shape, multiples of `output_step`, at most one of them from the kernel's. The gradient is the slope
        of the line.

    Example:
        >>> tabulated_inverse_root(np.float32([0.25]), input_step=1e-4, output_step=1e-4)  # doctest: +SKIP
        [2.0]
    """
    halves = np.arange(_SEGMENTS, 2 * _SEGMENTS + 1)  # the entries from zero on, and the middles between them
    places = (halves * (2 * LARGEST_OF_16 + 1) / (2 * _SEGMENTS) - (LARGEST_OF_16 + 1)).astype(np.float32)
    roots = ops.rsqrt(ops.maximum(ops.convert_to_tensor(places) * input_step, 1e-30)) / output_step
    roots = ops.where(ops.convert_to_tensor(places) > 0, roots, float(LARGEST_OF_16)) * (
        (2 * LARGEST_OF_16 + 2) / (2 * LARGEST_OF_16 + 1)
    )
    entries, middles = half_away(roots[::2]), half_away(roots[1::2])
    too_high = half_away((roots[2::2] + entries[:-1]) / 2) - middles
    moved = ops.concatenate([entries[:-1] - half_away(too_high / 2), entries[-1:]])
    table = ops.stop_gradient(ops.clip(moved, -LARGEST_OF_16 - 1, LARGEST_OF_16))
    steps = ops.clip(inputs / input_step, 0, LARGEST_OF_16)
    segment = ops.cast(ops.floor(ops.stop_gradient(ops.round(steps)) / _WIDTH), "int32")
    start = ops.take(table, segment)
    slope = ops.take(table, segment + 1) - start
    line = start + slope * (steps - _WIDTH * ops.cast(segment, steps.dtype)) / _WIDTH
    whole = ops.floor(line + 0.5)
    return (line + ops.stop_gradient(whole - line)) * output_step


def looked_up_inverse_root(steps: Tensor, *, input_step: float, output_step: float) -> Tensor:
    """`1 / sqrt(x)` as LiteRT's 16-bit kernel gives it, to the bit; without a gradient.

    Args:
        steps: Whole, 0 to 32767: the input in steps of its own.
        input_step: Above 0: the step of the 16-bit input.
        output_step: Above 0: the step of the 16-bit output.

    Returns:
        The same shape and type, whole: in steps of the output.
    """
    given, taken = np.float32(output_step), np.float32(input_step)

    def root(values: _Numbers) -> _Numbers:
        roots = np.float32(1) / np.sqrt(np.where(values > 0, values, np.float32(1)))
        return np.where(values > 0, roots, given * np.float32(LARGEST_OF_16))

    table = _table(root, taken * np.float32(-LARGEST_OF_16 - 1), taken * np.float32(LARGEST_OF_16), given)
    return ops.cast(_looked_up(table, ops.cast(steps, "int32")), steps.dtype)


def looked_up_softmax(steps: Tensor, *, input_step: float) -> Tensor:
    """The softmax over the last axis as LiteRT's 16-bit kernel gives it, to the bit; without a gradient.

    Both the exponential and the reciprocal of the sum of exponentials come from a table.

    Source: `SoftmaxInt16` of TensorFlow Lite's `kernels/internal/reference/softmax.h`.

    Args:
        steps: float, whole, -32768 to 32767: the scores in steps.
        input_step: Above 0: the step of the 16-bit scores.

    Returns:
        float32, the same shape, whole: in steps of 1/32768.

    Example:
        >>> np.asarray(looked_up_softmax(np.float32([[0.0, 0.0]]), input_step=1e-4)).tolist()
        [[16384.0, 16384.0]]
    """
    below = ops.cast(steps, "float32") - ops.max(ops.cast(steps, "float32"), axis=-1, keepdims=True)
    scaled = ops.cast(rounded_twice(below, input_step * 65535 / 10), "float32") + LARGEST_OF_16
    places = ops.cast(ops.clip(scaled, -LARGEST_OF_16 - 1, LARGEST_OF_16), "int32")
    exponentials = _looked_up(_exponentials(), places)
    total = ops.sum(exponentials, axis=-1, keepdims=True)
    # The sum is brought to 17 bits: its leading one, and 16 bits that the reciprocal is looked up by.
    leading = _leading_bit(total)
    doubled = ops.left_shift(total, 30 - leading)
    mantissa = ops.right_shift(ops.right_shift(doubled, 13) + 1, 1)
    place = ops.clip(mantissa - (2**15 + 2**16), -LARGEST_OF_16 - 1, LARGEST_OF_16)
    products = exponentials * _looked_up(_reciprocals(), place)
    halves = ops.right_shift(products, leading - 1) + 1
    return ops.cast(ops.clip(ops.right_shift(halves, 1), 0, LARGEST_OF_16), "float32")


def _leading_bit(numbers: Tensor) -> Tensor:
    """The place of the highest bit of int32 numbers above 0."""
    place = ops.zeros_like(numbers)
    for bits in (16, 8, 4, 2, 1):
        longer = ops.cast(ops.right_shift(numbers, place + bits) > 0, "int32")
        place = place + bits * longer
    return place


def _exponentials() -> NDArray[np.int32]:
    """exp(x) for x from -10 to 0, in steps of 1/32768."""
    return _table(np.exp, np.float32(-2 * LARGEST_OF_16 - 1) * _EXPONENT_STEP, np.float32(0), _UNIT_STEP)


def _reciprocals() -> NDArray[np.int32]:
    """1 / (1 + x) for x from 0 to 1, in steps of 1/32768."""
    return _table(lambda values: np.float32(1) / (np.float32(1) + values), np.float32(0), np.float32(1), _UNIT_STEP)


def _looked_up(table: NDArray[np.int32], steps: Tensor) -> Tensor:
    """int32 whole numbers of 16 bits in a table of 513 entries."""
    segment = ops.floor_divide(steps, _WIDTH) + _SEGMENTS // 2
    start, end = (ops.take(ops.convert_to_tensor(table), place) for place in (segment, segment + 1))
    return start + ops.floor_divide((end - start) * (steps % _WIDTH) + _WIDTH // 2, _WIDTH)


def _table(
    function: Callable[[_Numbers], _Numbers], lowest: np.float32, highest: np.float32, output_step: np.float32
) -> NDArray[np.int32]:
    """The 513 entries for all of int16, computed in float32 in the kernel's order."""
    width = (highest - lowest) / np.float32(_SEGMENTS)
    scaling = np.float32(2 * LARGEST_OF_16 + 2) / (
        output_step * np.float32(LARGEST_OF_16) - output_step * np.float32(-LARGEST_OF_16 - 1)
    )
    ends = lowest + np.arange(_SEGMENTS + 1, dtype=np.float32) * width
    places = ends[:-1]
    entries = _half_away(function(places) * scaling)
    between = _half_away((function(ends[1:]) * scaling + entries) / 2)
    moved = entries - _half_away((between - _half_away(function(places + width / 2) * scaling)) / 2)
    kept = np.clip(np.append(moved, _half_away(function(highest) * scaling)), -LARGEST_OF_16 - 1, LARGEST_OF_16)
    whole: NDArray[np.int32] = kept.astype(np.int32)
    return whole


def _half_away(values: _Numbers) -> _Numbers:
    rounded: _Numbers = np.sign(values) * np.floor(np.abs(values) + np.float32(0.5))
    return rounded
