"""What is asked of the operations and what comes out of them, as values."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import TaskName
from tfkit.errors import ModelError
from tfkit.tasks import PLAIN, Decision, Task, task_named

if TYPE_CHECKING:
    from tfkit.data import Examples
    from tfkit.explaining import Explanation, Faithfulness
    from tfkit.reports import ArtifactResult
    from tfkit.stages.replying import Reply
    from tfkit.verification import AcceptancePolicy

_NO_NUMBERS = "its training has gone wrong; train it again with a lower learning_rate, and export it again"
PathLike = str | Path
Kind = Literal["image", "text", "user"]
Best = list[tuple[str, float]]


def as_path(said: PathLike | None) -> Path | None:
    """A path as it was said, or None."""
    return None if said is None else Path(said)


@dataclass(frozen=True, eq=False)
class Heated:
    """Where a model looked in one picture.

    Attributes:
        label: The class or label whose score was looked at: the likeliest.
        pixels: uint8 (height, width, channels), the picture as the model takes it.
        heat: float32 (height, width): above zero what spoke for the label.
        told: How the model's own score follows the heat map.
        method: How the heat map was made.
        file: Where it was written; empty where it was not.
    """

    label: str
    pixels: NDArray[np.uint8]
    heat: NDArray[np.float32]
    told: "Faithfulness"
    method: str = "occlusion"
    file: str = ""

    def document(self) -> dict[str, object]:
        """Its figures as JSON keeps them."""
        return {
            "label": self.label,
            "method": self.method,
            "deletion": self.told.deletion,
            "insertion": self.told.insertion,
            "random_deletion": self.told.random_deletion,
            "random_insertion": self.told.random_insertion,
            "means_something": self.told.means_something,
            "heat_map": self.file or None,
        }


@dataclass(frozen=True)
class Reason:
    """Why an item was offered to a user.

    Attributes:
        item: The item.
        because: Items of the user's history that spoke for it, the strongest first, and what its score loses without
            each.
    """

    item: str
    because: tuple[tuple[str, float], ...]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model said about pictures, texts or users.

    Attributes:
        kind: `image`, `text` or `user`.
        inputs: The pictures' files, the texts, or what each user took; n of them.
        model: The file that answered.
        class_names: Its classes, labels or numbers.
        scores: float32 (n, k); of a segmenter (n, height, width, k).
        task: What was asked of it.
        thresholds: As for `tfkit.artifacts.Artifact`.
        explained: Which words gave each text its label; None where that was not asked.
        masks: Of a segmenter the files of its answers, where they were written.
        heated: Where the model looked in each picture; empty where that was not asked.
        reasons: Of a recommender: for each user why its best items were offered; empty where that was not asked.
    """

    kind: Kind
    inputs: tuple[str, ...]
    model: Path
    class_names: tuple[str, ...]
    scores: NDArray[np.floating]
    task: TaskName = "classification"
    thresholds: tuple[float, ...] = ()
    explained: "Explained | None" = None
    masks: tuple[str, ...] = ()
    heated: tuple[Heated, ...] = ()
    reasons: tuple[tuple[Reason, ...], ...] = ()

    @property
    def asked(self) -> Task:
        """What was asked of it."""
        return task_named(self.task)

    def given(self) -> list[set[str]]:
        """Which names each row is answered with: a class, the labels that reach their thresholds, or all numbers."""
        return self.asked.names_given(self.scores, self.class_names, Decision(self.thresholds))

    def best(self, *, top: int) -> list[Best]:
        """The `top` best labels of each row of scores, best first; numbers, which have no best, all in their order.

        Of masks the share of pixels that each class was given, the largest first.

        Raises:
            ModelError: When a score is no number.
        """
        if not np.isfinite(self.scores).all():
            raise ModelError("the model answers with scores that are no numbers (NaN or infinite)", hint=_NO_NUMBERS)
        if self.asked.gives_numbers:
            return [list(zip(self.class_names, map(float, row), strict=True)) for row in self.scores]
        rows = self.asked.shown(self.scores, PLAIN)
        return [[(self.class_names[k], float(row[k])) for k in row.argsort()[::-1][:top]] for row in rows]

    def boxes(self, place: int) -> list[dict[str, object]]:
        """Of a detector: what it found in one picture, the surest first.

        Args:
            place: The picture's place among the inputs.

        Returns:
            For each box `label`, `score`, and `box`: top, left, bottom and right as shares of the picture.
        """
        (found,) = self.asked.given(self.scores[place : place + 1], Decision(self.thresholds))
        return [
            {"label": self.class_names[int(row[0])], "score": float(row[1]), "box": [float(side) for side in row[2:]]}
            for row in found
        ]

    def document(self, *, top: int = 5) -> dict[str, object]:
        """The answer as JSON keeps it.

        Args:
            top: Labels to name for each picture or text.

        Returns:
            `model`, and `images`, `texts` or `users`: each with its labels and scores, which are given, and why.
        """
        answers: list[dict[str, object]] = []
        for one, row, given in zip(self.inputs, self.best(top=top), self.given(), strict=True):
            best = [{"label": label, "score": score} for label, score in row]
            answer: dict[str, object] = {self.kind: one, "top": best}
            if self.asked.gives_several:
                answer["labels"] = [name for name in self.class_names if name in given]
                answer |= {"mask": self.masks[len(answers)]} if self.masks else {}
            elif self.thresholds:
                answer["label"] = next(iter(given))
            if self.asked.answers_boxes:
                answer["boxes"] = self.boxes(len(answers))
            answers.append(answer)
        if self.heated:
            answers = [
                {**answer, "explanation": one.document()} for answer, one in zip(answers, self.heated, strict=True)
            ]
        if self.reasons:
            answers = [
                {**answer, "reasons": [asdict(one) for one in found]}
                for answer, found in zip(answers, self.reasons, strict=True)
            ]
        if self.explained is not None:
            answers = [
                {**answer, "explanation": plain}
                for answer, plain in zip(answers, self.explained.documents(), strict=True)
            ]
        return {"model": str(self.model), f"{self.kind}s": answers}


