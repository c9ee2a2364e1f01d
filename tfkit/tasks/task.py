"""What is asked of a model, as one value: targets, loss, figures, decisions, and when two models answer alike."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tfkit.artifacts import TaskName
from tfkit.data.targets import TargetKind

Activation = Literal["softmax", "sigmoid", "linear"]


@dataclass(frozen=True)
class Quality:
    """How good a model's answers are on a split.

    Attributes:
        figures: Figures by name; the first one decides about acceptance, and is better when it is higher.
    """

    figures: Mapping[str, float]

    @property
    def metric(self) -> str:
        """The name of the figure that decides."""
        return next(iter(self.figures))

    @property
    def value(self) -> float:
        """The figure that decides."""
        return self.figures[self.metric]


@dataclass(frozen=True)
class Decision:
    """What turns scores into answers, besides the scores.

    Attributes:
        thresholds: Of several labels: the score from which each is given; of two classes: that of the second. Empty:
            one half, and the largest score.
        tolerance: Of numbers: how far two may lie apart and still be called the same; None for a tenth of their
            standard deviation.
    """

    thresholds: tuple[float, ...] = ()
    tolerance: float | None = None


PLAIN = Decision()


@dataclass(frozen=True)
class Task:
    """What is asked of a model.

    Attributes:
        name: As manifests and recipes write it.
        title: For people: "multi-label classification".
        noun: What a model of it is: "classifier".
        targets: What examples are labelled with.
        output: What an exported model calls its numbers.
        activation: The end of its head.
        metric: The figure that decides; higher is better.
        unit: What the figure is called for people: "accuracy".
        is_share: Whether the figure is a share that people read in per cent.
        loss: From training labels and label smoothing to a Keras loss on logits.
        metrics: Keras metrics on logits, shown while it trains.
        quality: From labels, scores and the decision to the figures.
        same: From scores, reference scores, labels and the decision to bool (n,): where both answer alike.
        chance: From labels to the deciding figure of a model that has learned nothing.
        thresholds: From validation labels and scores, and an asked sensitivity, to the decision's thresholds.
        always_thresholds: Whether thresholds are chosen where no sensitivity is asked for, too.
        divergence: How far a student's logits are from a teacher's, at a temperature; a Keras scalar.
        given: From scores and the decision to answers: classes int (n,), labels bool (n, k), or the numbers themselves.
        serve: From a tensor of scores (n, k), the names and the thresholds to what a SavedModel gives, by name.
    """

    name: TaskName
    title: str
    noun: str
    targets: TargetKind
    output: str
    activation: Activation
    metric: str
    unit: str
    is_share: bool
    loss: Callable[[np.ndarray, float], Any]
    metrics: Callable[[], list[Any]]
    quality: Callable[[np.ndarray, np.ndarray, Decision], Quality]
    same: Callable[[np.ndarray, np.ndarray, np.ndarray, Decision], np.ndarray]
    chance: Callable[[np.ndarray, int], float]
    thresholds: Callable[[np.ndarray, np.ndarray, float | None], tuple[float, ...]]
    always_thresholds: bool
    divergence: Callable[[Any, Any, float], Any]
    given: Callable[[np.ndarray, Decision], np.ndarray]
    serve: Callable[[Any, tuple[str, ...], tuple[float, ...]], dict[str, Any]]

    def names_given(self, scores: np.ndarray, names: tuple[str, ...], decision: Decision) -> list[set[str]]:
        """Which names each row of scores is answered with: its class, its labels, or every number's."""
        if self.targets == "numbers":
            return [set(names) for _ in scores]
        answers = self.given(scores, decision)
        if self.targets == "classes":
            return [{names[int(place)]} for place in answers]
        return [{names[place] for place in np.flatnonzero(row)} for row in answers]

    def told(self, value: float | None) -> str:
        """The deciding figure for people."""
        if value is None:
            return "–"
        return f"{100 * value:.1f} %" if self.is_share else f"{value:.3f}"


def no_thresholds(labels: np.ndarray, scores: np.ndarray, sensitivity: float | None) -> tuple[float, ...]:
    """A task that decides without thresholds."""
    return ()
