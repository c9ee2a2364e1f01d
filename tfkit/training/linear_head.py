"""A Dense layer fitted to features; its penalty and their scale are chosen on examples that it does not learn from.

Penalties go from strong to weak, each fit beginning where the one before ended, until the held-out examples have not
been answered better, nor with a lower loss, for two in a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from tfkit.data.targets import strata
from tfkit.errors import TrainingError
from tfkit.tasks import PLAIN, Task
from tfkit.training.linear_solvers import Coefficients, Scaling, Solver, losses_and_scores, solver_for

if TYPE_CHECKING:
    from tfkit.training.features import Features

HELD_OUT = 0.2  # of the training examples, where there are no validation examples

_STRONGEST, _WEAKEST = -1, -8  # powers of ten, for features whose squares sum to 1 on average
_ENOUGH = 2  # penalties in a row without a better answer
_ROUGH, _EXACT = 1e-4, 3e-5  # the largest gradient left: while choosing, as scikit-learn does; and at the end
_LEAST_DEVIATION = 0.1  # of the features' common one: a feature that hardly varies would get weights too large for int8
_ROWS = 4096  # of a chunk in float64
_SMALL = 5e9  # multiplications of one evaluation, below which threads wait for each other longer than they compute


@dataclass(frozen=True)
class Fit:
    """One penalty that was tried.

    Attributes:
        scaling: `common` (all features divided by one number) or `standard` (each by its own deviation).
        penalty: Weight of half the squared kernel on scaled features, beside the mean loss.
        figures: `loss` and the task's deciding figure on the learned examples, the same with `val_` on those held out.
    """

    scaling: Literal["common", "standard"]
    penalty: float
    figures: dict[str, float]


@dataclass(frozen=True, eq=False)
class LinearHead:
    """A fitted Dense layer.

    Attributes:
        kernel: float32 (d, k), for features as they are.
        bias: float32 (k,).
        chosen: The fit that was chosen.
        fits: All fits, in the order they were tried.
    """

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]
    chosen: Fit
    fits: tuple[Fit, ...]

    def path(self) -> tuple[Fit, ...]:
        """The fits with the chosen scaling from the strongest penalty to the chosen one."""
        near = [fit for fit in self.fits if fit.scaling == self.chosen.scaling and fit.penalty >= self.chosen.penalty]
        return tuple(sorted(near, key=lambda fit: -fit.penalty))


@dataclass(frozen=True, eq=False, kw_only=True)
class LinearTask:
    """What a Dense layer is asked for.

    Attributes:
        task: Classes, labels or numbers.
        label_smoothing: Share of a target spread over all classes, in [0, 1).
        class_weight: Weight by class number; None when all weigh the same.
        means: Of numbers: what the layer's outputs are moved by, float (k,).
        deviations: Of numbers: what they are multiplied by before, float (k,).
    """

    task: Task
    label_smoothing: float = 0.0
    class_weight: dict[int, float] | None = None
    means: NDArray[np.float32] = field(default_factory=lambda: np.zeros(1, np.float32))
    deviations: NDArray[np.float32] = field(default_factory=lambda: np.ones(1, np.float32))

    def learned(self, targets: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the layer's outputs are to be: smoothed targets, or standardised numbers."""
        if self.task.gives_numbers:
            return np.asarray((targets - self.means) / self.deviations, np.float32)
        if not self.label_smoothing:
            return targets
        share = 1 / targets.shape[1] if self.task.of_classes else 0.5
        return np.asarray(targets * (1 - self.label_smoothing) + share * self.label_smoothing, np.float32)

    def weights(self, targets: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """What each row counts: the weight of its largest target's class, as Keras's `fit` does."""
        if self.class_weight is None:
            return None
        of_class = np.array([self.class_weight[number] for number in range(targets.shape[1])], np.float32)
        return np.asarray(of_class[targets.argmax(axis=1)])

    def figures(self, outputs: NDArray[np.float32], targets: NDArray[np.float32]) -> dict[str, float]:
        """The loss and the task's deciding figure."""
        if self.task.gives_numbers:
            loss = float(np.square(outputs - self.learned(targets)).mean(dtype=np.float64))
            given = np.asarray(outputs * self.deviations + self.means, np.float32)
            labels: NDArray[np.generic] = targets
        else:
            exclusive = self.task.of_classes
            losses, given = losses_and_scores(outputs, targets, exclusive=exclusive)
            loss = float(losses.mean()) / (1 if exclusive else targets.shape[1])  # as Keras: the mean over the labels
            labels = self.task.targets.of_dense(targets)
        quality = self.task.quality(labels, given, PLAIN)
        return {"loss": loss, quality.metric: quality.value}


def held_out_share(labels: NDArray[np.generic], *, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions to learn from while the penalty is chosen, and a fifth of every class to choose on.

    Args:
        labels: As of `tfkit.data.targets`.
        seed: The same seed holds out the same examples.

    Returns:
        Both ascending. A class's only example is learned from.

    Example:
        >>> kept, held_out = held_out_share(np.repeat([0, 1], 10), seed=0)
        >>> len(kept), len(held_out)
        (16, 4)
    """
    groups, draw = strata(labels), np.random.default_rng(seed)
    chosen = np.zeros(len(labels), bool)
    for group in range(int(groups.max(initial=-1)) + 1):
        members = draw.permutation(np.flatnonzero(groups == group))
        chosen[members[: min(max(1, round(HELD_OUT * len(members))), len(members) - 1)]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def fit_linear_head(
    seen: Features,
    held_out: Features,
    asked: LinearTask,
    *,
    everything: Features | None = None,
    tell: Callable[[int, Fit], None] = lambda number, fit: None,
) -> LinearHead:
    """Fit a Dense layer, and choose its penalty and the features' scale.

    Of each scale the fit with the best deciding figure is taken; figures no further apart than one standard error
    count as equal, and of those the lowest loss decides. `standard` scaling must be better by more than that.

    Args:
        seen: What is learned from.
        held_out: What is chosen on.
        asked: What the layer is asked for.
        everything: What is learned from once all is chosen; None for `seen`.
        tell: Called after each fit with its number, from 1, and what it came to.

    Returns:
        The layer. The same arguments give the same bits on one machine.

    Raises:
        TrainingError: When features are no finite numbers.

    Example:
        >>> draw = np.random.default_rng(0)
        >>> values = draw.normal(size=(60, 4)).astype(np.float32)
        >>> features = Features(values, np.eye(2, dtype=np.float32)[(values[:, 0] > 0).astype(int)])
        >>> head = fit_linear_head(features.rows(0, 40), features.rows(40, 60), LinearTask(task=CLASSIFICATION))
        >>> head.kernel.shape
        (4, 2)
    """
    with threadpool_limits(threads_for(seen.values, seen.targets.shape[1])):
        search = _Search(seen, held_out, asked, tell)
        common, standard = scalings(seen.values)
        nothing = np.zeros((search.width + 1, seen.targets.shape[1]))
        best = search.along(common, _STRONGEST, nothing, patience=_ENOUGH)
        # Features of one deviation on average need about the same penalty either way, and about the same kernel.
        begin = search.coefficients[best.scaling, best.penalty].copy()
        begin[:-1] *= (standard.scale / common.scale)[:, None]
        other = search.along(standard, round(np.log10(best.penalty / search.width)), begin, patience=1)
        scaling = common
        if search.is_clearly_better(other, best):
            best, scaling = other, standard
        best = search.beside(best, scaling)
        learned = everything or seen
        solver = _solver(learned, asked, scaling)
        start = search.coefficients[best.scaling, best.penalty]
        kernel, bias = scaling.folded(solver.solve(best.penalty, start, tolerance=_EXACT))
    return LinearHead(kernel.astype(np.float32), bias.astype(np.float32), best, tuple(search.fits))


def threads_for(values: NDArray[np.float32], classes: int) -> int | None:
    """How many threads a fit to features (n, d) is quickest with; None for all."""
    return 1 if values.size * classes * 4 < _SMALL else None


class _Search:
    """Fits with different penalties and scales, and which of them is best on the held-out examples."""

    def __init__(self, seen: Features, held_out: Features, asked: LinearTask, tell: Callable[[int, Fit], None]) -> None:
        self._seen, self._held_out, self._asked, self._tell = seen, held_out, asked, tell
        self._solvers: dict[str, Solver] = {}
        self.fits: list[Fit] = []
        self.coefficients: dict[tuple[str, float], Coefficients] = {}
        self.width = seen.values.shape[1]
        self._metric = f"val_{asked.task.metric}"

    def along(self, scaling: Scaling, strongest: int, start: Coefficients, *, patience: int) -> Fit:
        """The best of the penalties from strong to weak, by tens, until so many in a row have not been better."""
        tried: list[Fit] = []
        for power in range(strongest, _WEAKEST - 1, -1):
            fit, start = self._fit(scaling, 10.0**power * self.width, start)
            tried.append(fit)
            calmest = min(tried, key=lambda fit: fit.figures["val_loss"])
            if len(tried) - 1 - max(tried.index(self._leader(tried)), tried.index(calmest)) >= patience:
                break
        return self._best(tried)

    def beside(self, best: Fit, scaling: Scaling) -> Fit:
        """The best of a fit and those with three times and a third of its penalty."""
        start = self.coefficients[best.scaling, best.penalty]
        around = [self._fit(scaling, best.penalty * factor, start)[0] for factor in (10**0.5, 10**-0.5)]
        return self._best([best, *around])

    def is_clearly_better(self, one: Fit, other: Fit) -> bool:
        """Whether the deciding figure is better by more than one standard error."""
        return one.figures[self._metric] > other.figures[self._metric] + self._error(other.figures[self._metric])

    def _fit(self, scaling: Scaling, penalty: float, start: Coefficients) -> tuple[Fit, Coefficients]:
        if scaling.name not in self._solvers:
            self._solvers[scaling.name] = _solver(self._seen, self._asked, scaling)
        found = self._solvers[scaling.name].solve(penalty, start, tolerance=_ROUGH)
        kernel, bias = (array.astype(np.float32) for array in scaling.folded(found))
        figures = self._asked.figures(self._seen.values @ kernel + bias, self._seen.targets)
        validated = self._asked.figures(self._held_out.values @ kernel + bias, self._held_out.targets)
        name: Literal["common", "standard"] = "common" if scaling.name == "common" else "standard"
        fit = Fit(name, penalty, figures | {f"val_{key}": value for key, value in validated.items()})
        self.fits.append(fit)
        self.coefficients[name, penalty] = found
        self._tell(len(self.fits), fit)
        return fit, found

    def _leader(self, fits: list[Fit]) -> Fit:
        return max(fits, key=lambda fit: (fit.figures[self._metric], -fit.figures["val_loss"]))

    def _best(self, fits: list[Fit]) -> Fit:
        highest = self._leader(fits).figures[self._metric]
        near = [fit for fit in fits if fit.figures[self._metric] >= highest - self._error(highest)]
        return min(near, key=lambda fit: fit.figures["val_loss"])

    def _error(self, figure: float) -> float:
        """One standard error of a share; other figures are taken as they are."""
        if not self._asked.task.is_share:
            return 0.0
        return float(np.sqrt(max(figure * (1 - figure), 0.0) / max(1, len(self._held_out))))


def _solver(seen: Features, asked: LinearTask, scaling: Scaling) -> Solver:
    return solver_for(asked.task, seen.values, asked.learned(seen.targets), asked.weights(seen.targets), scaling)


def scalings(values: NDArray[np.float32]) -> tuple[Scaling, Scaling]:
    """The two scalings, by training statistics; in both the features' variances are 1 on average or about it."""
    mean = values.mean(axis=0, dtype=np.float64)
    if not np.isfinite(mean).all():
        raise TrainingError(
            f"{np.count_nonzero(~np.isfinite(mean))} of the backbone's {len(mean)} features are no finite numbers",
            hint="choose another model.backbone or model.weights",
        )
    squares = np.zeros_like(mean)
    for begin in range(0, len(values), _ROWS):
        squares += np.square(values[begin : begin + _ROWS] - mean).sum(axis=0)
    deviation = np.sqrt(squares / len(values))
    common = float(np.sqrt(np.square(deviation).mean())) or 1.0
    own = np.maximum(deviation, _LEAST_DEVIATION * common)
    return Scaling("common", mean, np.full_like(mean, common)), Scaling("standard", mean, own)