@dataclass(frozen=True)
class Explained:
    """Why some texts got their labels.

    Attributes:
        model: The Keras model that was asked.
        labels: The label of each text.
        explanations: Which words gave it.
        notes: Sentences about models that could not be asked.
    """

    model: Path
    labels: tuple[str, ...]
    explanations: "tuple[Explanation, ...]"
    notes: tuple[str, ...]

    def documents(self) -> list[dict[str, object]]:
        """Each explanation as JSON keeps it."""
        told = []
        for label, explanation in zip(self.labels, self.explanations, strict=True):
            plain = {"label": label, "model": str(self.model), "notes": self.notes, **asdict(explanation)}
            del plain["text"], plain["class_index"]
            told.append(plain)
        return told


@dataclass(frozen=True)
class NearText:
    """An indexed text near to one that was asked about.

    Attributes:
        text: The indexed text.
        label: Its label.
        cosine: Of the angle between the two; 1 for the same text.
    """

    text: str
    label: str
    cosine: float


@dataclass(frozen=True)
class FoundAnswer:
    """What a model of sentence embeddings found for one text.

    Attributes:
        text: What was asked.
        label: The most probable label.
        confidence: Its probability, 0..1.
        answer: What to reply; None when the model is not sure.
        nearest: The nearest indexed texts, nearest first.
    """

    text: str
    label: str
    confidence: float
    answer: str | None
    nearest: tuple[NearText, ...]


@dataclass(frozen=True)
class FoundTexts:
    """What a model of sentence embeddings answers.

    Attributes:
        model: The file that embedded the texts.
        answers: One for each text.
    """

    model: Path
    answers: tuple[FoundAnswer, ...]

    def document(self) -> dict[str, object]:
        """The answers as JSON keeps them."""
        return {"model": str(self.model), "texts": [asdict(answer) for answer in self.answers]}


@dataclass(frozen=True)
class Replies:
    """What a language model replies.

    Attributes:
        model: The file that was asked.
        replies: One for each question.
    """

    model: Path
    replies: "tuple[Reply, ...]"

    def document(self) -> dict[str, object]:
        """The replies as JSON keeps them."""
        return {"model": str(self.model), "replies": [asdict(reply) for reply in self.replies]}


@dataclass(frozen=True)
class Limits:
    """What a file is accepted or refused by; None: no limit.

    Attributes:
        max_accuracy_drop: The largest loss against the reference, as a fraction.
        min_agreement: The smallest share of answers equal to the reference's.
        max_bytes: Of the file.
        max_latency_ms_p95: 95th percentile of its time for one image or text.
        max_float_ops: Float operators that an int8 file may have.
        min_runtime: The TensorFlow Lite runtime that must read it, such as `2.14`.
    """

    max_accuracy_drop: float | None = None
    min_agreement: float | None = None
    max_bytes: int | None = None
    max_latency_ms_p95: float | None = None
    max_float_ops: int | None = None
    min_runtime: str | None = None

    @property
    def any_given(self) -> bool:
        """Whether there is anything to accept or refuse by."""
        return any(limit is not None for limit in asdict(self).values())

    @property
    def policy(self) -> "AcceptancePolicy":
        """The same with the values that stand for no limit."""
        from tfkit.verification import AcceptancePolicy

        return AcceptancePolicy(
            max_accuracy_drop=1.0 if self.max_accuracy_drop is None else self.max_accuracy_drop,
            min_agreement=0.0 if self.min_agreement is None else self.min_agreement,
            max_bytes=self.max_bytes,
            max_latency_ms_p95=self.max_latency_ms_p95,
            max_float_ops=self.max_float_ops,
            min_runtime=self.min_runtime,
        )


@dataclass(frozen=True)
class TextTable:
    """How a file of labelled texts is laid out; None: as the data of the model's run.

    Attributes:
        text_column: The column's name or number.
        label_column: See there.
        header: Whether the first line names the columns.
    """

    text_column: str | None = None
    label_column: str | None = None
    header: bool | None = None


@dataclass(frozen=True, eq=False)
class Verified:
    """What was measured on some files.

    Attributes:
        files: One result a file.
        examples: The labelled images or texts; None without them.
        reference: The deciding figure of the Keras reference; None without one.
    """

    files: "tuple[ArtifactResult, ...]"
    examples: "Examples | None" = field(repr=False)
    reference: float | None

    @property
    def accepted(self) -> bool:
        """Whether no file was refused."""
        return not any(file.refusals for file in self.files)

    @property
    def metric(self) -> str:
        """The name of the deciding figure."""
        return next((name for file in self.files for name in file.figures), "accuracy")

    def document(self) -> dict[str, object]:
        """Every figure as JSON keeps it."""
        metric = self.metric
        return {
            "accepted": self.accepted,
            "evaluation": {"examples": len(self.examples), "metric": metric, "keras": self.reference}
            if self.examples
            else None,
            "artifacts": [{**asdict(file), metric: file.quality} for file in self.files],
        }
