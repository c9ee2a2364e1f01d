"""Two profiles compared: permutation tests of every number, the answers, the vectors and the words, one alarm rate."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist, jensenshannon

from tfkit.data import LeftOut
from tfkit.errors import ConfigError, DataError
from tfkit.monitoring.profile import Profile
from tfkit.monitoring.stream import ChangePoint

Statistic = Literal["KS", "JS", "MMD"]
# What is compared in pairs takes time with the square of the number of examples.
_MOST_IN_PAIRS = 1000
_MOST_WORDS = 5000
_WIDTHS = (0.1, 0.3, 1.0, 3.0)  # of kernels, times the median of the squared distances
_ROWS = 500  # permutations at a time
_BINS, _BARS = 10, 24  # of the stability index, by custom, and of what is drawn
_TOLD = 5  # of classes and words
_LEAST = 20  # examples: of fewer hardly anything can be said

_Statistics = NDArray[np.float64]  # (permutations + 1,), the first of the sets as they are


@dataclass(frozen=True)
class Change:
    """How much of something there was, and is.

    Attributes:
        name: A class, a label or a word.
        reference: Share of the reference's examples, 0..1.
        new: Share of the new ones.
    """

    name: str
    reference: float
    new: float


@dataclass(frozen=True)
class Histogram:
    """How often values lie in each of some bins.

    Attributes:
        edges: Of the bins; one more than there are bins.
        reference: Share of the reference's examples in each bin, 0..1.
        new: Share of the new ones.
    """

    edges: tuple[float, ...]
    reference: tuple[float, ...]
    new: tuple[float, ...]


@dataclass(frozen=True)
class Shift:
    """How one thing of the new examples differs from the reference's.

    Attributes:
        name: What: "brightness", "answers".
        statistic: `KS`: Kolmogorov and Smirnov's; `JS`: the distance of Jensen and Shannon, base 2; `MMD`: maximum mean
            discrepancy. All are 0 for sets that are the same.
        value: Of the two sets.
        threshold: What it must exceed to be an alarm; permuted sets do so, in anything, with a chance of `alpha`.
        p_value: How often permuted sets are as unlike in anything as these are in this; 0..1.
        psi: Population stability index; by custom small below 0.1 and large above 0.25. None where it has no meaning.
        medians: Of the reference and of the new examples; None where these are no numbers.
        changes: The classes, labels or words whose shares changed most.
        histogram: Of numbers; None where there are none.
        alarm: Whether this differs.
    """

    name: str
    statistic: Statistic
    value: float
    threshold: float
    p_value: float
    psi: float | None
    medians: tuple[float, float] | None
    changes: tuple[Change, ...]
    histogram: Histogram | None
    alarm: bool


@dataclass(frozen=True)
class Comparison:
    """What was compared, and what came of it.

    Attributes:
        shifts: All that was compared, the surest difference first.
        reference: Examples of the reference.
        new: New examples.
        alpha: Chance of any alarm for examples that are alike.
    """

    shifts: tuple[Shift, ...]
    reference: int
    new: int
    alpha: float

    @property
    def alarm(self) -> bool:
        """Whether anything differs."""
        return any(shift.alarm for shift in self.shifts)


@dataclass(frozen=True)
class Drift:
    """How new inputs of a model, and its answers, differ from those it was proved on.

    Attributes:
        comparison: All that was compared.
        noun: What an example is called.
        model: The file that answered.
        reference: Where the reference comes from, in words.
        left_out: New examples that cannot be read.
        notes: What was not compared, and why, in sentences.
        points: Where a stream changed; None where the new examples are in no order.
    """

    comparison: Comparison
    noun: str
    model: Path
    reference: str
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    points: tuple[ChangePoint, ...] | None = None

    @property
    def alarm(self) -> bool:
        """Whether anything differs, or changed on the way."""
        return self.comparison.alarm or bool(self.points)


@dataclass(frozen=True)
class _Measured:
    """One thing that is compared: its name, its statistic, and the latter of permuted sets."""

    name: str
    statistic: Statistic
    values: _Statistics
    psi: float | None = None
    medians: tuple[float, float] | None = None
    changes: tuple[Change, ...] = ()
    histogram: Histogram | None = None


def compare(
    reference: Profile, new: Profile, *, alpha: float = 0.01, permutations: int = 4999, seed: int = 0
) -> Comparison:
    """Say in what new examples differ from a reference.

    Examples of both are shuffled together again and again: how unlike two sets are that differ by chance alone is
    seen, not assumed, whatever their sizes. The thresholds hold for all things together (Westfall and Young, 1993,
    Resampling-Based Multiple Testing): sets that are alike raise any alarm with a chance of `alpha`, not each of them.

    Args:
        reference: What the model was proved on.
        new: What it is asked now.
        alpha: Chance of an alarm for sets that are alike, above 0 and below 1.
        permutations: How often they are shuffled.
        seed: Of the shuffling.

    Returns:
        A `Shift` for each number of both, the answers, the vectors (a random 1,000 of each set) and the words.

    Raises:
        DataError: When one holds fewer than 20 examples, or the two are of different models or kinds.
        ConfigError: When so many shuffles cannot tell so small an `alpha`.

    Example:
        >>> still, moved = (np.random.default_rng(0).normal(mean, 1, 100).astype("float32") for mean in (0, 2))
        >>> found = compare(Profile("image", "", {"light": still}), Profile("image", "", {"light": moved}))
        >>> found.alarm, found.shifts[0].statistic
        (True, 'KS')
    """
    _refuse_unlike(reference, new)
    random = np.random.default_rng(seed)
    sets = _Sets(reference.count, new.count, permutations, random)
    measured = tuple(_measured(sets, reference, new, random))
    if not 0 < alpha < 1 or len(measured) > alpha * (permutations + 1):
        least = len(measured) / (permutations + 1)
        raise ConfigError(f"alpha is {alpha:g}; with {permutations} permutations it can be {least:.2g} to 1")
    shifts = _judged(measured, alpha)
    return Comparison(
        tuple(sorted(shifts, key=lambda shift: (shift.p_value, -shift.value))), reference.count, new.count, alpha
    )


def _refuse_unlike(reference: Profile, new: Profile) -> None:
    for told, profile in (("the reference holds", reference), ("there are", new)):
        if profile.count < _LEAST:
            raise DataError(
                f"{told} {profile.count} {profile.noun}s; at least {_LEAST} are needed to tell chance from drift",
                hint="collect more of them first; some hundreds tell small differences",
            )
    if reference.noun != new.noun or reference.model != new.model or reference.answer_names != new.answer_names:
        raise DataError(
            "the reference's answers were given by another model",
            hint="write its profile anew: tfkit drift RUN --save PROFILE.npz",
        )


class _Sets:
    """Which examples of both together are new: as they are in the first row, shuffled in the others."""

    def __init__(self, reference: int, new: int, permutations: int, random: np.random.Generator) -> None:
        self.reference, self.new = reference, new
        self.is_new = np.zeros((permutations + 1, reference + new), bool)
        self.is_new[0, reference:] = True
        for row in self.is_new[1:]:
            row[random.choice(reference + new, new, replace=False)] = True

    def shares(self, columns: NDArray[np.float32]) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Means of each column over the reference and over the new, (rows, columns), some permutations at a time."""
        total = columns.sum(0, dtype=np.float64)
        for start in range(0, len(self.is_new), _ROWS):
            added = (self.is_new[start : start + _ROWS].astype(np.float32) @ columns).astype(np.float64)
            yield (total - added) / self.reference, added / self.new


