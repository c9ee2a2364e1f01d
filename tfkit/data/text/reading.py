"""Tables of texts and labels as they were found, row by row, faults included."""

import codecs
import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tfkit.data.examples import LeftOut
from tfkit.data.image_files import PartName, part_name
from tfkit.data.target_kinds.kind import CELLS
from tfkit.data.targets import CLASSES, Targets
from tfkit.errors import DataError
from tfkit.files import read_regular_file

FileSource = Literal["csv", "tsv", "jsonl"]


@dataclass(frozen=True)
class TextFormat:
    """How a file holds its texts; `load_text_splits` says what each means.

    Attributes:
        labelled: Whether rows have a label that is read.
        cells: Of rows without a label: columns that are read as they stand, in the place of one.
    """

    text_column: str | int | None = None
    label_column: str | int | None = None
    split_column: str | int | None = None
    header: bool = True
    separator: str | None = None
    encoding: str = "utf-8"
    targets: Targets = CLASSES
    labelled: bool = True
    cells: tuple[str | int, ...] = ()

    @property
    def label_columns(self) -> tuple[str | int | None, ...]:
        """The columns of the labels: one, or those of `targets`; `cells` where rows have no label."""
        return (self.targets.columns or (self.label_column,)) if self.labelled else self.cells


@dataclass(frozen=True)
class TextRow:
    """One row: its place (`train.csv:17`), its text and its label as they stand there."""

    name: str
    text: str
    label: str


@dataclass
class TextReading:
    """One part of a data set.

    Attributes:
        rows: Its usable rows.
        bad: Those that cannot be used, with the reason.
        left_out: What was found beside them and is not meant to be used.
        class_names: The classes in their order where the data set fixes it.
    """

    rows: list[TextRow] = field(default_factory=list)
    bad: list[LeftOut] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    class_names: tuple[str, ...] | None = None


Fields = tuple[int, list[str] | str]  # line, and the row's fields or what is wrong with it


def read_file(
    path: Path, source: FileSource, layout: TextFormat, *, as_part: PartName, shown: str | None = None
) -> dict[PartName, TextReading]:
    """Read one file.

    Args:
        path: The file.
        source: `csv` (RFC 4180, quoted), `tsv` (never quoted) or `jsonl` (an object a line).
        layout: Columns, separator, header and encoding.
        as_part: What rows are when there is no split column.
        shown: What to call the file in rows' names; its name when None.

    Returns:
        The parts by name; rows that cannot be used are in `bad`.

    Raises:
        DataError: When the file cannot be read at all, or a column is not there.
    """
    content = _content(path, layout.encoding)
    columns, rows = _objects(content, layout) if source == "jsonl" else _table(content, source, layout, path)
    parts: dict[PartName, TextReading] = {as_part: TextReading()}
    for line, found in rows:
        name = f"{shown or path.name}:{line}"
        if isinstance(found, str):
            parts[as_part].bad.append(LeftOut(name, found))
            continue
        text, split, *cells = (found[column] if column is not None else "" for column in columns)
        part = part_name(split) if columns[1] is not None else as_part
        if part is None:
            parts[as_part].bad.append(LeftOut(name, f"its split must be train, val or test; got '{split.strip()}'"))
            continue
        label = CELLS.join(cell.strip() for cell in cells)
        row = TextRow(name, text.strip(), label)
        add_row(parts.setdefault(part, TextReading()), row, layout.targets if layout.labelled else None)
    return {part: reading for part, reading in parts.items() if reading.rows or reading.bad or part == as_part}


def add_row(reading: TextReading, row: TextRow, targets: Targets | None = CLASSES) -> None:
    """Put a row where it belongs: an empty text, or a label of another kind, cannot be used; None looks at no label."""
    fault = "its text is empty" if not row.text else targets.fault(row.label) if targets is not None else None
    if fault is None:
        reading.rows.append(row)
    else:
        reading.bad.append(LeftOut(row.name, fault))


def _content(path: Path, encoding: str) -> str:
    try:
        codec = codecs.lookup(encoding).name
        b"a\0b\0".decode(codec)  # `hex` and others are codecs, and none of text
    except (LookupError, ValueError):
        raise DataError(
            f"there is no encoding '{encoding}'", hint="data.encoding may be utf-8, latin-1, cp1252, utf-16, …"
        ) from None
    try:
        raw = read_regular_file(path)
        return raw.decode("utf-8-sig" if codec == "utf-8" else codec)
    except FileNotFoundError:
        raise DataError(f"the file '{path}' does not exist", hint="check data.train and data.directory") from None
    except OSError as fault:
        raise DataError(f"'{path}' cannot be read: {fault.strerror}") from None
    except UnicodeDecodeError as fault:
        line = raw.count(b"\n", 0, fault.start) + 1
        raise DataError(
            f"'{path}' is not {encoding}: line {line} holds the byte 0x{raw[fault.start]:02x} ({fault.reason})",
            hint="set data.encoding to what it was saved with, often latin-1 or cp1252",
        ) from None
    except UnicodeError as fault:  # of `idna` and its like
        raise DataError(f"'{path}' is not {encoding}: {fault}", hint="check data.encoding") from None


