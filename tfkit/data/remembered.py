"""What a look at an image showed, remembered between runs: a file that has not changed is not read again.

A small SQLite file in the user's cache folder, never among the user's data. It may be deleted at any time; a damaged
one is thrown away, and without it, or with a lock on it that does not come free, everything is looked at anew.
"""

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from tfkit.data.looking import FileState, Look

FOLDER_VARIABLE = "TFKIT_CACHE"  # a folder, or `off`

_VERSION = 2  # of what a look means
_MOST_BYTES = 1 << 30
_FRESH_NS = 2_000_000_000  # a file changed so lately may change again within one tick of its clock
_TABLES = """
CREATE TABLE IF NOT EXISTS looks (digest BLOB PRIMARY KEY, reason TEXT, height INTEGER NOT NULL,
    width INTEGER NOT NULL, fingerprint BLOB NOT NULL, frames INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, size INTEGER NOT NULL, changed INTEGER NOT NULL,
    digest BLOB NOT NULL) WITHOUT ROWID;
"""


def cache_folder() -> Path | None:
    """Where looks are remembered: the folder in `TFKIT_CACHE`, else the user's cache folder; None for `off`."""
    wanted = os.environ.get(FOLDER_VARIABLE, "")
    if wanted.lower() in ("off", "0", "false", "none"):
        return None
    if wanted:
        return Path(wanted)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tfkit"
    except RuntimeError:  # there is no home
        return None


class Remembered:
    """Looks of earlier runs by content, and the content of files by path, size and time; a context manager.

    Safe to ask from many threads, and beside other processes.

    Example:
        >>> with Remembered() as remembered:
        ...     known = remembered.of_files(["bee.jpg"], [None])
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file: Path | None = None
        self._base: sqlite3.Connection | None = None
        folder = cache_folder()
        if folder is not None:
            self._file = folder / f"looks-{_VERSION}-tensorflow-{metadata.version('tensorflow')}.sqlite"
            self._base = self._opened() or self._opened()  # a damaged one is gone at the second try

    def __enter__(self) -> "Remembered":
        return self

    def __exit__(self, *fault: object) -> None:
        if self._base is not None:
            with contextlib.suppress(sqlite3.Error):
                self._base.close()

    def of_files(self, paths: Sequence[str | None], states: Sequence[FileState | None]) -> list[Look | None]:
        """What is known of up to 10,000 files in the state that they are in; None for each that must be looked at."""
        here = Path.cwd()
        keys = [_key(path, here) if path is not None else b"" for path in paths]
        asked = [key for key in keys if key] if self._base is not None else []
        query = (
            "SELECT path, size, changed, digest, reason, height, width, fingerprint, frames "
            f"FROM files JOIN looks USING (digest) WHERE path IN ({','.join('?' * len(asked))})"
        )
        known = {path: ((size, changed), look) for path, size, changed, *look in self._ask(query, asked)}
        rows = [known.get(key) for key in keys]
        return [
            _look(row[1]) if row is not None and row[0] == state else None
            for row, state in zip(rows, states, strict=True)
        ]

    def of_content(self, digest: bytes) -> Look | None:
        """What is known of a content, wherever it was seen."""
        for row in self._ask("SELECT * FROM looks WHERE digest = ?", [digest]):
            return _look(row)
        return None

    def keep(self, seen: Iterable[tuple[str | None, FileState | None, Look]]) -> None:
        """Remember looks, and of those at files which file it was; one changed a moment ago only by its content."""
        if self._base is None:
            return
        looks, files, here = [], [], Path.cwd()
        latest = time.time_ns() - _FRESH_NS
        for path, state, look in seen:
            looks.append((look.digest, look.reason, look.height, look.width, look.fingerprint, look.frames))
            if path is not None and state is not None and state[1] < latest:
                files.append((_key(path, here), *state, look.digest))
        with self._lock:
            try:
                with self._base:
                    self._base.executemany("INSERT OR REPLACE INTO looks VALUES (?, ?, ?, ?, ?, ?)", looks)
                    self._base.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", files)
            except sqlite3.Error as fault:
                self._forget(fault)

    def _ask(self, query: str, values: Sequence[bytes]) -> list[tuple[Any, ...]]:
        with self._lock:
            if self._base is None:
                return []
            try:
                return self._base.execute(query, values).fetchall()
            except sqlite3.Error as fault:
                self._forget(fault)
                return []

    def _opened(self) -> sqlite3.Connection | None:
        assert self._file is not None
        base = None
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            if self._file.is_file() and self._file.stat().st_size > _MOST_BYTES:
                self._file.unlink()
            base = sqlite3.connect(self._file, timeout=5, check_same_thread=False)
            base.text_factory = lambda text: text.decode("utf-8", "replace")
            base.executescript(_TABLES)
            base.execute("SELECT * FROM looks JOIN files USING (digest) LIMIT 1").fetchall()
        except (OSError, sqlite3.Error) as fault:
            if base is not None:
                base.close()
            if isinstance(fault, sqlite3.Error):
                self._throw_away(fault)
            return None
        return base

    def _forget(self, fault: sqlite3.Error) -> None:
        """Go on without memory; a damaged file is thrown away, one that is locked or on a full disk stays."""
        if self._base is not None:
            with contextlib.suppress(sqlite3.Error):
                self._base.close()
        self._base = None
        self._throw_away(fault)

    def _throw_away(self, fault: sqlite3.Error) -> None:
        passes = isinstance(fault, sqlite3.OperationalError | sqlite3.ProgrammingError)
        if passes and "no such column" not in str(fault):
            return
        assert self._file is not None
        with contextlib.suppress(OSError):
            self._file.unlink()


def _key(path: str, here: Path) -> bytes:
    return os.fsencode(os.path.join(here, path))  # noqa: PTH118 - of a million files


def _look(row: Sequence[Any]) -> Look:
    digest, reason, height, width, fingerprint, frames = row
    return Look(digest, reason, height, width, fingerprint, bool(frames))
