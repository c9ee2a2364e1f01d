"""Files that break or vanish after the check: counted, named once, and stood in for by others of their label."""

import logging
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfkit.data.host_images import read_orientation
from tfkit.data.looking import MAX_PIXELS, FileState, Look, Onlooker, file_state
from tfkit.errors import DataError, printable
from tfkit.files import read_regular_file

MAX_LOST_FRACTION = 0.02

_SHOWN = 3
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # for the writer of a pipe
_log = logging.getLogger(__name__)


class Losses:
    """What of a data set was lost so far.

    Args:
        total: Examples of all splits.
        max_fraction: The share of them that may be lost.

    Attributes:
        reasons: Why, by name.
        beside: Those of another data set in the same run, which the note tells too.

    Example:
        >>> Losses(1000, 0.02).note is None
        True
    """

    def __init__(self, total: int, max_fraction: float) -> None:
        self.reasons: dict[str, str] = {}
        self.beside: Losses | None = None
        self._total, self._max_fraction = total, max_fraction
        self._lock = threading.Lock()

    @property
    def note(self) -> str | None:
        """The account in a sentence; None when nothing was lost."""
        with self._lock:
            reasons = self.reasons | (self.beside.reasons if self.beside else {})
        if not reasons:
            return None
        count = "1 image" if len(reasons) == 1 else f"{len(reasons)} images"
        shown = "; ".join(f"{name}: {reason}" for name, reason in list(reasons.items())[:_SHOWN])
        more = "; …" if len(reasons) > _SHOWN else ""
        return f"{count} broke or vanished after the check, and others of the same label stood in: {shown}{more}."

    def add(self, name: str, reason: str) -> None:
        """Count a file once, and name it in the log.

        Raises:
            DataError: When more are lost than may be.
        """
        with self._lock:
            is_new = name not in self.reasons
            self.reasons[name] = reason
            lost = list(self.reasons)
        if is_new:
            _log.warning("%s broke or vanished after the check: %s", name, reason)
        if len(lost) > self._max_fraction * self._total:
            more = ", …" if len(lost) > _SHOWN else ""
            raise DataError(
                f"{len(lost)} of {self._total} images broke or vanished after the check, more than "
                f"data.max_lost_fraction ({self._max_fraction:g}) allows: {', '.join(lost[:_SHOWN])}{more}",
                hint="something changes the data while it is used; tfkit check names what is damaged",
            )


class WatchedFiles:
    """Files that were whole when they were looked at; for each that is not any more another one is read.

    Another one is of the same split and, if there is one, of the same label, so that what is learned stays right.

    Args:
        files: Their paths.
        names: What to call each.
        states: int64 (n, 2), size and time of each when it was looked at; -1 where they are not known.
        splits: int (n,), the split of each; -1 for one that is not used.
        labels: float (n, k), the labels of each.
        losses: Where what is lost is counted.
        max_pixels: Height times width above which an image is not decoded.
    """

    def __init__(
        self,
        files: Sequence[str],
        names: Sequence[str],
        states: NDArray[np.int64],
        splits: np.ndarray,
        labels: np.ndarray,
        losses: Losses,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self._files, self._names, self._splits, self._labels = files, names, splits, labels
        self._states, self._losses = states, losses
        self._broken: dict[int, FileState | None] = {}
        self._chosen: dict[int, int] = {}
        self._onlooker = Onlooker(max_pixels=max_pixels)
        self._orientations = np.zeros(len(files), np.int32)  # 0: not read yet

    def oriented(self, index: int) -> tuple[bytes, np.int32]:
        """What `content` gives, and `read_orientation` of it: of an unchanged file it is looked for once."""
        if (content := self._unchanged(index)) is None:
            content = self.content(index)
            return content, np.int32(read_orientation(content))
        if not self._orientations[index]:
            self._orientations[index] = read_orientation(content)
        return content, self._orientations[index]

    def content(self, index: int) -> bytes:
        """The bytes of a file, or of the one that stands in for it.

        Raises:
            DataError: When too many are lost, or none is left to stand in.
        """
        if (content := self._unchanged(index)) is not None:
            return content
        for place in self._candidates(index):
            if (content := self._whole(place)) is not None:
                self._chosen[index] = place
                return content
        raise DataError(f"no image is left to stand in for '{self._names[index]}'", hint="look into the data's folder")

    def _unchanged(self, index: int) -> bytes | None:
        """A file's bytes when it is as it was when it was looked at: with few words to the system, for every image."""
        state = self._states[index].tolist()
        try:
            file = os.open(self._files[index], os.O_RDONLY | _NO_WAIT)
        except (OSError, ValueError):
            return None
        try:
            found = os.fstat(file)
            if [found.st_size, found.st_mtime_ns] != state or not stat.S_ISREG(found.st_mode):
                return None
            content = os.read(file, found.st_size)
        except OSError:
            return None
        finally:
            os.close(file)
        return content if len(content) == found.st_size else None  # more than 2 GB come in pieces

    def _candidates(self, index: int) -> Iterator[int]:
        """The file itself, what stood in for it last, then others of its split: of its label, then of the nearest."""
        yield index
        if (chosen := self._chosen.get(index, index)) != index:
            yield chosen
        count = len(self._splits)
        for place in ((index + step) % count for step in range(1, count)):
            alike = self._splits[place] == self._splits[index]
            if alike and (self._labels[place] == self._labels[index]).all():
                yield place
        others = np.flatnonzero(self._splits == self._splits[index])
        yield from map(int, others[np.argsort(np.abs(self._labels[others] - self._labels[index]).sum(axis=1))])

    def _whole(self, place: int) -> bytes | None:
        """A file's bytes when it is as it was, or another whole image by now; None for one that is lost."""
        path, state = Path(self._files[place]), file_state(self._files[place])
        if place in self._broken and self._broken[place] == state:
            return None
        try:
            content = read_regular_file(path)
        except OSError as fault:
            look = Look(b"", f"it cannot be read ({printable(str(fault.strerror))})")
        else:
            if state is not None and state == tuple(self._states[place].tolist()) and len(content) == state[0]:
                return content
            look = self._onlooker.look(content)
            if look.reason is None:
                self._states[place], self._orientations[place] = -1 if state is None else state, 0
                self._broken.pop(place, None)
                return content
        self._broken[place] = state
        self._losses.add(self._names[place], str(look.reason))
        return None
