"""SHA256SUMS: what a folder held when tfkit wrote it, in the form that `sha256sum --check` reads."""

import hashlib
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from tfkit.errors import ExportError, printable
from tfkit.files import write_whole

CHECK_SUMS_NAME = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_AGAIN = "copy it again from where it was made, or export the model again"


def write_check_sums(folder: Path, *, leave_out: Collection[str] = ()) -> Path:
    """Write `SHA256SUMS` for everything below a folder; `sha256sum --check SHA256SUMS` in it compares them too.

    Args:
        folder: The folder; hidden files are passed over.
        leave_out: Files and folders directly in it that may change later.

    Returns:
        The path of `SHA256SUMS`.

    Example:
        >>> Path("shipped").mkdir()
        >>> written = Path("shipped/labels.txt").write_text("ants")
        >>> write_check_sums(Path("shipped"))
        PosixPath('shipped/SHA256SUMS')
        >>> list(read_check_sums(Path("shipped")))
        ['labels.txt']
    """
    files = sorted(file.relative_to(folder).as_posix() for file in _files(folder, leave_out))
    path = folder / CHECK_SUMS_NAME
    write_whole(path, "".join(f"{file_sha256(folder / name)}  {name}\n" for name in files))
    return path


def read_check_sums(folder: Path) -> dict[str, str] | None:
    """SHA-256 by file of a folder; None when it has no `SHA256SUMS`.

    Raises:
        ExportError: When `SHA256SUMS` itself is damaged.
    """
    path = folder / CHECK_SUMS_NAME
    if not path.is_file():
        return None
    try:
        lines = path.read_bytes().decode().removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError):
        raise ExportError(f"'{path}' is damaged: it is not UTF-8 text", hint=_AGAIN) from None
    found = [_LINE.fullmatch(line) for line in lines]
    for number, match in enumerate(found, start=1):
        if match is None:
            raise ExportError(f"'{path}' is damaged: line {number} is no check sum and name", hint=_AGAIN)
    sums = {match[2]: match[1] for match in found if match is not None}
    if len(sums) < len(lines):
        raise ExportError(f"'{path}' is damaged: a file stands twice", hint=_AGAIN)
    return sums


def refuse_changed_files(folder: Path, *, only: Collection[str] | None = None) -> None:
    """Compare the files of a folder with its `SHA256SUMS`; a folder without one is passed over.

    Args:
        folder: The folder.
        only: Which files, relative to it; all that are listed when None.

    Raises:
        ExportError: When a file has other bytes than were written, or is not there; names all of them.
    """
    sums = read_check_sums(folder)
    if sums is None:
        return
    names = list(sums) if only is None else [name for name in only if (folder / name).is_file() or name in sums]
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise ExportError(
            f"'{folder / CHECK_SUMS_NAME}' names files that are not there: {_listed(missing)}", hint=_AGAIN
        )
    changed = [name for name in names if sums.get(name) != file_sha256(folder / name)]
    if changed:
        told = (
            f"{_listed([str(folder / name) for name in changed])}: other bytes than '{folder / CHECK_SUMS_NAME}' says"
        )
        raise ExportError(f"{told} that tfkit wrote", hint=_AGAIN)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read in blocks.

    Example:
        >>> written = Path("ants.txt").write_text("ants")
        >>> file_sha256(Path("ants.txt"))[:8]
        'b9ff6bf2'
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _listed(names: list[str]) -> str:
    return printable(", ".join(names[:10])) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _files(folder: Path, leave_out: Collection[str]) -> Iterator[Path]:
    for file in folder.rglob("*"):
        parts = file.relative_to(folder).parts
        hidden = any(part.startswith(".") for part in parts)
        if file.is_file() and not hidden and parts[0] not in leave_out and parts != (CHECK_SUMS_NAME,):
            yield file
