"""Image files that a folder or a table names."""

import csv
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tfkit.data.examples import LeftOut
from tfkit.data.masks import MaskFiles, MaskSource
from tfkit.data.sources import FilesBelow, FileSource, ImageSource
from tfkit.data.target_kinds.kind import CELLS
from tfkit.data.targets import CLASSES, Targets
from tfkit.errors import DataError, printable
from tfkit.files import read_regular_file

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp"})
PartName = Literal["all", "train", "validation", "test"]

_PART_NAMES: dict[str, PartName] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True, eq=False)
class Reading:
    """One part of a data set as it was found.

    Attributes:
        source: Its images; position i belongs to `names[i]` and `labels[i]`.
        names: How to call each image in reports.
        labels: The class name of each image.
        left_out: What was found beside them and is no image.
        class_names: The classes in their order where the data set fixes it, else None (sorted by name).
        masks: Where the masks of its images are; None where labels say it.
    """

    source: ImageSource
    names: tuple[str, ...]
    labels: tuple[str, ...]
    left_out: tuple[LeftOut, ...] = field(default=())
    class_names: tuple[str, ...] | None = None
    masks: MaskSource | None = None


def part_name(text: str) -> PartName | None:
    """The part that a folder or a `split` column means: `val`, `valid` and `validation` are one.

    Example:
        >>> part_name("val"), part_name("holiday")
        ('validation', None)
    """
    return _PART_NAMES.get(text.strip().lower())


_UNSUPPORTED_SUFFIXES = frozenset({".heic", ".heif", ".avif", ".tif", ".tiff", ".jxl", ".jp2", ".dng", ".svg"})
_CONVERT = "convert it to JPEG or PNG"
_LAYOUT_HINT = "lay the images out as <folder>/<class>/*.jpg, or as <folder>/train/<class>/ with val/ or test/"


def read_image_folder(directory: Path, *, channels: int) -> dict[PartName, Reading]:
    """Find the images of `directory` and their classes.

    Two layouts: `<class>/` alone gives one part `all`; `train/<class>/` with `val` (or `valid`, `validation`)
    and `test` beside it gives those parts. Images may lie in folders below the class folder; hidden files are
    passed over, links to folders are not followed.

    Args:
        directory: The folder.
        channels: 1 for grey, 3 for RGB.

    Returns:
        The parts by name.

    Raises:
        DataError: When the folder is missing, cannot be read, is no folder, or holds no class folder with images.
    """
    try:
        return _read_parts(directory, channels)
    except OSError as fault:
        where = printable(str(fault.filename or directory))
        raise DataError(f"'{where}' cannot be read: {fault.strerror}", hint="check data.directory") from None


def _read_parts(directory: Path, channels: int) -> dict[PartName, Reading]:
    if not directory.is_dir():
        came = "is a file" if directory.exists() else "does not exist"
        raise DataError(f"the image folder '{directory}' {came}", hint="check data.directory")
    folders = visible_folders(directory)
    parts = {name: folder for folder in folders if (name := part_name(folder.name)) is not None}
    if "train" not in parts or not visible_folders(parts["train"]):
        return {"all": _read_part(directory, directory, channels)}
    order: tuple[PartName, ...] = ("train", "validation", "test")
    return {name: _read_part(parts[name], directory, channels) for name in order if name in parts}


def _read_part(folder: Path, root: Path, channels: int) -> Reading:
    classes = visible_folders(folder)
    if not classes:
        raise DataError(f"there is no class folder in '{folder}'", hint=_LAYOUT_HINT)
    names: list[str] = []
    odd: dict[int, str] = {}
    labels: list[str] = []
    left_out = [
        LeftOut(_name(os.fspath(path), root), "it is not in a class folder")
        for path in sorted(folder.iterdir())
        if not path.is_dir() and not path.name.startswith(".")
    ]
    empty = []
    for class_folder in classes:
        found = 0
        for path, reason in visible_files(class_folder):
            if reason is None:
                names.append(_name(path, root))
                if path != f"{root}{os.sep}{names[-1].replace('/', os.sep)}":
                    odd[len(names) - 1] = path
                labels.append(class_folder.name)
                found += 1
            else:
                left_out.append(LeftOut(_name(path, root), reason))
        if not found:
            empty.append(f"'{_name(os.fspath(class_folder), root)}'")
    if empty:
        raise DataError(
            f"there is no image in {', '.join(empty)} of '{root}'{_unsupported(left_out)}",
            hint=f"fill or remove {'that folder' if len(empty) == 1 else 'those folders'}; {_LAYOUT_HINT}",
        )
    called = tuple(names)
    files = FilesBelow(os.fspath(root), called, odd)
    return Reading(FileSource(files, channels=channels), called, tuple(labels), tuple(left_out))


