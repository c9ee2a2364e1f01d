"""What the sums of an integer kernel count in."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfkit.graph import Node
from tfkit.layers import Kernel

# A bias further than this from zero, in steps of its sum, makes the file widen its kernel's grid. Three bits below
# int32's end: the quantiser may still widen the input's range for operators that share it.
LARGEST_BIAS = 2.0**28
NARROW_BITS = 8


@dataclass(frozen=True)
class Sums:
    """What the sums of an operator count in.

    Attributes:
        steps: float32, for each channel or all; 0: not known.
        kernel: How its kernel rounds them.
        shift: What it adds, where that is not a whole number of steps yet.
    """

    steps: NDArray[np.float32] | np.float32
    kernel: Kernel = "once"
    shift: NDArray[np.float64] | None = None


def weighted_sums(
    largest: NDArray[np.float64],
    step: float | None,
    *,
    bits: int = NARROW_BITS,
    kernel: Kernel = "once",
    shift: NDArray[np.float64] | None = None,
) -> Sums | None:
    """Sums that count in a step of the input times one of the weights.

    Args:
        largest: The largest weight of each channel.
        step: Of the input's grid; None: not known, and neither are the sums.
        bits: Of the weights.
        kernel: How the sums are rounded.
        shift: As for `Sums`.

    Returns:
        The sums.
    """
    if step is None:
        return None
    weight_steps = np.abs(largest).astype(np.float32) / np.float32(2 ** (bits - 1) - 1)
    return Sums(np.float32(step) * weight_steps, kernel=kernel, shift=shift)


def channels_of(node: Node) -> int:
    """Size of the last axis of what a call gives; 1 where it is not known."""
    return int(node.output.shape[-1] or 1)
