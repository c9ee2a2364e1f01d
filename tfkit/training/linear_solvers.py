"""One Dense layer on fixed features, for one penalty: L-BFGS for classes and labels, ridge regression for numbers.

Features are scaled inside the kernel, not in memory: `x @ (w / scale) + (b - mean @ (w / scale))` is what a Dense layer
computes on features that had their mean taken away and were divided by their scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from tfkit.tasks import Task

Coefficients = NDArray[np.float64]  # (d + 1, k): the kernel on scaled features, below it the bias

_ITERATIONS, _MEMORY = 1000, 10
_ROWS = 4096  # of a chunk in float64


@dataclass(frozen=True, eq=False)
class Scaling:
    """What is taken from each feature and what it is divided by.

    Attributes:
        name: `common`: all features are divided by one number; `standard`: each by its own deviation.
        mean: float64 (d,).
        scale: float64 (d,), above 0.
    """

    name: str
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    def folded(self, coefficients: Coefficients) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Kernel (d, k) and bias (k,) of a Dense layer on features as they are."""
        kernel = coefficients[:-1] / self.scale[:, None]
        return kernel, coefficients[-1] - self.mean @ kernel


class Solver(Protocol):
    """The best coefficients for a penalty: half of it times the squared kernel is added to the mean loss."""

    def solve(self, penalty: float, start: Coefficients, *, tolerance: float) -> Coefficients:
        """Coefficients, from those of a stronger penalty on; `tolerance` is the largest gradient that is left."""
        ...


@dataclass(frozen=True, eq=False)
class LogisticSolver:
    """Softmax or sigmoid cross-entropy with L2, by SciPy's L-BFGS; products in float32, sums in float64.

    Attributes:
        values: float32 (n, d), features as they are.
        targets: float32 (n, k): rows that sum to 1, mixed or smoothed ones too; of labels each in [0, 1].
        weights: float32 (n,), what each row counts in the loss; None for 1.
        scaling: Of the features.
        exclusive: Whether a row has one class (softmax), not any of several labels (sigmoid).
    """

    values: NDArray[np.float32]
    targets: NDArray[np.float32]
    weights: NDArray[np.float32] | None
    scaling: Scaling
    exclusive: bool

    def solve(self, penalty: float, start: Coefficients, *, tolerance: float) -> Coefficients:
        options = {"maxiter": _ITERATIONS, "maxcor": _MEMORY, "gtol": tolerance, "ftol": 1e-10}
        found = minimize(
            self._loss_and_gradient, start.ravel(), args=(penalty,), jac=True, method="L-BFGS-B", options=options
        )
        return np.asarray(found.x, np.float64).reshape(start.shape)

    @cached_property
    def _logits(self) -> NDArray[np.float32]:
        """Room that every evaluation uses again."""
        return np.empty(self.targets.shape, np.float32)

    def _loss_and_gradient(self, flat: NDArray[np.float64], penalty: float) -> tuple[float, NDArray[np.float64]]:
        coefficients = flat.reshape(-1, self.targets.shape[1])
        kernel, bias = self.scaling.folded(coefficients)
        logits = np.matmul(self.values, kernel.astype(np.float32), out=self._logits)
        logits += bias.astype(np.float32)
        losses, residual = losses_and_scores(logits, self.targets, exclusive=self.exclusive)
        residual -= self.targets
        if self.weights is not None:
            losses *= self.weights
            residual *= self.weights[:, None]
        residual /= np.float32(len(residual))
        of_bias = residual.sum(axis=0, dtype=np.float64)
        of_kernel = (self.values.T @ residual - self.scaling.mean[:, None] * of_bias) / self.scaling.scale[:, None]
        inner = coefficients[:-1]
        loss = float(losses.mean(dtype=np.float64)) + 0.5 * penalty * float(np.vdot(inner, inner))
        return loss, np.vstack([of_kernel + penalty * inner, of_bias]).ravel()


@dataclass(frozen=True, eq=False)
class RidgeSolver:
    """Half the squared error of numbers with L2, in closed form: one eigendecomposition serves every penalty.

    Attributes:
        values: float32 (n, d), features as they are.
        targets: float32 (n, k), standardised numbers.
        scaling: Of the features.
    """

    values: NDArray[np.float32]
    targets: NDArray[np.float32]
    scaling: Scaling

    def solve(self, penalty: float, start: Coefficients, *, tolerance: float) -> Coefficients:
        variances, axes, products, offset = self._decomposed
        kernel = axes @ (products / (np.maximum(variances, 0) + penalty)[:, None])
        return np.vstack([kernel, offset])

    @cached_property
    def _decomposed(self) -> tuple[NDArray[np.float64], ...]:
        """Of the scaled features' covariance the eigenvalues and vectors, its products with targets, targets' mean."""
        count, width = self.values.shape
        offset = self.targets.mean(axis=0, dtype=np.float64)
        covariance, products = np.zeros((width, width)), np.zeros((width, len(offset)))
        for begin in range(0, count, _ROWS):
            rows = (self.values[begin : begin + _ROWS] - self.scaling.mean) / self.scaling.scale
            covariance += rows.T @ rows
            products += rows.T @ (self.targets[begin : begin + _ROWS] - offset)
        variances, axes = np.linalg.eigh(covariance / count)
        return variances, axes, axes.T @ products / count, offset


def losses_and_scores(
    logits: NDArray[np.float32], targets: NDArray[np.float32], *, exclusive: bool
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """The cross-entropy of each row, float64 (n,), and softmax or sigmoid, float32 (n, k).

    That of labels is summed over them, as if each had a model of its own. Logits of classes are moved in place.
    """
    if not exclusive:
        losses = (np.logaddexp(0, logits) - targets * logits).sum(axis=1, dtype=np.float64)
        return losses, np.asarray(expit(logits), np.float32)
    logits -= logits.max(axis=1, keepdims=True)
    scores = np.exp(logits)
    total = scores.sum(axis=1, keepdims=True)
    scores /= total
    losses = np.log(total[:, 0], dtype=np.float64) - np.einsum("nk,nk->n", logits, targets)
    return losses, scores


def solver_for(
    task: Task,
    values: NDArray[np.float32],
    targets: NDArray[np.float32],
    weights: NDArray[np.float32] | None,
    scaling: Scaling,
) -> Solver:
    """The solver of a task; arguments as of the two classes."""
    if task.gives_numbers:
        return RidgeSolver(values, targets, scaling)
    return LogisticSolver(values, targets, weights, scaling, exclusive=task.of_classes)
