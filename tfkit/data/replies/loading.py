"""A table of questions and answers: read, checked, and split."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from tfkit.arguments import takes_text
from tfkit.data.examples import DataReport, DatasetSplits, LeftOut
from tfkit.data.loading import check_fractions
from tfkit.data.replies.examples import ReplyExamples
from tfkit.data.text.loading import load_text_splits
from tfkit.data.text.normalizing import BUILT_IN_ANSWERS
from tfkit.data.text.reading import FileSource, TextFormat, read_file
from tfkit.errors import DataError

ReplySource = Literal["csv", "tsv", "jsonl", "built_in"]
_Row = tuple[str, str, str]  # name, question, answer
_SHOWN, _FEWEST = 10, 10


@takes_text
def load_reply_splits(
    *,
    source: ReplySource,
    directory: Path | None = None,
    train: Path | None = None,
    validation: Path | None = None,
    test: Path | None = None,
    question_column: str | int | None = None,
    answer_column: str | int | None = None,
    header: bool = True,
    separator: str | None = None,
    encoding: str = "utf-8",
    validation_fraction: float = 0.1,
    test_fraction: float = 0.2,
    seed: int = 0,
    bad_rows: Literal["error", "skip"] = "error",
) -> DatasetSplits[ReplyExamples]:
    """Read questions and answers; the same question, whatever its letters' case, never lies in two splits.

    Args:
        source: `csv`, `tsv` or `jsonl`, a row for each question; or `built_in`, a shop's.
        directory: Where relative files start.
        train: The file to learn from.
        validation: The file on which settings are chosen; None for a share of `train`.
        test: The file that the model is judged on; None for a share of `train`.
        question_column: Its name, or its number from 0; `question`, or 0 without a header.
        answer_column: Likewise; `answer`, or 1.
        header: Whether the first line of each csv or tsv names the columns.
        separator: One character; None for `,` in csv and a tab in tsv.
        encoding: Of the files.
        validation_fraction: Of the questions, where no file is named; in [0, 1).
        test_fraction: Likewise; in (0, 1).
        seed: The same seed shares out the same questions.
        bad_rows: What a row that cannot be used does: `error` stops with a list of all, `skip` leaves it out.

    Raises:
        DataError: When data are missing or damaged, or too few.

    Example:
        >>> splits = load_reply_splits(source="built_in")
        >>> len(splits.train) + len(splits.validation) + len(splits.test)
        330
    """
    check_fractions(validation_fraction=validation_fraction, test_fraction=test_fraction)
    layout = TextFormat(header=header, separator=separator, encoding=encoding)
    left_out: list[LeftOut] = []
    parts: dict[str, list[_Row]] = {}
    if source == "built_in":
        parts["train"] = _built_in()
    else:
        if train is None:
            raise DataError(f"source {source} needs a table of questions", hint=f"set data.train to a .{source} file")
        root = (directory or Path()).expanduser()
        for name, file in (("train", train), ("validation", validation), ("test", test)):
            if file is not None:
                parts[name] = _rows(root / file, source, layout, question_column, answer_column, bad_rows, left_out)
    notes = _share_out(parts, {"validation": validation_fraction, "test": test_fraction}, seed)
    if len(parts["train"]) < _FEWEST:
        raise DataError(f"{len(parts['train'])} questions are left to learn from; {_FEWEST} are needed at least")
    splits = {name: _examples(parts[name]) for name in ("train", "validation", "test")}
    different = len({answer for rows in parts.values() for _, _, answer in rows})
    notes.append(f"{different:,} different answers.")
    report = DataReport(
        kept={name: split.class_counts() for name, split in splits.items()},
        left_out=tuple(left_out), duplicates=(), leakage=(), notes=tuple(notes),
        examples={name: len(split) for name, split in splits.items()},
    )  # fmt: skip
    return DatasetSplits(splits["train"], splits["validation"], splits["test"], report)


@takes_text
def load_reply_examples(
    path: Path,
    *,
    question_column: str | int | None = None,
    answer_column: str | int | None = None,
    header: bool = True,
    separator: str | None = None,
    encoding: str = "utf-8",
) -> ReplyExamples:
    """Read questions and answers as they are, to judge a model that exists already.

    Args:
        path: A .jsonl, a .csv, or any other file, which is read as tsv is.
        question_column: As for `load_reply_splits`, and so are the options that follow.
        answer_column: See there.
        header: See there.
        separator: See there.
        encoding: See there.

    Raises:
        DataError: When rows cannot be used.
    """
    sources: dict[str, FileSource] = {".csv": "csv", ".jsonl": "jsonl"}
    layout = TextFormat(header=header, separator=separator, encoding=encoding)
    source = sources.get(path.suffix.lower(), "tsv")
    rows = _rows(path, source, layout, question_column, answer_column, "error", [])
    if not rows:
        raise DataError(f"there is no question in '{path}'", hint="a row each: question and answer")
    return _examples(rows)


def _examples(rows: Sequence[_Row]) -> ReplyExamples:
    names, questions, answers = (tuple(part) for part in zip(*rows, strict=True)) if rows else ((), (), ())
    return ReplyExamples(questions, answers, names)


def _built_in() -> list[_Row]:
    """The shop's questions, each with its topic's answer."""
    layout = TextFormat(labelled=False, text_column="label", cells=("answer",))
    answers = {row.text: row.label for row in read_file(BUILT_IN_ANSWERS, "csv", layout, as_part="train")["train"].rows}
    whole = load_text_splits(source="built_in", validation_fraction=0.0)
    rows = []
    for part in (whole.train, whole.test):
        for name, text, label in zip(part.names, part.texts, part.labels, strict=True):
            rows.append((name, text, answers[whole.class_names[label]]))
    return sorted(rows, key=lambda row: int(row[0].rpartition(":")[2]))


def _rows(
    path: Path,
    source: FileSource,
    layout: TextFormat,
    question: str | int | None,
    answer: str | int | None,
    bad_rows: str,
    left_out: list[LeftOut],
) -> list[_Row]:
    named = layout.header or source == "jsonl"
    question = question if question is not None else ("question" if named else 0)
    answer = answer if answer is not None else ("answer" if named else 1)
    wanted = TextFormat(
        text_column=question, header=layout.header, separator=layout.separator, encoding=layout.encoding,
        labelled=False, cells=(answer,),
    )  # fmt: skip
    reading = read_file(path, source, wanted, as_part="train")["train"]
    bad = [LeftOut(one.name, one.reason.replace("its text", "its question")) for one in reading.bad]
    rows = []
    for row in reading.rows:
        if row.label:
            rows.append((row.name, row.text, row.label))
        else:
            bad.append(LeftOut(row.name, "its answer is empty"))
    if bad and bad_rows == "error":
        listed = "\n".join(f"  {one.name}: {one.reason}" for one in bad[:_SHOWN])
        more = f"\n  and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        raise DataError(
            f"{len(bad)} of {len(rows) + len(bad)} rows cannot be used:\n{listed}{more}",
            hint="mend or remove them, or leave them out with data.bad_rows=skip",
        )
    left_out += bad
    return rows


def _share_out(parts: dict[str, list[_Row]], fractions: dict[str, float], seed: int) -> list[str]:
    """Take splits without a file from the training rows, and questions out of them that another split has too."""
    rows = parts["train"]
    keys = list(dict.fromkeys(_key(question) for _, question, _ in rows))
    order = [keys[place] for place in np.random.default_rng(seed).permutation(len(keys))]
    for name, fraction in fractions.items():
        if name not in parts:
            count = max(1, round(fraction * len(keys))) if fraction else 0
            drawn, order = set(order[:count]), order[count:]
            parts[name] = [row for row in rows if _key(row[1]) in drawn]
    left, notes = set(order), []
    parts["train"] = [row for row in rows if _key(row[1]) in left]
    held = {_key(question) for name in fractions for _, question, _ in parts[name]}
    twice = [row for row in parts["train"] if _key(row[1]) in held]
    if twice:
        parts["train"] = [row for row in parts["train"] if _key(row[1]) not in held]
        notes.append(f"{len(twice):,} training questions are asked in another split too, and were left out.")
    return notes


def _key(question: str) -> str:
    return " ".join(question.casefold().split())
