"""Which new examples are worth a label, written as a table that a recipe reads once it is filled in."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import ImageSpec
from tfkit.data import Examples, LeftOut
from tfkit.errors import DataError
from tfkit.files import write_whole
from tfkit.inputs import input_of
from tfkit.monitoring import choose_to_label
from tfkit.operations.shipped_model import ShippedModel
from tfkit.operations.values import PathLike, TextTable
from tfkit.running import Display, SilentDisplay
from tfkit.tasks import Decision

_PATH = "path"
_SEPARATOR = ";"  # of several labels, as `task.separator` of a recipe has it


@dataclass(frozen=True)
class ToLabel:
    """An example that is worth a label.

    Attributes:
        name: Its file, or the text.
        suggested: What the model answers; empty for a model of vectors.
        confidence: How sure it is, 0..1; None where that is not known.
    """

    name: str
    suggested: str
    confidence: float | None


@dataclass(frozen=True)
class LabelQueue:
    """What to label next.

    Attributes:
        rows: The examples, the most doubtful first.
        examples: How many there were to choose from.
        left_out: Those that cannot be read.
        noun: What an example is called.
        columns: Of the table: the example's, and those to fill in.
        notes: What was not known, in sentences.
    """

    rows: tuple[ToLabel, ...]
    examples: int
    left_out: tuple[LeftOut, ...]
    noun: str
    columns: tuple[str, ...]
    notes: tuple[str, ...]

    def save(self, path: Path) -> None:
        """Write the table, whole or not at all: `path` or `text`, empty labels, `suggested` and `confidence`.

        Args:
            path: The `.csv` file. Pictures below its folder are named relative to it, others absolutely: as a recipe
                with `source: csv` reads them.

        Raises:
            DataError: When the file is there already, or cannot be written.
        """
        if path.exists():
            raise DataError(f"'{path}' exists already, and may hold labels", hint="choose another name")
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow((*self.columns, "suggested", "confidence"))
        for row in self.rows:
            sure = "" if row.confidence is None else f"{row.confidence:.3f}"
            name = _beside(path, row.name) if self.columns[0] == _PATH else row.name
            writer.writerow((name, *[""] * (len(self.columns) - 1), row.suggested, sure))
        try:
            write_whole(path, text.getvalue())
        except OSError as fault:
            raise DataError(f"cannot write '{path}': {fault.strerror or fault}") from None


def label_queue(
    run: PathLike,
    new: PathLike | Sequence[PathLike],
    *,
    count: int = 50,
    examples: int = 10_000,
    table: TextTable = TextTable(),  # noqa: B008 - a frozen value
    seed: int = 0,
    display: Display | None = None,
) -> LabelQueue:
    """Choose new pictures or texts to label: those the model is unsure of, unlike each other; `tfkit label-queue`.

    Args:
        run: The folder of a finished run.
        new: Pictures or folders of pictures; of texts `.txt` files of a text a line, or tables. No label is read.
        count: How many to choose.
        examples: How many to choose from, drawn at random where there are more.
        table: How tables of texts are laid out; as the run's data where it says nothing.
        seed: Of what is drawn.
        display: Where progress is shown; nowhere when None.

    Returns:
        The chosen ones with what the model answers.

    Raises:
        ModelError: When the run exported nothing, or has no Keras model to see with.
        DataError: When nothing can be read.

    Example:
        >>> tfkit.label_queue("runs/digits", "photos/november", count=2).rows  # doctest: +SKIP
        (ToLabel(name='photos/november/17.png', suggested='3', confidence=0.41), ...)
    """
    paths = [Path(path) for path in ([new] if isinstance(new, str | Path) else new)]
    asked = ShippedModel(Path(run), display or SilentDisplay())
    found, left_out = asked.unlabelled(paths, at_most=examples, seed=seed, table=table)
    scores = asked.scores(f"New {asked.noun}s", found)
    vectors, doubts = asked.vectors(found, scores), _doubts(asked, scores)
    vectors = scores if vectors is None else vectors
    chosen = choose_to_label(vectors, doubts, count=count, seed=seed)
    by_text = not isinstance(asked.spec, ImageSpec)
    shown = input_of(asked.spec).shown(found.select(chosen), asked.spec) if by_text else ()
    names = [str(text) for text in shown] if by_text else [found.names[place] for place in chosen]
    answers = _answers(asked, scores[chosen])
    rows = tuple(ToLabel(name, *answer) for name, answer in zip(names, answers, strict=True))
    columns = ("text" if by_text else _PATH, *_label_columns(asked, found))
    return LabelQueue(rows, len(found), left_out, asked.noun, columns, tuple(asked.notes))


def _beside(table: Path, name: str) -> str:
    file, folder = Path(name).resolve(), table.resolve().parent
    return (file.relative_to(folder) if file.is_relative_to(folder) else file).as_posix()


def _label_columns(asked: ShippedModel, found: Examples) -> tuple[str, ...]:
    return found.class_names if asked.task.gives_numbers else ("label",)


def _doubts(asked: ShippedModel, scores: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Each score less 1 for an answer that is given; None of numbers and vectors."""
    if not asked.task.has_labels:
        return None
    assert asked.task.marked is not None
    return scores - asked.task.marked(scores, Decision(asked.artifact.thresholds)).astype(np.float32)


def _answers(asked: ShippedModel, scores: NDArray[np.float32]) -> Iterator[tuple[str, float | None]]:
    names, decision = asked.artifact.class_names, Decision(asked.artifact.thresholds)
    if not asked.task.has_names:
        yield from (("", None) for _ in scores)
    elif asked.task.sureness is None:
        columns = scores[:, -len(names) :]  # a sigmoid's number comes behind 1 - itself
        yield from ((_SEPARATOR.join(f"{value:.5g}" for value in row), None) for row in columns)
    else:
        least_sure = asked.task.sureness(scores).min(axis=1)
        for sure, given in zip(least_sure, asked.task.names_given(scores, names, decision), strict=True):
            yield _SEPARATOR.join(name for name in names if name in given), float(sure)
