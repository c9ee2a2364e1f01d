"""Integrated gradients: what each value of an input has added to a model's answer."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Values (m, *shape) -> the answer at each, float (m,), and its gradient in the values, (m, *shape).
Slope = Callable[[NDArray[np.float32]], tuple[NDArray[np.float64], NDArray[np.float64]]]

FEWEST_STEPS, MOST_STEPS = 16, 128


@dataclass(frozen=True, eq=False)
class Integral:
    """What a path from a baseline to an input has added up to.

    Attributes:
        contributions: float64, of the input's shape: what each value added.
        baseline: The answer at the baseline.
        answer: The answer at the input.
        steps: Points on the path that the gradient was taken at.

    Example:
        >>> square = lambda x: ((x**2).sum(axis=1), 2 * x)
        >>> abs(integrate_gradients(square, np.array([3.0, 1.0]), np.zeros(2)).gap) < 0.01
        True
    """

    contributions: NDArray[np.float64]
    baseline: float
    answer: float
    steps: int

    @property
    def gap(self) -> float:
        """What the contributions' sum misses of `answer - baseline`, as a share of all that they moved; 0 is exact."""
        missing = abs(float(self.contributions.sum()) - (self.answer - self.baseline))
        moved = float(np.abs(self.contributions).sum())
        return missing / moved if moved else float(missing > 0)


def integrate_gradients(
    slope: Slope,
    values: NDArray[np.float32],
    baseline: NDArray[np.float32],
    *,
    tolerance: float = 0.01,
    fewest_steps: int = FEWEST_STEPS,
    most_steps: int = MOST_STEPS,
) -> Integral:
    """Integrate a gradient along the straight line from a baseline to an input.

    Sundararajan, Taly and Yan 2017, "Axiomatic Attribution for Deep Networks" (arXiv:1703.01365). Each value's
    contribution is its distance from the baseline times the mean of its gradient on the way; together they add up to
    what the answer has changed by (completeness). That is measured, and the points on the path, which are those of
    Gauss and Legendre, are doubled until it holds.

    Args:
        slope: Gives the answers and gradients at m inputs, (m, *shape).
        values: The input, of any shape.
        baseline: Where the path begins, of the same shape: an input that says nothing.
        tolerance: The gap (see `Integral.gap`) that is small enough.
        fewest_steps: Points to begin with.
        most_steps: Points at most; a gap that is left by then is told, not hidden.

    Returns:
        The contributions, and what they should add up to.

    Example:
        >>> square = lambda x: ((x**2).sum(axis=1), 2 * x)
        >>> integrate_gradients(square, np.array([3.0, 1.0]), np.zeros(2)).contributions.round(2)
        array([9., 1.])
    """
    (start, answer), _ = slope(np.stack([baseline, values]))
    distance = values.astype(np.float64) - baseline
    steps = min(fewest_steps, most_steps)
    while True:
        points, weights = np.polynomial.legendre.leggauss(steps)
        path = baseline + ((points + 1) / 2).reshape(-1, *[1] * values.ndim) * distance
        _, gradients = slope(path.astype(np.float32))
        integral = Integral(distance * np.tensordot(weights / 2, gradients, 1), float(start), float(answer), steps)
        if integral.gap <= tolerance or steps == most_steps:
            return integral
        steps = min(2 * steps, most_steps)
