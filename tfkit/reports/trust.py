"""How far a classifier's figures can be trusted: intervals, calibration, sets that cover, and groups."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfkit.errors import ConfigError, DataError
from tfkit.files import read_regular_file
from tfkit.reports.findings import Evaluation, calibration, calibration_error
from tfkit.reports.quantities import percent
from tfkit.tasks import Task

_RESAMPLES = 2000
_LEVEL = 0.95
_UNLIKELY = 1e-3
_FEWEST = 10  # examples of a group whose figures are told


@dataclass(frozen=True)
class Interval:
    """A figure and where it lies for endless examples of the same kind, with 95 % confidence.

    Attributes:
        name: The figure: `accuracy`, `roc_auc`.
        value: On the evaluation split.
        low: The lower end.
        high: The upper end.
    """

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Coverage:
    """Sets of classes that hold the true one with a chance that was asked for.

    Attributes:
        asked: The chance.
        reached: Share of the evaluation examples whose set holds their class.
        size: Classes in a set, on average.
        single: Share of the examples whose set has one class: those that need no second look.
        threshold: A class is in the set from this score on.
        luck: The chance of reaching so little or less where both splits are of one kind.
    """

    asked: float
    reached: float
    size: float
    single: float
    threshold: float
    luck: float = 1.0


@dataclass(frozen=True)
class GroupRow:
    """How well one group of examples is answered.

    Attributes:
        attribute: The column that tells groups apart.
        group: Its value.
        examples: How many evaluation examples.
        figures: By name: `accuracy`, of two classes also `sensitivity` and `specificity`; None where there is too
            little to measure on.
    """

    attribute: str
    group: str
    examples: int
    figures: Mapping[str, float | None]


@dataclass(frozen=True)
class Trust:
    """What a report says about the figures themselves.

    Attributes:
        intervals: Of each figure of the Keras model.
        temperature: What logits would have to be divided by for scores to be chances, fitted on the validation split;
            None without one.
        error_before: Expected calibration error of the scores as they are.
        error_after: With that temperature.
        coverage: Sets that cover; None where none were asked for.
        groups: Groups of examples, by attribute; empty without a table of them.
        notes: What could not be said, and why.
    """

    intervals: tuple[Interval, ...]
    temperature: float | None
    error_before: float
    error_after: float | None
    coverage: Coverage | None = None
    groups: tuple[GroupRow, ...] = ()
    notes: tuple[str, ...] = ()


def trust_in(
    evaluation: Evaluation,
    validation: Evaluation | None,
    *,
    coverage: float | None = None,
    groups: Path | None = None,
    seed: int = 0,
) -> Trust:
    """Find out how far a classifier's figures can be trusted.

    Args:
        evaluation: The model's answers on the evaluation split.
        validation: Its answers on the validation split, on which temperature and sets are fitted; None without one.
        coverage: The chance with which a set shall hold the true class, in (0, 1); None for no sets.
        groups: A CSV whose first column names examples as the run does, further ones the groups they belong to.
        seed: Of what is drawn.

    Raises:
        ConfigError: When `coverage` needs mapie, or `groups` fairlearn, and it is not installed.
        DataError: When `groups` cannot be read, or names no evaluation example.
    """
    notes, temperature, after = [], None, None
    before = calibration_error(calibration(evaluation))
    if validation is not None and validation.examples:
        from tfkit.verification.calibration import fit_temperature

        temperature = fit_temperature(_logits(validation.scores), validation.labels.astype(np.int32))
        cooled = _softmax(_logits(evaluation.scores) / temperature)
        same = Evaluation(evaluation.class_names, evaluation.labels, cooled, evaluation.names)
        after = calibration_error(calibration(same))
    else:
        notes.append("without a validation split neither a temperature nor sets can be fitted")
    sets = None
    if coverage is not None and validation is not None and validation.examples:
        sets = covering(evaluation, validation, coverage)
    rows = () if groups is None else group_rows(evaluation, groups)
    return Trust(intervals_of(evaluation, seed=seed), temperature, before, after, sets, rows, tuple(notes))


def refuse_missing(*, coverage: float | None = None, groups: Path | None = None) -> None:
    """Tell before anything is trained what a recipe asks for and cannot have.

    Args:
        coverage: As for `trust_in`; so is the other.
        groups: A table.

    Raises:
        ConfigError: When mapie or fairlearn is not installed.
        DataError: When the table cannot be read.
    """
    needed = [("coverage", "mapie")] * (coverage is not None) + [("groups", "fairlearn")] * (groups is not None)
    missing = [(name, package) for name, package in needed if find_spec(package) is None]
    if missing:
        told = " and ".join(f"task.{name} needs {package}" for name, package in missing)
        raise ConfigError(told, hint="pip install 'tfkit[trust]'")
    if groups is not None:
        _read_groups(groups)


def intervals_of(evaluation: Evaluation, *, resamples: int = _RESAMPLES, seed: int = 0) -> tuple[Interval, ...]:
    """Each figure with its 95 % interval, by resampling the examples of each class.

    Source: the percentile bootstrap of Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.

    Args:
        evaluation: The answers.
        resamples: How often.
        seed: Of the draws.

    Example:
        >>> intervals_of(evaluation)[0].name  # doctest: +SKIP
        'accuracy'
    """
    random, labels = np.random.default_rng(seed), evaluation.labels
    classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    found: dict[str, list[float]] = {name: [] for name in evaluation.quality.figures}
    for _ in range(resamples):
        drawn = np.concatenate([random.choice(members, len(members)) for members in classes])
        figures = evaluation.task.quality(labels[drawn], evaluation.scores[drawn], evaluation.decision).figures
        for name, value in figures.items():
            found[name].append(value)
    ends = ((1 - _LEVEL) / 2, (1 + _LEVEL) / 2)
    return tuple(
        Interval(name, float(value), *map(float, np.quantile(found[name], ends)))
        for name, value in evaluation.quality.figures.items()
    )


def covering(evaluation: Evaluation, validation: Evaluation, asked: float) -> Coverage:
    """Sets of classes that hold the true one with a chance of `asked`, whatever the model.

    Split conformal prediction with the least ambiguous sets, by MAPIE. Source: Sadinle, Lei and Wasserman 2019, Least
    Ambiguous Set-Valued Classifiers (arXiv:1609.00451). What is reached by luck follows a beta-binomial distribution:
    Angelopoulos and Bates 2021, A Gentle Introduction to Conformal Prediction (arXiv:2107.07511), section 3.2.

    Args:
        evaluation: The answers that are judged.
        validation: The answers that the threshold is fitted on.
        asked: The chance, in (0, 1).

    Raises:
        ConfigError: When mapie is not installed.
    """
    refuse_missing(coverage=asked)
    from mapie.classification import SplitConformalClassifier
    from scipy.stats import betabinom

    conformal = SplitConformalClassifier(_Scored(len(evaluation.class_names)), asked, conformity_score="lac")
    conformal.conformalize(validation.scores, validation.labels)
    _, found = conformal.predict_set(evaluation.scores)
    sets = np.asarray(found)[..., 0].astype(bool)
    right = sets[np.arange(len(sets)), evaluation.labels]
    kept = evaluation.scores[sets]
    fitted = len(validation.labels)
    beyond = max(1, int((fitted + 1) * (1 - asked)))  # validation scores that lie below the threshold
    luck = betabinom(len(right), fitted + 1 - beyond, beyond).cdf(int(right.sum()))
    return Coverage(
        asked,
        float(right.mean()),
        float(sets.sum(1).mean()),
        float((sets.sum(1) == 1).mean()),
        float(kept.min(initial=1.0)),
        float(luck),
    )


class _Scored:
    """Scores as MAPIE wants to be given them: those of a classifier that has answered already."""

    def __init__(self, classes: int) -> None:
        self.classes_ = np.arange(classes)
        self.n_features_in_ = classes

    def fit(self, scores: NDArray[np.float32], labels: NDArray[np.int32]) -> _Scored:
        return self

    def predict_proba(self, scores: NDArray[np.float32]) -> NDArray[np.float64]:
        whole = scores.astype(np.float64)
        return np.asarray(whole / whole.sum(1, keepdims=True))

    def predict(self, scores: NDArray[np.float32]) -> NDArray[np.intp]:
        return np.asarray(scores.argmax(1))

    def __sklearn_is_fitted__(self) -> bool:
        return True


def group_rows(evaluation: Evaluation, table: Path) -> tuple[GroupRow, ...]:
    """The figures of each group of examples, by fairlearn.

    Args:
        evaluation: The answers.
        table: A CSV with a header: names of examples first, then one column for each attribute.

    Raises:
        ConfigError: When fairlearn is not installed.
        DataError: When the table cannot be read, or names no evaluation example.
    """
    refuse_missing(groups=table)
    from fairlearn.metrics import MetricFrame

    attributes, values = _read_groups(table)
    rows = []
    for place, attribute in enumerate(attributes):
        known = [number for number, name in enumerate(evaluation.names) if name in values]
        if not known:
            first = ", ".join(f"'{name}'" for name in evaluation.names[:3])
            raise DataError(
                f"'{table}' names no evaluation example", hint=f"its first column holds names as the run does: {first}"
            )
        groups = np.array([values[evaluation.names[number]][place] for number in known])
        labels, answers = evaluation.labels[known], evaluation.answers[known]
        frame = MetricFrame(metrics=_metrics(evaluation), y_true=labels, y_pred=answers, sensitive_features=groups)
        for group, figures in frame.by_group.iterrows():
            count = int((groups == group).sum())
            told = {name: _known(value) if count >= _FEWEST else None for name, value in figures.items()}
            rows.append(GroupRow(attribute, str(group), count, told))
    return tuple(rows)


def _metrics(evaluation: Evaluation) -> dict[str, Any]:
    from sklearn.metrics import accuracy_score, recall_score

    metrics: dict[str, Any] = {"accuracy": accuracy_score}
    if len(evaluation.class_names) == 2:
        for name, label in (("sensitivity", 1), ("specificity", 0)):
            metrics[name] = lambda true, given, label=label: recall_score(
                true, given, pos_label=label, zero_division=np.nan
            )
    return metrics


def _read_groups(table: Path) -> tuple[Sequence[str], dict[str, list[str]]]:
    try:
        lines = read_regular_file(table).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as fault:
        raise DataError(f"'{table}' cannot be read: {fault}", hint="give a CSV in UTF-8: task.groups") from None
    rows = [row for row in csv.reader(lines) if row]
    if len(rows) < 2 or len(rows[0]) < 2:
        raise DataError(f"'{table}' tells no groups", hint="a header, then a line for each example: name,sex,age")
    wrong = [number for number, row in enumerate(rows, 1) if len(row) != len(rows[0])]
    if wrong:
        told = ", ".join(map(str, wrong[:5]))
        raise DataError(f"'{table}' has rows of another length than its header: {told}", hint="mend these lines")
    return rows[0][1:], {row[0]: row[1:] for row in rows[1:]}


def _logits(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.log(np.maximum(scores, 1e-12)).astype(np.float32)


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    raised = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(raised / raised.sum(1, keepdims=True), np.float32)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


@dataclass(frozen=True)
class TrustView:
    """What the page says of trust.

    Attributes:
        intervals: A row for each figure: its name, its value, its interval.
        calibration: On the temperature, in a sentence.
        coverage: On the sets, in a sentence; empty where none were asked for.
        columns: The headings of the groups' table; empty without groups.
        groups: Its rows.
        notes: What could not be said.
    """

    intervals: tuple[tuple[str, str, str], ...]
    calibration: str
    coverage: str
    columns: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def trust_view(trust: Trust, task: Task, *, noun: str) -> TrustView:
    """What was found out, for the page.

    Args:
        trust: It.
        task: What is asked of the model.
        noun: What an example is called.
    """
    rows = tuple(
        (task.figures[one.name], task.figure(one.value), f"{task.figure(one.low)} to {task.figure(one.high)}")
        for one in trust.intervals
    )
    told = ""
    if trust.temperature is not None and trust.error_after is not None:
        told = (
            f"Divided by a temperature of {trust.temperature:.2f}, fitted on the validation {noun}s, the logits would "
            f"give scores whose confidence and accuracy lie {100 * trust.error_after:.1f} points apart, instead of "
            f"{100 * trust.error_before:.1f}. No answer would change. The files give scores as they are."
        )
    sets = ""
    if (found := trust.coverage) is not None:
        sets = (
            f"Sets of all classes with a score of {found.threshold:.3f} or more, fitted on the validation {noun}s to "
            f"hold the true class with a chance of {found.asked:.0%}, hold it for {found.reached:.1%} of the test "
            f"{noun}s. They have {found.size:.2f} classes on average; {found.single:.1%} have one alone, and need no "
            "second look."
        )
        if found.luck < _UNLIKELY:
            sets += (
                f" So little by luck has a chance of less than 1 in {1 / _UNLIKELY:,.0f}: the test {noun}s are of "
                f"another kind than the validation {noun}s. Whatever was fitted there, a threshold too, promises more "
                "than it keeps."
            )
    names = tuple(dict.fromkeys(name for row in trust.groups for name in row.figures))
    groups = tuple(
        (row.attribute, row.group, f"{row.examples:,}", *(percent(row.figures.get(name)) for name in names))
        for row in trust.groups
    )
    columns = ("attribute", "group", f"{noun}s", *names) if groups else ()
    return TrustView(rows, told, sets, columns, groups, trust.notes)
