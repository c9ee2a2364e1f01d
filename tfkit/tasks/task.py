"""What is asked of a model, as one value: targets, loss, figures, decisions, and when two models answer alike."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tfkit.artifacts import TaskName
from tfkit.data.target_kinds import TargetKind, kind_of
from tfkit.errors import ModelError

if TYPE_CHECKING:
    from tfkit.artifacts.search_index import SearchIndex

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
        index: Of vectors: the known ones that they are compared with; without it vectors are compared with each other
            and have no quality.
    """

    thresholds: tuple[float, ...] = ()
    tolerance: float | None = None
    index: "SearchIndex | None" = None


PLAIN = Decision()


Wrong = tuple[int, str]  # the place of an example, and its wrong answer in words
ColumnForm = Literal["text", "count", "share", "number", "signed", "fixed"]


@dataclass(frozen=True)
class AnswerTable:
    """What a report shows of a task's answers, output by output.

    Attributes:
        title: Its heading.
        columns: The heading and the form of each column; the first names the output.
        rows: A value for each column; None where a figure has no meaning.
        explained: What the figures mean, in sentences.
        output: What the model gives, for the card.
        same: When two answers are the same: "gives the same set of labels".
        bars: A title and a share for each output, to be drawn; None for none.
        scattered: Whether each output is drawn against the true one.
    """

    title: str
    columns: tuple[tuple[str, ColumnForm], ...]
    rows: tuple[tuple[str | float | None, ...], ...]
    explained: str
    output: str
    same: str
    bars: tuple[str, tuple[float | None, ...]] | None = None
    scattered: bool = False


@dataclass(frozen=True)
class Objective:
    """What training on examples minimises and shows.

    Attributes:
        loss: From training labels and label smoothing to a Keras loss on logits.
        metrics: Keras metrics on logits, shown while it trains.
        divergence: How far a student's logits are from a teacher's, at a temperature; a Keras scalar.
    """

    loss: Callable[[np.ndarray, float], Any]
    metrics: Callable[[], list[Any]]
    divergence: Callable[[Any, Any, float], Any]


def no_thresholds(labels: np.ndarray, scores: np.ndarray, sensitivity: float | None) -> tuple[float, ...]:
    """A task that decides without thresholds."""
    return ()


