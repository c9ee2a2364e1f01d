"""The chosen file's one look at the test split."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_Z95 = 1.959964


@dataclass(frozen=True)
class TestJudgement:
    """What the file that validation images chose does on test images, which chose nothing.

    Attributes:
        name: The candidate.
        examples: Test images.
        accuracy: The file's, a fraction.
        float_accuracy: The float model's on the same images.
        agreement: Share of images on which both put the same label on top.
        drop_low, drop_high: 95 % interval of what the file loses, fractions (`accuracy_drop_interval`).
        looks: How many files this search has run on the test images so far, this one included.
    """

    __test__ = False  # no test class, whatever its name begins with

    name: str
    examples: int
    accuracy: float
    float_accuracy: float
    agreement: float
    drop_low: float
    drop_high: float
    looks: int = 1

    @property
    def drop(self) -> float:
        """What the file loses on the test images, a fraction."""
        return self.float_accuracy - self.accuracy


def accuracy_drop_interval(float_right: NDArray[np.bool_], file_right: NDArray[np.bool_]) -> tuple[float, float]:
    """Where the accuracy lost lies with 95 % confidence, from answers to the same images.

    Args:
        float_right: bool (n,), whether the float model is right on each image.
        file_right: The same for the file.

    Returns:
        Lower and upper bound of (float accuracy - file accuracy), fractions in [-1, 1]: the interval for paired
        proportions of Agresti and Min, "Simple improved confidence intervals for comparing matched proportions",
        Statistics in Medicine 24 (2005), which adds half an image to each of the four cells.

    Example:
        >>> low, high = accuracy_drop_interval(np.ones(100, bool), np.arange(100) >= 2)
        >>> print(f"{low:.3f} {high:.3f}")
        -0.013 0.053
    """
    count = len(float_right) + 2
    lost = float(np.sum(float_right & ~file_right)) + 0.5
    won = float(np.sum(~float_right & file_right)) + 0.5
    middle = (lost - won) / count
    reach = _Z95 * math.sqrt(lost + won - (lost - won) ** 2 / count) / count
    return max(-1.0, middle - reach), min(1.0, middle + reach)
