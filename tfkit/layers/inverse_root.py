"""The inverse root that an integer file computes."""

import numpy as np
from keras import ops
from numpy.typing import NDArray

from tfkit.keras_types import Tensor
from tfkit.layers.whole_numbers import LARGEST_OF_16, half_away

_Numbers = NDArray[np.floating] | np.floating
_SEGMENTS = 512  # over all of int16; those below zero are never asked for
_WIDTH = 128  # steps of the input in one of them


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
    table = _table(np.float32(input_step), np.float32(output_step))
    whole = ops.cast(steps, "int32")
    segment = ops.floor_divide(whole, _WIDTH) + _SEGMENTS // 2
    start, end = (ops.take(ops.convert_to_tensor(table), place) for place in (segment, segment + 1))
    change = ops.floor_divide((end - start) * (whole % _WIDTH) + _WIDTH // 2, _WIDTH)
    return ops.cast(start + change, steps.dtype)


def _table(input_step: np.float32, output_step: np.float32) -> NDArray[np.int32]:
    """The 513 entries for all of int16, computed in float32 in the kernel's order."""
    lowest, highest = (input_step * np.float32(end) for end in (-LARGEST_OF_16 - 1, LARGEST_OF_16))
    width = (highest - lowest) / np.float32(_SEGMENTS)
    scaling = np.float32(2 * LARGEST_OF_16 + 2) / (
        output_step * np.float32(LARGEST_OF_16) - output_step * np.float32(-LARGEST_OF_16 - 1)
    )
    places = lowest + np.arange(_SEGMENTS, dtype=np.float32) * width

    def root(values: _Numbers) -> _Numbers:
        roots = np.float32(1) / np.sqrt(np.where(values > 0, values, np.float32(1)))
        return np.where(values > 0, roots, output_step * np.float32(LARGEST_OF_16)) * scaling

    entries = _half_away(root(places))
    between = _half_away((root(places + width) + entries) / 2)
    moved = entries - _half_away((between - _half_away(root(places + width / 2))) / 2)
    kept = np.clip(np.append(moved, _half_away(root(highest))), -LARGEST_OF_16 - 1, LARGEST_OF_16)
    whole: NDArray[np.int32] = kept.astype(np.int32)
    return whole


def _half_away(values: _Numbers) -> _Numbers:
    rounded: _Numbers = np.sign(values) * np.floor(np.abs(values) + np.float32(0.5))
    return rounded
