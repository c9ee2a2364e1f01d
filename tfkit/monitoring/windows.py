"""Texts counted by topic and mood in windows of time; late and repeated ones are told apart."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tfkit.monitoring.feed import Line

Counts = dict[str, dict[str, int]]  # by topic and mood
_KEPT = 5000  # closed windows
_GAP = 1000  # windows without a text in a row that are counted as such; behind a longer silence a new history begins


@dataclass(frozen=True)
class Window:
    """A closed window of time.

    Attributes:
        number: Which, counted from 1970 in lengths of a window.
        texts: How many texts fell into it; one of several topics counts once.
        counts: How many of each topic and mood.
    """

    number: int
    texts: int = 0
    counts: Counts = field(default_factory=dict)

    def of(self, topic: str, mood: str | None = None) -> int:
        """How many texts of a topic, or of a topic and a mood.

        Example:
            >>> Window(0, 3, {"fees": {"bad": 2, "good": 1}}).of("fees")
            3
        """
        moods = self.counts.get(topic, {})
        return sum(moods.values()) if mood is None else moods.get(mood, 0)


@dataclass
class Tally:
    """What was counted so far; all of it is plain values, so that it survives a kill.

    Attributes:
        seconds: Length of a window.
        lateness: Seconds that a text may come behind a newer one and still be counted.
        newest: The newest time that was seen.
        opened: Windows that still count, by number.
        keys: The window of each text in these, by its key.
        closed: Windows that are done, oldest first.
        counted: Texts in all.
        late: Texts whose window was closed already.
        repeated: Texts that were counted before.
    """

    seconds: float
    lateness: float
    newest: float = -math.inf
    opened: dict[int, Window] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    closed: list[Window] = field(default_factory=list)
    counted: int = 0
    late: int = 0
    repeated: int = 0

    def is_new(self, line: Line) -> bool:
        """Whether a text is to be counted; one that is not is told as late or repeated.

        It depends on the lines before alone, not on when windows are closed.
        """
        number = math.floor(line.time / self.seconds)
        is_late = (number + 1) * self.seconds <= self.newest - self.lateness
        if is_late or (self.closed and number <= self.closed[-1].number):
            self.late += 1
        elif line.key in self.keys:
            self.repeated += 1
        else:
            self.keys[line.key] = number
            self.newest = max(self.newest, line.time)
            return True
        return False

    def count(self, line: Line, topics: Iterable[str], mood: str) -> None:
        """Count a text that is new."""
        number = math.floor(line.time / self.seconds)
        held = self.opened.get(number, Window(number))
        counts = {topic: dict(moods) for topic, moods in held.counts.items()}
        for topic in topics:
            counts.setdefault(topic, {})[mood] = counts.get(topic, {}).get(mood, 0) + 1
        self.opened[number] = Window(number, held.texts + 1, counts)
        self.counted += 1

    def close(self, *, ended: bool = False) -> list[Window]:
        """Close windows that nothing more is expected for, with those between in which there was nothing.

        Args:
            ended: Whether nothing more comes at all.

        Returns:
            Those that were closed now.
        """
        until = math.inf if ended else self.newest - self.lateness
        done = [number for number in sorted(self.opened) if (number + 1) * self.seconds <= until]
        if not done:
            return []
        begin = self.closed[-1].number + 1 if self.closed else done[0]
        if done[0] - begin > _GAP:
            self.closed, begin = [], done[0]
        found = [self.opened.pop(number, Window(number)) for number in range(begin, done[-1] + 1)]
        self.closed = [*self.closed, *found][-_KEPT:]
        self.keys = {key: number for key, number in self.keys.items() if number > done[-1]}
        return found

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "seconds": self.seconds,
            "lateness": self.lateness,
            "newest": None if self.newest == -math.inf else self.newest,
            "opened": [_written(window) for window in self.opened.values()],
            "keys": self.keys,
            "closed": [_written(window) for window in self.closed],
            "counted": self.counted,
            "late": self.late,
            "repeated": self.repeated,
        }

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> "Tally":
        """What `to_json` gave."""
        newest = -math.inf if told["newest"] is None else told["newest"]
        opened = {number: Window(number, texts, counts) for number, texts, counts in told["opened"]}
        closed = [Window(*window) for window in told["closed"]]
        return cls(**{**told, "newest": newest, "opened": opened, "closed": closed})


def _written(window: Window) -> list[Any]:
    return [window.number, window.texts, window.counts]
