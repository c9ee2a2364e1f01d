"""The evaluation, and what it says beyond one accuracy: classes, confusions, mistakes, trust in the confidence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tfkit.tasks import PLAIN, Decision, Quality, Task, task_of

CALIBRATION_BINS = 10


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The Keras model's answers on the whole evaluation split.

    Attributes:
        class_names: The k labels, in the order of the scores.
        labels: The true classes, int (n,); or rows of labels or numbers, as `tfkit.data.targets` says.
        scores: float32 (n, k), the Keras model's scores or numbers; (n, d) vectors of an embedder.
        names: What to call each example (its path in the data folder).
        decision: What turns scores into answers.
        asked: What is asked of the model; None for what its labels say.
    """

    class_names: tuple[str, ...]
    labels: np.ndarray
    scores: np.ndarray
    names: tuple[str, ...]
    decision: Decision = PLAIN
    asked: Task | None = None

    @property
    def task(self) -> Task:
        """What is asked of the model."""
        return self.asked or task_of(self.labels)

    @cached_property
    def answers(self) -> np.ndarray:
        """What it answers: classes int (n,), labels bool (n, k), or the numbers themselves."""
        return self.task.given(self.scores, self.decision)

    @cached_property
    def confidences(self) -> np.ndarray:
        """How sure it is of each possible answer, float32 (n, k)."""
        return self.task.confidences(self.scores, self.decision)

    @cached_property
    def quality(self) -> Quality:
        """How good its answers are."""
        return self.task.quality(self.labels, self.scores, self.decision)

    @property
    def examples(self) -> int:
        """Number of evaluation images or texts, n."""
        return len(self.labels)

    @property
    def metric(self) -> str:
        """The name of the figure that decides, which `keras` is."""
        return self.quality.metric

    @property
    def told(self) -> str:
        """The deciding figure in words: "accuracy 95.4%"."""
        return f"{self.task.unit} {self.task.told(self.keras)}"

    @property
    def keras(self) -> float:
        """The Keras model's deciding figure: its accuracy, or another of its task."""
        return self.quality.value


@dataclass(frozen=True)
class ClassScore:
    """How well one class is recognised.

    Attributes:
        number: Its position in the scores, from 0.
        name: Its name.
        examples: Evaluation images or texts of the class.
        precision: Of the examples called this class, the share that is; None when none was called so.
        recall: Of the examples of this class, the share that was found; None without examples.
        f1: Harmonic mean of both; None where it has no meaning.
    """

    number: int
    name: str
    examples: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class Confusion:
    """One class taken for another: `examples` of `of` examples of class `true` were called `predicted`."""

    true: str
    predicted: str
    examples: int
    of: int


@dataclass(frozen=True)
class Mistake:
    """One image or text that was answered wrongly.

    Attributes:
        position: Its position in the evaluation split.
        name: What to call it.
        true: Its class, labels or numbers in words.
        predicted: Those it was given.
        confidence: The score of the wrong class, 0..1; None where the task has none; so is the next.
        true_confidence: The score of the right class, 0..1.
    """

    position: int
    name: str
    true: str
    predicted: str
    confidence: float | None = None
    true_confidence: float | None = None


@dataclass(frozen=True)
class CalibrationBin:
    """Examples whose confidence lies in one tenth: their number, mean confidence and accuracy."""

    examples: int
    confidence: float
    accuracy: float


def confusion_matrix(evaluation: Evaluation) -> np.ndarray:
    """Count how often each class was taken for each.

    Returns:
        int (k, k): rows are true classes, columns predicted ones.
    """
    from sklearn.metrics import confusion_matrix as count_confusions  # a second to import

    classes = np.arange(len(evaluation.class_names))
    counts: np.ndarray = count_confusions(evaluation.labels, evaluation.answers, labels=classes)
    return counts


def class_scores(evaluation: Evaluation) -> tuple[ClassScore, ...]:
    """Precision, recall and F1 of each class, in the order of the scores."""
    from sklearn.metrics import precision_recall_fscore_support  # a second to import

    columns = precision_recall_fscore_support(
        evaluation.labels,
        evaluation.answers,
        labels=np.arange(len(evaluation.class_names)),
        zero_division=np.nan,
    )
    return tuple(
        ClassScore(number, name, int(examples), *(_known(value) for value in (precision, recall, f1)))
        for number, (name, precision, recall, f1, examples) in enumerate(
            zip(evaluation.class_names, *columns, strict=True)
        )
    )


def most_confused(evaluation: Evaluation) -> tuple[Confusion, ...]:
    """Every pair of classes that were confused, the most frequent first."""
    matrix = confusion_matrix(evaluation)
    names, of = evaluation.class_names, matrix.sum(axis=1)
    pairs = [
        Confusion(names[true], names[predicted], int(matrix[true, predicted]), int(of[true]))
        for true, predicted in np.argwhere(matrix)
        if true != predicted
    ]
    return tuple(sorted(pairs, key=lambda pair: (-pair.examples, pair.of, pair.true, pair.predicted)))


def mistakes(evaluation: Evaluation) -> tuple[Mistake, ...]:
    """Every wrongly classified example, the most confident mistake first."""
    predicted, confidences = evaluation.answers, evaluation.confidences
    wrong = np.flatnonzero(predicted != evaluation.labels)
    ordered = wrong[np.argsort(-confidences[wrong, predicted[wrong]], kind="stable")]
    return tuple(
        Mistake(
            position=int(position),
            name=evaluation.names[position],
            true=evaluation.class_names[evaluation.labels[position]],
            predicted=evaluation.class_names[predicted[position]],
            confidence=float(confidences[position, predicted[position]]),
            true_confidence=float(confidences[position, evaluation.labels[position]]),
        )
        for position in ordered
    )


def calibration(evaluation: Evaluation) -> tuple[CalibrationBin, ...]:
    """Sort the examples by the confidence of their answer into tenths; empty tenths are left out.

    See Guo et al., "On Calibration of Modern Neural Networks", 2017.
    """
    confidence = np.take_along_axis(evaluation.confidences, evaluation.answers[:, None], axis=1)[:, 0]
    right = evaluation.answers == evaluation.labels
    tenth = np.clip((confidence * CALIBRATION_BINS).astype(int), 0, CALIBRATION_BINS - 1)
    members = [tenth == number for number in range(CALIBRATION_BINS)]
    return tuple(
        CalibrationBin(int(member.sum()), float(confidence[member].mean()), float(right[member].mean()))
        for member in members
        if member.any()
    )


def calibration_error(bins: tuple[CalibrationBin, ...]) -> float:
    """Expected calibration error: how far confidence and accuracy lie apart on average, 0..1."""
    examples = sum(tenth.examples for tenth in bins)
    return sum(tenth.examples * abs(tenth.confidence - tenth.accuracy) for tenth in bins) / max(examples, 1)


def accuracy_interval(accuracy: float, examples: int) -> tuple[float, float]:
    """Where the accuracy on endless examples of the same kind lies, with 95 % confidence (Wilson's interval).

    Args:
        accuracy: Measured share, 0..1.
        examples: On how many images or texts, at least 1.

    Returns:
        Lower and upper bound, 0..1.

    Example:
        >>> lower, upper = accuracy_interval(0.9, 100)
        >>> round(lower, 3), round(upper, 3)
        (0.826, 0.945)
    """
    z = 1.959964
    scale = 1 + z * z / examples
    centre = (accuracy + z * z / (2 * examples)) / scale
    reach = z * math.sqrt(accuracy * (1 - accuracy) / examples + z * z / (4 * examples * examples)) / scale
    return max(0.0, centre - reach), min(1.0, centre + reach)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
