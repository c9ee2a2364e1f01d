"""Damage that decoders pass over: they mend what they can, and say so on standard error at most."""

import contextlib
import os
import re
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator

_PNG_START = b"\x89PNG\r\n\x1a\n"
_JPEG_START = b"\xff\xd8"
# libjpeg's warnings about the scan (jerror.h): of its end, of a code that is none, of a restart marker, of rest bytes.
_WARNING = re.compile(rb"Corrupt JPEG data: ([^\n]*)\n?|Inconsistent progression sequence[^\n]*\n?")


def png_fault(content: bytes) -> str | None:
    """The chunk of a PNG whose check sum does not fit (ISO/IEC 15948, 5.3), which TensorFlow does not ask for.

    Args:
        content: The bytes of any file.

    Returns:
        What is wrong; None for a whole PNG, and for what is no PNG.
    """
    if not is_png(content):
        return None
    place = len(_PNG_START)
    while place + 12 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        end = place + 8 + length
        if end + 4 > len(content):
            return "its PNG data ends within a chunk"
        kind = content[place + 4 : place + 8]
        if zlib.crc32(content[place + 4 : end]) != int.from_bytes(content[end : end + 4], "big"):
            return f"its PNG data is damaged (the check sum of chunk {kind.decode('ascii', 'replace')} is wrong)"
        if kind == b"IEND":
            return None
        place = end + 4
    return "its PNG data has no end"


@contextlib.contextmanager
def jpeg_warnings() -> Iterator[Callable[[], str | None]]:
    """Hear what libjpeg says of damaged scans while the block decodes JPEGs.

    TensorFlow decodes such an image to its last line and gives no sign but libjpeg's words on file descriptor 2, which
    is led aside meanwhile. What else is written there is passed on at the end. The descriptor belongs to the whole
    process, so the words name no image: decode one at a time to know which.

    Yields:
        A function that gives the first warning so far, or None.
    """
    sys.stderr.flush()
    original = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)

        def heard() -> str | None:
            found = _WARNING.search(os.pread(said.fileno(), 1 << 20, 0))
            return (found[1] or found[0]).decode(errors="replace").strip() if found else None

        try:
            yield heard
        finally:
            os.dup2(original, 2)
            said.seek(0)
            if rest := _WARNING.sub(b"", said.read()):
                os.write(original, rest)
            os.close(original)


def is_jpeg(content: bytes) -> bool:
    """Whether bytes begin as a JPEG does.

    Example:
        >>> is_jpeg(Path("bee.jpg").read_bytes())
        True
    """
    return content.startswith(_JPEG_START)


def is_png(content: bytes) -> bool:
    """Whether bytes begin as a PNG does.

    Example:
        >>> is_png(b"GIF89a")
        False
    """
    return content.startswith(_PNG_START)