def _why_no_image(path: str) -> str | None:
    suffix = _suffix(path)
    if suffix in _UNSUPPORTED_SUFFIXES:
        return f"{suffix[1:].upper()} images cannot be read; {_CONVERT}"
    # What is called an image and is a pipe, or a link to nothing, is told with the images that cannot be read.
    if suffix in IMAGE_SUFFIXES or has_image_signature(Path(path)):
        return None
    return "it is not an image" if Path(path).is_file() else "it is not a file"


def _suffix(path: str) -> str:
    stem, _, suffix = path.rpartition(os.sep)[2].rpartition(".")
    return f".{suffix.lower()}" if stem else ""


def _name(path: str, root: Path) -> str:
    return printable(path.removeprefix(f"{root}{os.sep}").replace(os.sep, "/"))


def has_image_signature(path: Path) -> bool:
    """Whether a file starts like a JPEG, PNG, GIF, BMP or WebP, whatever its name says.

    Example:
        >>> has_image_signature(Path("bee.jpg"))
        True
    """
    if not path.is_file():  # a pipe would never answer
        return False
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:
        return False
    is_webp = head[:4] == b"RIFF" and head[8:] == b"WEBP"
    return is_webp or head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM"))


def _unsupported(left_out: list[LeftOut]) -> str:
    names = [item.name for item in left_out if item.reason.endswith(_CONVERT)]
    return f" ({len(names)} files are in a format that cannot be read, such as {names[0]})" if names else ""


def visible_folders(folder: Path) -> list[Path]:
    """The folders in a folder, in order, but for hidden ones."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def visible_files(folder: Path) -> Iterator[tuple[str, str | None]]:
    """Everything below a class folder that is no folder itself, and why it is no image, if it is none.

    Paths are strings here: a million of `Path` take a gigabyte, and minutes.
    """
    unread: list[OSError] = []
    found: list[tuple[str, str | None]] = []
    for place, folders, files in os.walk(folder, onerror=unread.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links = [path for path in (Path(place, name) for name in folders) if path.is_symlink()]
        found += [(str(path), "it is a link to a folder, which is not followed") for path in links]
        called = [Path(place, name) for name in folders if _suffix(name) in IMAGE_SUFFIXES]
        found += [(str(path), "it is a folder, not an image") for path in called if path not in links]
        seen = [f"{place}{os.sep}{name}" for name in files if not name.startswith(".")]
        found += [(path, _why_no_image(path)) for path in seen]
    found += [(str(fault.filename), f"it cannot be read ({fault.strerror})") for fault in unread]
    yield from sorted(found, key=lambda one: one[0].replace(os.sep, "\0"))  # folder by folder


_TABLE_HINT = "the first line must name the columns path,label and, if the file is split already, split"
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
        raise DataError(f"'{path}' cannot be used:\n  " + "\n  ".join(faults[:_SHOWN]) + more, hint=_TABLE_HINT)
    return {part: _reading(path.parent, entries, channels, targets) for part, entries in by_part.items()}


def _reading(root: Path, entries: list[tuple[str, str]], channels: int, targets: Targets) -> Reading:
    paths = [root / image for image, _ in entries]
    coding = targets.masks
    drawn = [os.fspath(root / mask) for _, mask in entries]
    return Reading(
        source=FileSource(paths, channels=channels),
        names=tuple(printable(image) for image, _ in entries),
        labels=tuple(label for _, label in entries),
        masks=None if coding is None else MaskFiles(drawn, coding.coloured),
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
            raise DataError(f"'{path}' has no column {' and '.join(missing)}; it has {came}", hint=_TABLE_HINT)
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
