"""Files: of other people's only what is a file and can be held is read; what tfkit writes is whole or absent."""

import contextlib
import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

_KINDS = (
    (stat.S_ISDIR, "it is a folder"),
    (stat.S_ISFIFO, "it is a pipe, not a file"),
    (stat.S_ISSOCK, "it is a socket, not a file"),
    (stat.S_ISCHR, "it is a device, not a file"),
    (stat.S_ISBLK, "it is a device, not a file"),
)
_LARGE = 256 << 20
_AT_ONCE = 1 << 24
_MOST_TIMES = 100  # deflate makes zeros a thousand times smaller, and weights or pictures hardly at all


def read_regular_file(path: Path) -> bytes:
    """All bytes of a file; a pipe or a device, which may never end, is not touched.

    Args:
        path: The file, or a link to it.

    Raises:
        OSError: When it cannot be read; `strerror` says why, of links that lead nowhere too.

    Example:
        >>> read_regular_file(Path("/dev/zero"))
        Traceback (most recent call last):
        OSError: [Errno 0] it is a device, not a file
    """
    refuse_irregular(path)
    # As few words to the system as there can be: threads that look at a million pictures wait for each other at each.
    file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        size = os.fstat(file).st_size
        content = os.read(file, size + 1)
        if len(content) == size:
            return content
        parts = [content]  # it grew, or is larger than what is read at once
        while part := os.read(file, _AT_ONCE):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(file)


def write_whole(path: Path, text: str) -> None:
    """Write a text file that is there whole or, on a full disk, as it was before.

    Args:
        path: The file.
        text: Its content, written as UTF-8.

    Raises:
        OSError: When it cannot be written.

    Example:
        >>> write_whole(Path("labels.txt"), "ants and bees")
    """
    with written_whole(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give the name under which a file is written before it takes its place, whole and on the disk.

    A process that is killed, or a machine that loses its power, leaves what was there before, or all of the new file.

    Args:
        path: The file.

    Yields:
        A name beside it, with the same ending; the block writes it.

    Raises:
        OSError: When it cannot be written; nothing is left of it then.

    Example:
        >>> with written_whole(Path("labels.txt")) as unfinished:
        ...     written = unfinished.write_text("ants and bees")
    """
    unfinished = path.with_name(f".unfinished-{path.name}")
    try:
        yield unfinished
        _flush(unfinished)
        unfinished.replace(path)
        _flush(path.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Have the system write a file, or a folder's names, to the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError:  # folders on some file systems cannot be flushed
        if not path.is_dir():
            raise
    finally:
        os.close(number)


def refuse_irregular(path: Path) -> None:
    """Do nothing for a regular file or a link to one.

    Args:
        path: What was named as a file.

    Raises:
        OSError: When it is something else, or not there.
    """
    try:
        mode = path.stat().st_mode
    except ValueError:  # Python's word for a NUL in the name
        raise OSError(0, "its name holds a NUL character") from None
    except OSError as fault:
        if path.is_symlink():
            reason = f"it is a link to '{path.readlink()}', which cannot be read"
            raise type(fault)(fault.errno, reason) from None
        raise
    for is_kind, reason in _KINDS:
        if is_kind(mode):
            raise OSError(0, reason)


def inflated_fault(path: Path) -> str | None:
    """Why a ZIP archive must not be unpacked: it says that it becomes far larger than what it holds can be.

    Args:
        path: A `.keras` or `.npz` file.

    Returns:
        The reason, or None.

    Raises:
        OSError, zipfile.BadZipFile: When it cannot be read as an archive.
    """
    refuse_irregular(path)
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if is_inflated(member.file_size, member.compress_size):
                sizes = f"{member.compress_size / 1e6:.1f} MB to {member.file_size / 1e9:.1f} GB"
                return f"its '{member.filename}' would inflate from {sizes}"
    return None


def is_inflated(size: int, stored: int) -> bool:
    """Whether something says that it becomes far larger than the bytes it takes in a file can hold.

    Args:
        size: Bytes that it would take in memory.
        stored: Bytes that it takes in the file.

    Example:
        >>> is_inflated(1 << 40, stored=1000), is_inflated(4000, stored=1000)
        (True, False)
    """
    return size > max(_LARGE, _MOST_TIMES * stored)
