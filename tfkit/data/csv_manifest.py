"""A CSV that names images and their labels."""

import csv
import io
from pathlib import Path

from tfkit.data.reading import PartName, Reading, part_name
from tfkit.data.sources import FileSource
from tfkit.data.targets import CELLS, CLASSES, Targets
from tfkit.errors import DataError, printable
from tfkit.files import read_regular_file

_LAYOUT_HINT = "the first line must name the columns path,label and, if the file is split already, split"
_SHOWN = 10


def read_csv(
    path: Path, *, channels: int, as_part: PartName = "all", targets: Targets = CLASSES
) -> dict[PartName, Reading]:
    """Read a manifest of images (RFC 4180, UTF-8).

    Args:
        path: A file with the columns `path` (relative to the CSV, or absolute) and `label`, or those that `targets`
            names, and optionally `split` (train, val or test).
        channels: 1 for grey, 3 for RGB.
        as_part: What the rows are when there is no `split` column.
        targets: What the labels are.

    Returns:
        The parts by name.

    Raises:
        DataError: When the file is missing or its rows are not as above; all faults at once.
    """
    columns = targets.columns or ("label",)
    rows = _rows(path, columns)
    faults: list[str] = []
    by_part: dict[PartName, list[tuple[str, str]]] = {}
    for line, row in rows:
        image, label = (row["path"] or "").strip(), CELLS.join((row[column] or "").strip() for column in columns)
        part = part_name(row["split"] or "") if "split" in row else as_part
        fault = targets.fault(label) if image else "its path is empty"
        if fault:
            faults.append(f"line {line}: {fault}")
        elif part is None:
            faults.append(f"line {line}: split must be train, val or test; got '{row['split'] or ''}'")
        else:
            by_part.setdefault(part, []).append((image, label))
    if not rows:
        faults.append("there is no row")
    elif not faults and "split" in rows[0][1] and "train" not in by_part:
        faults.append("no row has the split train")
    if faults:
        more = f"\n  and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise DataError(f"'{path}' cannot be used:\n  " + "\n  ".join(faults[:_SHOWN]) + more, hint=_LAYOUT_HINT)
    return {part: _reading(path.parent, entries, channels) for part, entries in by_part.items()}


def _reading(root: Path, entries: list[tuple[str, str]], channels: int) -> Reading:
    paths = [root / image for image, _ in entries]
    return Reading(
        source=FileSource(paths, channels=channels),
        names=tuple(printable(image) for image, _ in entries),
        labels=tuple(label for _, label in entries),
    )


def _rows(path: Path, labels: tuple[str, ...]) -> list[tuple[int, dict[str, str | None]]]:
    try:
        text = read_regular_file(path).decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
        columns = [_column(column.strip(), labels) for column in reader.fieldnames or ()]
        reader.fieldnames = columns
        missing = [column for column in ("path", *labels) if column not in columns]
        if missing:
            came = ", ".join(columns)[:200] or "nothing"
            raise DataError(f"'{path}' has no column {' and '.join(missing)}; it has {came}", hint=_LAYOUT_HINT)
        return [(reader.line_num, row) for row in reader]
    except FileNotFoundError:
        raise DataError(f"the file '{path}' does not exist", hint="check data.train and data.directory") from None
    except UnicodeDecodeError as fault:
        line = fault.object.count(b"\n", 0, fault.start) + 1
        told = f"line {line} holds the byte 0x{fault.object[fault.start]:02x}, which is not UTF-8"
        raise DataError(f"'{path}' cannot be read as CSV: {told}", hint="save it as UTF-8 CSV") from None
    except (OSError, csv.Error) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else fault
        raise DataError(f"'{path}' cannot be read as CSV: {reason}", hint="save it as UTF-8 CSV") from None


def _column(name: str, labels: tuple[str, ...]) -> str:
    """A column as it is called here: those of labels as they were named, the others in lower case."""
    return name if name in labels else name.lower()