def _table(
    content: str, source: FileSource, layout: TextFormat, path: Path
) -> tuple[tuple[int | None, ...], Iterator[Fields]]:
    separator = layout.separator if layout.separator is not None else ("," if source == "csv" else "\t")
    if len(separator) != 1:
        raise DataError(f"a separator must be one character; got '{separator}'", hint="check data.separator")
    rows = list(_quoted_rows(content, separator) if source == "csv" else _plain_rows(content, separator))
    if not rows:
        raise DataError(f"'{path}' holds no row", hint="check data.train")
    names: list[str] | None = None
    if layout.header:
        line, first = rows.pop(0)
        if isinstance(first, str):
            raise DataError(f"'{path}' has no usable first line: {first} (line {line})")
        names = [name.strip() for name in first]
    columns = _columns(names, layout, path)
    lengths = Counter(len(found) for _, found in rows if not isinstance(found, str))
    count = len(names) if names else max(lengths, key=lambda length: (lengths[length], length), default=0)
    wide = next((column for column in columns if column is not None and column >= max(count, 1)), None)
    if names is None and wide is not None and rows:
        raise DataError(f"'{path}' has no column {wide}; its rows have {count} columns, counted from 0")
    text = columns[0]
    assert text is not None
    return columns, (_with_count(row, count, text, separator, source) for row in rows)


def _with_count(row: Fields, count: int, text: int, separator: str, source: FileSource) -> Fields:
    line, found = row
    if isinstance(found, str) or len(found) == count:
        return row
    surplus = len(found) - count
    if source == "tsv" and surplus > 0:  # the separator stands in the text: nothing else may hold one
        return line, [*found[:text], separator.join(found[text : text + surplus + 1]), *found[text + surplus + 1 :]]
    hint = f"; a text that holds '{separator}' must be in double quotes" if surplus > 0 else ""
    return line, f"it has {len(found)} fields, expected {count}{hint}"


def _columns(names: list[str] | None, layout: TextFormat, path: Path) -> tuple[int | None, ...]:
    wanted = (
        layout.text_column if layout.text_column is not None else ("text" if names is not None else 0),
        layout.split_column,
        *(("label" if names is not None else 1) if column is None else column for column in layout.label_columns),
    )
    faults, columns = [], []
    for column in wanted:
        if column is None or (
            isinstance(column, int) and 0 <= column < (len(names) if names is not None else sys.maxsize)
        ):
            columns.append(column)
        elif names is not None and column in names:
            columns.append(names.index(str(column)))
        else:
            faults.append(f"'{column}'")
    if faults:
        has = f"it has {', '.join(names)}" if names is not None else "without a header columns are numbers from 0"
        raise DataError(
            f"'{path}' has no column {' and '.join(faults)}; {has}",
            hint="name them in data.text_column and data.label_column; data.header=false when the first line is a text",
        )
    return tuple(int(column) if column is not None else None for column in columns)


def _quoted_rows(content: str, separator: str) -> Iterator[Fields]:
    limit = csv.field_size_limit(sys.maxsize)  # the module's own 128 kB would refuse a long document
    try:
        reader = csv.reader(io.StringIO(content, newline=""), delimiter=separator, strict=True)
        line = 1
        while True:
            try:
                found = next(reader)
            except StopIteration:
                return
            except csv.Error as fault:  # strict: an open quote would swallow the rest of the file
                yield line, f"it is not CSV ({fault})"
                return
            if any(part.strip() for part in found):
                yield line, found
            line = reader.line_num + 1
    finally:
        csv.field_size_limit(limit)


def _plain_rows(content: str, separator: str) -> Iterator[Fields]:
    # Not splitlines: a text may hold U+2028 and other characters that Python takes for line ends.
    for number, line in enumerate(content.split("\n"), start=1):
        if line.strip():
            yield number, line.removesuffix("\r").split(separator)


def _objects(content: str, layout: TextFormat) -> tuple[tuple[int | None, ...], Iterator[Fields]]:
    split = [] if layout.split_column is None else [layout.split_column]
    labels = [column or "label" for column in layout.label_columns]
    names = [str(name) for name in (layout.text_column or "text", *split, *labels)]
    first = 1 + len(split)
    columns = (0, 1 if split else None, *range(first, first + len(labels)))
    return columns, (
        (number, _object_fields(line, names, layout.targets if layout.labelled else None))
        for number, line in enumerate(content.split("\n"), start=1)
        if line.strip()
    )


def _object_fields(line: str, names: Sequence[str], targets: Targets | None) -> list[str] | str:
    try:
        found: object = json.loads(line)
    except (ValueError, RecursionError) as fault:
        return f"it is not JSON ({fault})"
    if not isinstance(found, dict):
        return f"it is a JSON {type(found).__name__}, expected an object"
    missing = [f"'{name}'" for name in names if name not in found]
    if missing:
        return f"it has no {' and no '.join(missing)}; it has {', '.join(map(str, found)) or 'nothing'}"
    if targets is None:
        return [str(found[name]) for name in names]
    if not isinstance(found[names[0]], str):
        return f"its '{names[0]}' is {type(found[names[0]]).__name__}, expected a string"
    values = [targets.cell(found[name]) for name in names]
    if any(
        isinstance(value, (dict, list)) or (isinstance(value, float) and targets.kind == "classes") for value in values
    ):
        return "its label must be a string or a whole number"
    return ["" if value is None else str(value) for value in values]