def nothing_compared(scores: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Two models' answers are the same or not; nothing else is told of them."""
    return {}


def apart(scores: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """How far scores are from others, number by number."""
    return np.asarray(np.abs(scores - reference))


def nothing_by_output(labels: np.ndarray, scores: np.ndarray, decision: Decision) -> list[float | None]:
    """A task whose outputs mean nothing each on its own."""
    return [None] * scores.shape[-1]


def as_they_are(scores: np.ndarray, decision: Decision) -> np.ndarray:
    """Scores that are probabilities already."""
    return scores


def nothing_refused() -> None:
    """A task whose figures need nothing that may be missing."""


def nothing_noted(decision: Decision) -> str:
    """Answers that need no explanation."""
    return ""


@dataclass(frozen=True)
class Task:
    """What is asked of a model.

    Attributes:
        name: As manifests and recipes write it.
        title: For people: "multi-label classification".
        noun: What a model of it is: "classifier".
        targets: What examples are labelled with.
        output: What an exported model calls its numbers.
        described: From the names of the outputs to what these numbers are, in a sentence, for a file's metadata.
        activation: The end of its head.
        metric: The figure that decides; higher is better.
        unit: What the figure is called for people: "accuracy".
        is_share: Whether its figures are shares that people read in per cent.
        figures: What each of its figures is called for people, by name.
        objective: What training minimises; None where a training of its own does it (`train_embedder`).
        quality: From labels, scores and the decision to the figures.
        same: From scores, reference scores, labels and the decision to bool (n,): where both answer alike; or float
            (n,), how much of each answer is alike.
        chance: From labels to the deciding figure of a model that has learned nothing; None when it is not known.
        given: From scores and the decision to answers: classes int (n,), labels bool (n, k), the numbers themselves, or
            masks uint8 (n, height, width).
        serve: From a tensor of scores, (n, k) or (n, height, width, k), the names and the thresholds to what a
            SavedModel gives, by name.
        thresholds: From validation labels and scores, and an asked sensitivity, to the decision's thresholds.
        always_thresholds: Whether thresholds are chosen where no sensitivity is asked for, too.
        difference: From scores and reference scores to how far each is from the other, float.
        compared: From scores and reference scores to further figures of how alike they are, by name.
        confidences: From scores and the decision to how sure each possible answer is, float32 (n, k).
        answers: From labels, scores, names and the decision to what a report shows of the answers; None for classes and
            vectors, whose sections are richer and stand with the reports.
        wrong: From labels, scores, names and the decision to the places of wrong answers, the worst first, and each
            answer in words; None as for `answers`.
        by_output: From labels, scores and the decision to one figure for each output: recall, F1, R2 or IoU; None where
            it has no meaning.
        by_output_unit: What that figure is called.
        marked: From scores and the decision to which outputs each answer names, bool (n, k); None of vectors.
        sureness: From scores to how sure each answer is of what it names, float (n, m); None of numbers and vectors.
        shown: From scores and the decision to a figure for each output, (n, k), that people are shown.
        output_noun: What one output is called: "class".
        figure_noun: What its figure is called: "score".
        noted: From the decision to a sentence on how the answers are to be read; empty for none.
        refused: Refuses a task whose figures cannot be reckoned here, for want of a library.
        outside_notes: Of a file from elsewhere that is called of this task: what its reader must know, by the function
            at its end; under "" that of every other function.
        pipelines: What the Hugging Face hub calls it, by what the model takes.
        gives_several: Whether an answer may name several outputs, or none.
        answers_pixels: Whether it answers each pixel, not the whole example.
        answers_boxes: Whether it answers with boxes, as many as it finds.
        answers_lists: Whether it answers with a list of outputs, the best first.
        answers_tokens: Whether it answers with a text, token by token.
        judged_by_index: Where outputs have no names: whether known vectors are needed to judge its answers.
        has_names: Whether each output has a name, which `labels.txt` and the manifest keep: all but vectors.
        has_labels: Whether these names are labels, for readers of TFLite metadata: all but numbers and vectors.
    """

    name: TaskName
    title: str
    noun: str
    targets: TargetKind
    output: str
    described: Callable[[tuple[str, ...]], str]
    activation: Activation
    metric: str
    unit: str
    is_share: bool
    figures: Mapping[str, str]
    objective: Objective | None
    quality: Callable[[np.ndarray, np.ndarray, Decision], Quality]
    same: Callable[[np.ndarray, np.ndarray, np.ndarray, Decision], np.ndarray]
    chance: Callable[[np.ndarray, int], float | None]
    given: Callable[[np.ndarray, Decision], np.ndarray]
    serve: Callable[[Any, tuple[str, ...], tuple[float, ...]], dict[str, object]]
    thresholds: Callable[[np.ndarray, np.ndarray, float | None], tuple[float, ...]] = no_thresholds
    always_thresholds: bool = False
    difference: Callable[[np.ndarray, np.ndarray], np.ndarray] = apart
    compared: Callable[[np.ndarray, np.ndarray], Mapping[str, float]] = nothing_compared
    confidences: Callable[[np.ndarray, Decision], np.ndarray] = as_they_are
    answers: Callable[[np.ndarray, np.ndarray, tuple[str, ...], Decision], AnswerTable] | None = None
    wrong: Callable[[np.ndarray, np.ndarray, tuple[str, ...], Decision], list[Wrong]] | None = None
    by_output: Callable[[np.ndarray, np.ndarray, Decision], list[float | None]] = nothing_by_output
    by_output_unit: str = "recall"
    marked: Callable[[np.ndarray, Decision], np.ndarray] | None = None
    sureness: Callable[[np.ndarray], np.ndarray] | None = None
    shown: Callable[[np.ndarray, Decision], np.ndarray] = as_they_are
    output_noun: str = "class"
    figure_noun: str = "score"
    noted: Callable[[Decision], str] = nothing_noted
    refused: Callable[[], None] = nothing_refused
    outside_notes: Mapping[str, str] = field(default_factory=dict)
    pipelines: Mapping[str, str] = field(default_factory=dict)
    gives_several: bool = False
    answers_pixels: bool = False
    answers_boxes: bool = False
    answers_lists: bool = False
    answers_tokens: bool = False
    judged_by_index: bool = True
    has_names: bool = True
    has_labels: bool = True

    @property
    def of_classes(self) -> bool:
        """Whether examples are of one class of several."""
        return self.targets.name == "classes"

    @property
    def answers_parts(self) -> bool:
        """Whether its answers are of parts of an example."""
        return self.answers_pixels or self.answers_boxes

    @property
    def answers_whole(self) -> bool:
        """Whether one answer stands for the whole example; drift, queues and bundles know no others."""
        return not (self.answers_parts or self.answers_lists or self.answers_tokens)

    @property
    def gives_numbers(self) -> bool:
        """Whether its outputs are numbers with names: no scores, and no parts of a vector."""
        return self.has_names and not self.has_labels

    def learned_from_labels(self) -> Objective:
        """Its objective.

        Raises:
            ModelError: When labels alone do not train a model of it.
        """
        if self.objective is None:
            raise ModelError(
                f"{self.title} are not learned from labels alone", hint="train with train_embedder, on pairs of texts"
            )
        return self.objective

    def judged(self, labels: np.ndarray, scores: np.ndarray, decision: Decision) -> Quality | None:
        """Its quality; None where labels are of another kind, or vectors have no known ones to be compared with."""
        unknown = not self.has_names and self.judged_by_index and decision.index is None
        return None if unknown or kind_of(labels) is not self.targets else self.quality(labels, scores, decision)

    def names_given(self, scores: np.ndarray, names: tuple[str, ...], decision: Decision) -> list[set[str]]:
        """Which names each row of scores is answered with: its class, its labels, every number's, or all in a mask."""
        assert self.marked is not None
        return [{names[place] for place in np.flatnonzero(row)} for row in self.marked(scores, decision)]

    def told_figure(self, name: str, value: float) -> str:
        """One of its figures for people, with its name.

        Example:
            >>> MULTILABEL.told_figure("f1", 0.5)
            'F1, mean over the labels 50.0 %'
        """
        return f"{self.figures[name]} {self.figure(value)}"

    def figure(self, value: float) -> str:
        """The value of one of its figures for people.

        Example:
            >>> CLASSIFICATION.figure(0.954), REGRESSION.figure(12.34567)
            ('95.4 %', '12.35')
        """
        if math.isnan(value):
            return "–"
        return f"{100 * value:.1f} %" if self.is_share else f"{value:.4g}"

    def told(self, value: float | None) -> str:
        """The deciding figure for people."""
        if value is None:
            return "–"
        return f"{100 * value:.1f} %" if self.is_share else f"{value:.3f}"
