"""Folders of images, one folder per class."""

import os
from collections.abc import Iterator
from pathlib import Path

from tfkit.data.examples import LeftOut
from tfkit.data.reading import IMAGE_SUFFIXES, PartName, Reading, part_name
from tfkit.data.sources import FileSource
from tfkit.errors import DataError, printable

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
    folders = _visible_folders(directory)
    parts = {name: folder for folder in folders if (name := part_name(folder.name)) is not None}
    if "train" not in parts or not _visible_folders(parts["train"]):
        return {"all": _read_part(directory, directory, channels)}
    order: tuple[PartName, ...] = ("train", "validation", "test")
    return {name: _read_part(parts[name], directory, channels) for name in order if name in parts}


def _read_part(folder: Path, root: Path, channels: int) -> Reading:
    classes = _visible_folders(folder)
    if not classes:
        raise DataError(f"there is no class folder in '{folder}'", hint=_LAYOUT_HINT)
    paths: list[Path] = []
    labels: list[str] = []
    left_out = [
        LeftOut(_name(path, root), "it is not in a class folder")
        for path in sorted(folder.iterdir())
        if not path.is_dir() and not path.name.startswith(".")
    ]
    empty = []
    for class_folder in classes:
        found = 0
        for path, reason in _visible_files(class_folder):
            if reason is None:
                paths.append(path)
                labels.append(class_folder.name)
                found += 1
            else:
                left_out.append(LeftOut(_name(path, root), reason))
        if not found:
            empty.append(f"'{_name(class_folder, root)}'")
    if empty:
        raise DataError(
            f"there is no image in {', '.join(empty)} of '{root}'{_unsupported(left_out)}",
            hint=f"fill or remove {'that folder' if len(empty) == 1 else 'those folders'}; {_LAYOUT_HINT}",
        )
    names = tuple(_name(path, root) for path in paths)
    return Reading(FileSource(paths, channels=channels), names, tuple(labels), tuple(left_out))


def _why_no_image(path: Path) -> str | None:
    suffix = path.suffix.lower()
    if suffix in _UNSUPPORTED_SUFFIXES:
        return f"{suffix[1:].upper()} images cannot be read; {_CONVERT}"
    # What is called an image and is a pipe, or a link to nothing, is told with the images that cannot be read.
    if suffix in IMAGE_SUFFIXES or has_image_signature(path):
        return None
    return "it is not an image" if path.is_file() else "it is not a file"


def _name(path: Path, root: Path) -> str:
    return printable(path.relative_to(root).as_posix())


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


def _visible_folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _visible_files(folder: Path) -> Iterator[tuple[Path, str | None]]:
    """Everything below a class folder that is no folder itself, and why it is no image, if it is none."""
    unread: list[OSError] = []
    found: list[tuple[Path, str | None]] = []
    for place, folders, files in os.walk(folder, onerror=unread.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links = [path for path in (Path(place, name) for name in folders) if path.is_symlink()]
        found += [(path, "it is a link to a folder, which is not followed") for path in links]
        seen = [Path(place, name) for name in files if not name.startswith(".")]
        found += [(path, _why_no_image(path)) for path in seen]
    found += [(Path(str(fault.filename)), f"it cannot be read ({fault.strerror})") for fault in unread]
    yield from sorted(found, key=lambda one: one[0])
