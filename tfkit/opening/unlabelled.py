"""Pictures and texts without labels: what a model is asked, as it lies in folders, lists and logs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfkit.artifacts import ImageSpec, InputSpec
from tfkit.data import Examples, LeftOut
from tfkit.errors import DataError
from tfkit.files import read_regular_file, refuse_irregular
from tfkit.opening.texts import column, layout_of_run, told_by_options

PICTURES_WANTED = "name JPEG, PNG, BMP, GIF or WebP files, or folders of them"
# tfkit.data knows them too, but a wrong path is told before TensorFlow is started.
_PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp"})
_TABLES = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl"}
_TEXTS_WANTED = "name .txt files of a text a line, or .csv, .tsv or .jsonl tables with a column of texts"


def picture_files(paths: Sequence[Path], *, wanted: str = PICTURES_WANTED) -> list[Path]:
    """The pictures that are named, and those in folders that are.

    Args:
        paths: Files and folders.
        wanted: What to do about those that are none.

    Returns:
        The files; of a folder in alphabetical order.

    Raises:
        DataError: When one is not there, or holds no picture; tells all.
    """
    files: list[Path] = []
    faults = []
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in _PICTURE_SUFFIXES)
            inside = [file for file in inside if file.is_file()]
            files += inside
            faults += [] if inside else [f"there is no picture in '{path}'"]
            continue
        try:
            refuse_irregular(path)
            files.append(path)
        except FileNotFoundError:
            faults.append(f"there is no picture '{path}'")
        except OSError as fault:
            faults.append(f"'{path}' cannot be read as a picture: {fault.strerror}")
    if faults:
        raise DataError("\n".join(faults), hint=wanted)
    return files


def read_unlabelled(
    paths: Sequence[Path],
    spec: InputSpec,
    *,
    model: Path,
    class_names: tuple[str, ...],
    at_most: int,
    seed: int = 0,
    text_column: str | None = None,
    header: bool | None = None,
) -> tuple[Examples, tuple[LeftOut, ...]]:
    """Pictures or texts that nobody has labelled; their labels are all 0.

    Args:
        paths: Of pictures: files and folders. Of texts: `.txt` files of a text a line, or tables.
        spec: What the model takes.
        model: The model, anywhere in a run's folder: tables of texts are laid out as the run's data were.
        class_names: The model's.
        at_most: How many to keep, drawn at random where there are more.
        seed: Of the drawing.
        text_column: Of tables: the column's name or number.
        header: Of tables: whether the first line names the columns.

    Returns:
        The examples, and those of the ones drawn that cannot be read.

    Raises:
        DataError: When a path is not there, or nothing in it can be read.
    """
    if isinstance(spec, ImageSpec):
        return _pictures(paths, spec, class_names, at_most, seed)
    return _texts(paths, model, class_names, at_most, seed, text_column=text_column, header=header)


def _drawn(count: int, at_most: int, seed: int) -> list[int]:
    """Places of at most so many of `count`, in their order."""
    if count <= at_most:
        return list(range(count))
    return sorted(map(int, np.random.default_rng(seed).choice(count, at_most, replace=False)))


def _pictures(
    paths: Sequence[Path], image: ImageSpec, class_names: tuple[str, ...], at_most: int, seed: int
) -> tuple[Examples, tuple[LeftOut, ...]]:
    from tfkit.data import FileSource, ImageExamples
    from tfkit.data.decoder import picture_fault

    files = picture_files(paths)
    whole, left_out = [], []
    for place in _drawn(len(files), at_most, seed):
        try:
            fault = picture_fault(read_regular_file(files[place]), channels=image.channels)
        except OSError as unread:
            fault = f"it cannot be read: {unread.strerror}"
        if fault is None:
            whole.append(files[place])
        else:
            left_out.append(LeftOut(str(files[place]), fault, files[place]))
    _refuse_none(len(whole), left_out, "picture", PICTURES_WANTED)
    source, places = FileSource(whole, channels=image.channels), np.arange(len(whole))
    labels = np.zeros(len(whole), np.int32)
    return ImageExamples(source, places, labels, tuple(map(str, whole)), class_names), tuple(left_out)


def _texts(
    paths: Sequence[Path],
    model: Path,
    class_names: tuple[str, ...],
    at_most: int,
    seed: int,
    *,
    text_column: str | None,
    header: bool | None,
) -> tuple[Examples, tuple[LeftOut, ...]]:
    from tfkit.data.text import TextExamples, replace_unusable

    said = {"text_column": column(text_column), "header": header}
    layout = layout_of_run(model) | {name: value for name, value in said.items() if value is not None}
    rows: list[tuple[str, str]] = []
    left_out: list[LeftOut] = []
    for path in paths:
        found, bad = _lines(path) if path.suffix.lower() not in _TABLES else _table_rows(path, layout)
        rows += found
        left_out += bad
    _refuse_none(len(rows), left_out, "text", _TEXTS_WANTED)
    chosen = [rows[place] for place in _drawn(len(rows), at_most, seed)]
    names, texts = zip(*chosen, strict=True)
    labels = np.zeros(len(texts), np.int32)
    return TextExamples(tuple(map(replace_unusable, texts)), labels, names, class_names), tuple(left_out)


def _lines(path: Path) -> tuple[list[tuple[str, str]], list[LeftOut]]:
    try:
        lines = read_regular_file(path).decode("utf-8-sig").split("\n")
    except OSError as fault:
        raise DataError(f"cannot read the texts '{path}': {fault.strerror}", hint=_TEXTS_WANTED) from None
    except UnicodeDecodeError:
        raise DataError(f"the texts '{path}' are not UTF-8", hint=_TEXTS_WANTED) from None
    return [(f"{path.name}:{place}", line.strip()) for place, line in enumerate(lines, 1) if line.strip()], []


def _table_rows(path: Path, layout: dict[str, Any]) -> tuple[list[tuple[str, str]], list[LeftOut]]:
    from tfkit.data.text.reading import TextFormat, read_file

    said = {name: layout[name] for name in ("text_column", "header", "separator", "encoding") if name in layout}
    source = _TABLES[path.suffix.lower()]
    try:
        reading = read_file(path, source, TextFormat(**said, labelled=False), as_part="all")["all"]  # type: ignore[arg-type]
    except DataError as fault:
        raise told_by_options(fault) from None
    return [(row.name, row.text) for row in reading.rows], reading.bad


def _refuse_none(count: int, left_out: Sequence[LeftOut], noun: str, hint: str) -> None:
    if count == 0:
        why = f": '{left_out[0].name}': {left_out[0].reason}" if left_out else ""
        raise DataError(f"there is no {noun} that can be read{why}", hint=hint)