def _measured(sets: _Sets, reference: Profile, new: Profile, random: np.random.Generator) -> Iterator[_Measured]:
    for name in reference.numbers:
        if name in new.numbers:
            yield _of_numbers(name, sets, reference.numbers[name], new.numbers[name])
    if reference.answers is not None and new.answers is not None:
        yield _of_answers(sets, reference, reference.answers, new.answers)
    if reference.words is not None and new.words is not None:
        yield from _of_words(sets, (*reference.words, *new.words))
    if reference.vectors is not None and new.vectors is not None:
        yield _of_vectors(reference.vectors, new.vectors, len(sets.is_new) - 1, random)


def _of_numbers(name: str, sets: _Sets, reference: NDArray[np.float32], new: NDArray[np.float32]) -> _Measured:
    """The largest difference of the shares below any value: of values that are alike, the last counts."""
    values = np.concatenate([reference, new])
    order = np.argsort(values, kind="stable")
    last = np.append(np.diff(values[order]) > 0, True)
    found = []
    for start in range(0, len(sets.is_new), _ROWS):
        below = np.cumsum(sets.is_new[start : start + _ROWS][:, order], axis=1, dtype=np.float32)[:, last]
        places = (np.flatnonzero(last) + 1).astype(np.float32)
        found.append(np.abs(below / sets.new - (places - below) / sets.reference).max(1))
    statistics = np.concatenate(found).astype(np.float64)
    medians = (float(np.median(reference)), float(np.median(new)))
    psi, histogram = _binned_psi(reference, new), _histogram(reference, new)
    return _Measured(name, "KS", statistics, psi=psi, medians=medians, histogram=histogram)


def _histogram(reference: NDArray[np.float32], new: NDArray[np.float32]) -> Histogram:
    """Both over their common range but its outermost hundredths, which lie in the bins at its ends."""
    together = np.concatenate([reference, new])
    low, high = (float(end) for end in np.quantile(together, (0.005, 0.995)))
    edges = np.linspace(low, high if high > low else low + 1, _BARS + 1)
    shares = [np.histogram(np.clip(part, edges[0], edges[-1]), edges)[0] / len(part) for part in (reference, new)]
    return Histogram(*(tuple(map(float, values)) for values in (edges, *shares)))


def _binned_psi(reference: NDArray[np.float32], new: NDArray[np.float32]) -> float:
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, _BINS + 1)[1:-1]))
    counts = [np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1) for values in (reference, new)]
    return _psi(*counts)


