"""What a model that went on from an earlier run forgot of it, and what it learned."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tfkit.reports.findings import Evaluation
from tfkit.reports.quantities import counted, points
from tfkit.tasks import Decision, Task, task_of

_ROUNDING = 1e-9  # a share of n examples is a float: an exact "two points" must not fail on its last digit


@dataclass(frozen=True)
class OutputChange:
    """One class, label or number of the earlier run, on its own test examples.

    Attributes:
        name: What it is called.
        before: The earlier model's figure: recall, F1, R2 or IoU by the task; None where it has no meaning.
        after: The new one's.
    """

    name: str
    before: float | None
    after: float | None

    @property
    def change(self) -> float | None:
        """What was won; below zero what was forgotten."""
        return None if self.before is None or self.after is None else self.after - self.before


@dataclass(frozen=True)
class Forgetting:
    """An earlier run's float model and the Keras model that learned on from it, on the same test examples.

    Attributes:
        run: The earlier run's folder.
        replayed: How many of its training examples were learned from again.
        replayed_of: How many it has.
        examples: How many of its test examples both were judged on.
        before: The earlier model's deciding figure on them.
        after: The new one's.
        new_examples: How many new test examples there are.
        new_before: The earlier model's figure on these; of a class that it does not know every answer is wrong.
        new_after: The new one's.
        outputs: The earlier classes, labels or numbers, the most forgotten first.
        limit: What a file may lose on the earlier examples, a fraction; None for anything.
    """

    run: str
    replayed: int
    replayed_of: int
    examples: int
    before: float
    after: float
    new_examples: int
    new_before: float
    new_after: float
    outputs: tuple[OutputChange, ...]
    limit: float | None

    def told(self, task: Task) -> str:
        """Both figures on both kinds of examples, in a sentence."""
        old = f"{task.told(self.before)} before, {task.told(self.after)} now"
        new = f"{task.told(self.new_before)} before, {task.told(self.new_after)} now"
        return (
            f"{task.unit} on {counted(self.examples, 'earlier test example')}: {old}; on "
            f"{self.new_examples:,} new: {new}"
        )


@dataclass(frozen=True, eq=False)
class EarlierAnswers:
    """What an earlier run's float model answers on the test examples of the run that goes on from it.

    Attributes:
        run: Its folder.
        outputs: How many of the names are its own: the first ones.
        places: int64 (m,), where its own test examples stand.
        scores: float32 (n, k), its scores; 0 for a class that it does not know.
        decision: What turns these into answers.
        replayed: How many of its training examples are learned from again.
        replayed_of: How many it has.
        limit: What a file may lose on its test examples, a fraction; None for anything.
    """

    run: str
    outputs: int
    places: NDArray[np.int64]
    scores: NDArray[np.float32] = field(repr=False)
    decision: Decision
    replayed: int
    replayed_of: int
    limit: float | None

    def forgetting(self, evaluation: Evaluation) -> Forgetting:
        """Both models on the same examples.

        Args:
            evaluation: The new model's answers on the whole test split.
        """
        task, labels, places = evaluation.task, evaluation.labels, self.places
        new = np.setdiff1d(np.arange(len(labels)), places)

        def figures(chosen: NDArray[np.int64]) -> tuple[float, float]:
            before = task.quality(labels[chosen], self.scores[chosen], self.decision)
            return before.value, task.quality(labels[chosen], evaluation.scores[chosen], evaluation.decision).value

        columns = (
            task.by_output(labels[places], self.scores[places], self.decision),
            task.by_output(labels[places], evaluation.scores[places], evaluation.decision),
        )
        rows = [
            OutputChange(name, *pair)
            for name, pair in list(zip(evaluation.class_names, zip(*columns, strict=True), strict=True))[: self.outputs]
        ]
        rows.sort(key=lambda row: (row.change is None, row.change))
        before, after = figures(places)
        new_before, new_after = figures(new)
        numbers = (self.replayed, self.replayed_of, len(places), before, after, len(new), new_before, new_after)
        return Forgetting(self.run, *numbers, tuple(rows), self.limit)

    def faults(self, labels: np.ndarray, scores: np.ndarray, decision: Decision) -> list[str]:
        """Why a file has forgotten too much, in a phrase; nothing when it has not.

        Args:
            labels: Of the whole test split.
            scores: What the file answered on it.
            decision: What turns these into answers.
        """
        task, places = task_of(labels), self.places
        before = task.quality(labels[places], self.scores[places], self.decision).value
        after = task.quality(labels[places], scores[places], decision).value
        if self.limit is None or before - after <= self.limit + _ROUNDING:
            return []
        return [
            f"on {counted(len(places), 'test example')} of the earlier run {task.unit} was {before:.4f} and is "
            f"{after:.4f}: {100 * (before - after):.2f} points are forgotten; earlier.max_forgetting allows "
            f"{100 * self.limit:.2f}"
        ]


@dataclass(frozen=True)
class ForgettingTable:
    """A table of the page: its headings, and its rows in words."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class ForgettingView:
    """What the page says of forgetting.

    Attributes:
        sentence: What was gone on from.
        tables: Both kinds of test examples; the earlier classes, labels or numbers.
        explained: How to read it.
    """

    sentence: str
    tables: tuple[ForgettingTable, ...]
    explained: str


def forgetting_view(told: Forgetting, task: Task, *, noun: str) -> ForgettingView:
    """What was forgotten, for the page.

    Args:
        told: What was found.
        task: What is asked of both models.
        noun: What an example is called.
    """

    def row(name: str, count: int, before: float, after: float) -> tuple[str, ...]:
        return (name, f"{count:,}", task.told(before), task.told(after), _changed(task, before, after))

    unit, figure, output = task.unit, task.by_output_unit, task.output_noun
    splits = (
        row(f"the earlier run's test {noun}s", told.examples, told.before, told.after),
        row(f"new test {noun}s", told.new_examples, told.new_before, told.new_after),
    )
    outputs = tuple(
        (one.name, task.told(one.before), task.told(one.after), _changed(task, one.before, one.after))
        for one in told.outputs
    )
    of = f"{told.replayed:,} of its {counted(told.replayed_of, f'training {noun}')}"
    sentence = (
        f"This model goes on from the run {told.run}; {of} were learned from again. Both float models, the earlier one "
        f"and this one, answered the same {noun}s."
    )
    limit = (
        f"No limit was set for what a file may lose on the earlier test {noun}s."
        if told.limit is None
        else f"A file is refused when it loses more than {100 * told.limit:g} points on the earlier test {noun}s."
    )
    unknown = f" A {output} that the earlier model does not know is always answered wrongly by it."
    return ForgettingView(
        sentence,
        (
            ForgettingTable((f"{unit} on", f"{noun}s", "before", "now", "change"), splits),
            ForgettingTable(
                (f"earlier {output}, the most forgotten first", f"{figure} before", "now", "change"),
                outputs,
            ),
        ),
        limit + ("" if task.targets.keeps_names else unknown),
    )


def _changed(task: Task, before: float | None, after: float | None) -> str:
    if before is None or after is None:
        return points(None)
    return points(after - before) if task.is_share else f"{after - before:+.3f}".replace("-", "\N{MINUS SIGN}")
