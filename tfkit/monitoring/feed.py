"""A stream of texts as JSON lines, from files that are written to or another program; read on where one stopped."""

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from tfkit.errors import DataError

_MILLISECONDS = 1e11  # seconds from here on lie in the year 5138
_LONGEST = 1 << 20  # bytes of a line
_KEY = 16  # digits of a digest: two of a million lines share one with a chance of 3e-8


@dataclass(frozen=True)
class Fields:
    """Which fields of a line hold what.

    Attributes:
        text: The text.
        time: When it was written: ISO 8601, of UTC where it names no zone, or seconds since 1970.
        key: What tells it from all others; None where that is its time and text.
    """

    text: str = "text"
    time: str = "time"
    key: str | None = None


@dataclass(frozen=True)
class Line:
    """One text of a stream.

    Attributes:
        time: Seconds since 1970.
        text: The text.
        key: What a repeated line has too.
    """

    time: float
    text: str
    key: str


def parsed(raw: bytes, fields: Fields) -> Line | str:
    """Read a line, or say in words why it cannot be used.

    Args:
        raw: UTF-8, with or without its end.
        fields: What its fields are called.

    Example:
        >>> parsed(b'{"text": "a late parcel", "time": "2026-11-30T10:00:00Z"}', Fields()).time
        1796032800.0
        >>> parsed(b'{"text": "a late parcel"}', Fields())
        "it has no field 'time'; it has text"
    """
    if len(raw) > _LONGEST:
        return f"it has {len(raw):,} bytes; at most {_LONGEST:,} are read"
    try:
        told = json.loads(raw)
    except (ValueError, RecursionError):
        return "it is no JSON"
    if not isinstance(told, dict):
        return "it is no JSON object"
    for name in filter(None, (fields.text, fields.time, fields.key)):
        if told.get(name) in (None, ""):
            return f"it has no field '{name}'; it has {', '.join(map(str, told)) or 'none'}"
    text, time = told[fields.text], _seconds(told[fields.time])
    if not isinstance(text, str) or not text.strip():
        return f"its field '{fields.text}' is no text"
    if isinstance(time, str):
        return f"its field '{fields.time}' {time}"
    key = str(told[fields.key]) if fields.key else f"{time} {text}"
    return Line(time, text, hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()[:_KEY])


def _seconds(time: object) -> float | str:
    if isinstance(time, str):
        try:
            read = datetime.fromisoformat(time.strip())
        except ValueError:
            return f"is {time[:40]!r}, no time such as 2026-11-30T10:00:00Z"
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    if isinstance(time, bool) or not isinstance(time, int | float) or not math.isfinite(time):
        return "is neither a time nor seconds since 1970"
    return f"is {time:g}: milliseconds? seconds since 1970 are expected" if abs(time) > _MILLISECONDS else float(time)


class Feed:
    """What is new in a file, or in the `.jsonl` files of a folder.

    Args:
        source: The file or folder; `-` reads what another program writes to this one, once.
        piped: That program's output.
        places: How far each file was read before, in bytes.

    Attributes:
        places: How far each file is read.

    Raises:
        DataError: When there is no such file or folder.
    """

    def __init__(self, source: Path, *, piped: BinaryIO | None = None, places: dict[str, int] | None = None) -> None:
        self._source, self._piped = source, piped
        self.places = dict(places or {})
        if piped is None and not source.exists():
            raise DataError(
                f"there is no '{source}'", hint="name a file of JSON lines, a folder of .jsonl files, or - for a pipe"
            )

    def lines(self, *, ended: bool) -> Iterator[bytes]:
        """Lines that were not read before; `places` tells after each how far that is.

        Args:
            ended: Whether nothing more is written: a last line without its end is taken too.

        Raises:
            DataError: When a file cannot be read.
        """
        if self._piped is not None:
            yield from self._piped
            return
        files = sorted(self._source.glob("*.jsonl")) if self._source.is_dir() else [self._source]
        for file in files:
            yield from self._of(file, ended)

    def _of(self, file: Path, ended: bool) -> Iterator[bytes]:
        try:
            with file.open("rb") as opened:
                size = opened.seek(0, 2)
                place = self.places.get(file.name, 0)
                opened.seek(place if place <= size else 0)  # a file that became shorter was begun anew
                while line := opened.readline(_LONGEST + 2):
                    if not line.endswith(b"\n") and not ended and len(line) <= _LONGEST:
                        return  # it is being written
                    self.places[file.name] = opened.tell()
                    yield line
        except OSError as fault:
            raise DataError(f"cannot read '{file}': {fault.strerror or fault}") from None