def _psi(reference: NDArray[np.intp], new: NDArray[np.intp]) -> float:
    """Of counts, half an example more in each place: one that is empty would make it infinite."""
    first, second = ((counts + 0.5) / (counts + 0.5).sum() for counts in (reference, new))
    return float(((second - first) * np.log(second / first)).sum())


def _of_answers(sets: _Sets, profile: Profile, reference: NDArray[np.bool_], new: NDArray[np.bool_]) -> _Measured:
    statistics = []
    for before, after in sets.shares(np.concatenate([reference, new]).astype(np.float32)):
        if profile.exclusive:
            statistics.append(jensenshannon(before, after, base=2, axis=1))
        else:  # of labels that are given independently: the mean over them
            pairs = np.stack([before, 1 - before]), np.stack([after, 1 - after])
            statistics.append(jensenshannon(*pairs, base=2, axis=0).mean(-1))
    counts = (reference.sum(0), new.sum(0))
    psi = _psi(*counts) if profile.exclusive else None
    changes = _changes(profile.answer_names, reference.mean(0), new.mean(0))
    return _Measured("answers", "JS", np.nan_to_num(np.concatenate(statistics)), psi=psi, changes=changes)


def _of_words(sets: _Sets, texts: Sequence[str]) -> Iterator[_Measured]:
    from sklearn.feature_extraction.text import CountVectorizer

    counting = CountVectorizer(analyzer=str.split, binary=True, max_features=_MOST_WORDS, min_df=2, dtype=np.float32)
    try:
        columns = counting.fit_transform(texts).toarray()
    except ValueError:  # no word stands in two texts
        return
    statistics = []
    for shares in sets.shares(columns):
        before, after = (part / np.maximum(part.sum(1, keepdims=True), 1e-9) for part in shares)
        statistics.append(jensenshannon(before, after, base=2, axis=1))
    reference, new = columns[: sets.reference].mean(0), columns[sets.reference :].mean(0)
    changes = _changes(counting.get_feature_names_out(), reference, new)
    yield _Measured("vocabulary", "JS", np.nan_to_num(np.concatenate(statistics)), changes=changes)


def _changes(names: Sequence[str], reference: NDArray[np.floating], new: NDArray[np.floating]) -> tuple[Change, ...]:
    most = np.argsort(-np.abs(new - reference), kind="stable")[:_TOLD]
    told = (Change(str(names[place]), float(reference[place]), float(new[place])) for place in most)
    return tuple(change for change in told if change.reference != change.new)


def _of_vectors(
    reference: NDArray[np.float32], new: NDArray[np.float32], permutations: int, random: np.random.Generator
) -> _Measured:
    """Maximum mean discrepancy, biased; the kernel is a mean of Gaussian ones about the median distance wide.

    Source: Gretton et al., A Kernel Two-Sample Test, JMLR 13, 2012. Several widths found more of unknown classes than
    one on pictures that no figure of the documentation is of.
    """
    chosen = [
        part[random.choice(len(part), min(len(part), _MOST_IN_PAIRS), replace=False)].astype(np.float64)
        for part in (reference, new)
    ]
    distances = cdist(together := np.concatenate(chosen), together, "sqeuclidean")
    width = np.median(distances[np.triu_indices(len(together), 1)]) or 1.0
    kernel = np.mean([np.exp(-distances / (width * times)) for times in _WIDTHS], 0, dtype=np.float32)
    sets = _Sets(len(chosen[0]), len(chosen[1]), permutations, random)
    statistics = []
    for start in range(0, len(sets.is_new), _ROWS):
        weights = np.where(sets.is_new[start : start + _ROWS], 1 / sets.new, -1 / sets.reference).astype(np.float32)
        statistics.append(((weights @ kernel) * weights).sum(1))
    return _Measured("features", "MMD", np.sqrt(np.maximum(np.concatenate(statistics).astype(np.float64), 0)))


def _judged(measured: Sequence[_Measured], alpha: float) -> Iterator[Shift]:
    """One rate of alarms for all: a row's least p-value among the things, and how it lies among the rows'."""
    rows = len(measured[0].values)
    each = np.stack([_p_values(one.values) for one in measured])
    least = np.sort(each.min(0))
    within = least[max(0, int(np.floor(alpha * rows)) - 1)]  # as many rows have a p-value of this or less
    if np.searchsorted(least, within, side="right") > alpha * rows:
        within = np.nextafter(within, 0)
    for one, p_values in zip(measured, each, strict=True):
        together = np.searchsorted(least, p_values[0], side="right") / rows
        allowed = int(np.floor(within * rows + 1e-9))
        threshold = float(np.sort(one.values)[rows - allowed - 1]) if allowed < rows else 0.0
        alarm = bool(together <= alpha)
        yield Shift(
            one.name,
            one.statistic,
            float(one.values[0]),
            threshold,
            float(together),
            one.psi,
            one.medians,
            one.changes,
            one.histogram,
            alarm,
        )


def _p_values(values: _Statistics) -> NDArray[np.float64]:
    """Of each row: the share of all rows that have as much or more."""
    return 1 - np.searchsorted(np.sort(values), values, side="left") / len(values)
