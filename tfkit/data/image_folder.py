"""Folders of images, one folder per class."""

from collections.abc import Iterator
from pathlib import Path

from tfkit.data.examples import LeftOut
from tfkit.data.images import IMAGE_SUFFIXES
from tfkit.data.reading import PartName, Reading, part_name
from tfkit.data.sources import FileSource
from tfkit.errors import DataError

_UNSUPPORTED_SUFFIXES = frozenset({".heic", ".heif", ".avif", ".tif", ".tiff", ".jxl", ".jp2", ".dng", ".svg"})
_CONVERT = "convert it to JPEG or PNG"
_LAYOUT_HINT = "lay the images out as <folder>/<class>/*.jpg, or as <folder>/train/<class>/ with val/ or test/"


def read_image_folder(directory: Path, *, channels: int) -> dict[PartName, Reading]:
    """Find the images of `directory` and their classes.

    Two layouts: `<class>/` alone gives one part `all`; `train/<class>/` with `val` (or `valid`, `validation`)
    and `test` beside it gives those parts. Images may lie in folders below the class folder; hidden files are
    passed over.

    Args:
        directory: The folder.
        channels: 1 for grey, 3 for RGB.

    Returns:
        The parts by name.

    Raises:
        DataError: When the folder is missing, is no folder, or holds no class folder with images.
    """
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
        LeftOut(path.relative_to(root).as_posix(), "it is not in a class folder")
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.name.startswith(".")
    ]
    empty = []
    for class_folder in classes:
        found = 0
        for path in _visible_files(class_folder):
            if (reason := _why_no_image(path)) is None:
                paths.append(path)
                labels.append(class_folder.name)
                found += 1
            else:
                left_out.append(LeftOut(path.relative_to(root).as_posix(), reason))
        if not found:
            empty.append(f"'{class_folder.relative_to(root).as_posix()}'")
    if empty:
        raise DataError(
            f"there is no image in {', '.join(empty)} of '{root}'{_unsupported(left_out)}",
            hint=f"fill or remove {'that folder' if len(empty) == 1 else 'those folders'}; {_LAYOUT_HINT}",
        )
    names = tuple(path.relative_to(root).as_posix() for path in paths)
    return Reading(FileSource(paths, channels=channels), names, tuple(labels), tuple(left_out))


def _why_no_image(path: Path) -> str | None:
    suffix = path.suffix.lower()
    if suffix in _UNSUPPORTED_SUFFIXES:
        return f"{suffix[1:].upper()} images cannot be read; {_CONVERT}"
    if suffix in IMAGE_SUFFIXES or has_image_signature(path):
        return None
    return "it is not an image"


def has_image_signature(path: Path) -> bool:
    """Whether a file starts like a JPEG, PNG, GIF, BMP or WebP, whatever its name says."""
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


def _visible_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path
