"""Windows of counted texts in which a topic came far more often than usual, and shares that changed for good."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from tfkit.errors import ConfigError
from tfkit.monitoring.windows import Window

_HISTORY = 336  # windows: two weeks of hours
_LEAST_HISTORY = 8
_LEAST_TEXTS = 5  # of a spike

AlarmKind = Literal["spike", "change"]


@dataclass(frozen=True)
class Alarm:
    """Something that is not as usual.

    Attributes:
        kind: `spike`: more texts in one window than chance explains. `change`: a share is another one now.
        topic: Of which topic; empty for all texts.
        mood: Of which mood; empty for all.
        window: The number of the window in which it was noticed.
        value: Texts in it, or the share now, 0 to 1.
        usual: Texts in a usual window, or the share before.
        p_value: Chance of so many texts by accident; None for a change.
    """

    kind: AlarmKind
    topic: str
    mood: str
    window: int
    value: float
    usual: float
    p_value: float | None = None

    @property
    def sentence(self) -> str:
        """What happened, in a few words.

        Example:
            >>> Alarm("spike", "fees", "", 7, 31, 4.2, 1e-9).sentence
            'fees: 31 texts, usually 4.2'
        """
        what = " ".join(filter(None, (self.topic or "all texts", self.mood and f"({self.mood})")))
        if self.kind == "spike":
            return f"{what}: {self.value:.0f} texts, usually {self.usual:.1f}"
        return f"{what}: {self.value:.0%} of the texts, before {self.usual:.0%}"


@dataclass
class Watch:
    """Looks at one closed window after the other.

    Attributes:
        alpha: Chance of a false alarm in a window, of spikes; and of changes at all.
        season: Windows after which the same is expected again, such as 24 of hours; 1 for none.
        topics: All topics there can be.
        moods: All moods.
    """

    alpha: float
    season: int
    topics: tuple[str, ...]
    moods: tuple[str, ...]
    _windows: list[Window] = field(default_factory=list)
    _flagged: set[tuple[str, str, int]] = field(default_factory=set)
    _detectors: dict[tuple[str, str], Any] = field(default_factory=dict)

    def look(self, window: Window) -> list[Alarm]:
        """Alarms of the next window; the same windows in the same order give the same ones.

        Raises:
            ConfigError: When river is not installed.
        """
        found = [*self._spikes(window), *self._changes(window)]
        self._windows = [*self._windows, window][-_HISTORY * self.season :]
        return found

    @property
    def _series(self) -> list[tuple[str, str]]:
        crossed = [(topic, mood) for topic in self.topics for mood in self.moods] if len(self.moods) > 1 else []
        return [("", ""), *((topic, "") for topic in self.topics), *crossed]

    def _spikes(self, window: Window) -> Iterator[Alarm]:
        """Counts far above those of earlier windows, all series together by Bonferroni.

        A count is negative binomial: Poisson's spread, times what earlier windows show beyond it, and the error of
        their mean (Hilbe 2011, Negative Binomial Regression, section 8). Windows with a spike do not count as usual
        until they are the most.
        """
        from scipy.stats import nbinom, poisson

        for topic, mood in self._series:
            count = _count(window, topic, mood)
            known = [one for one in self._windows if (window.number - one.number) % self.season == 0]
            quiet = [one for one in known if (topic, mood, one.number) not in self._flagged]
            counts = [_count(one, topic, mood) for one in (quiet if 2 * len(quiet) > len(known) else known)]
            if len(counts) < _LEAST_HISTORY or count < _LEAST_TEXTS:
                continue
            mean = max(sum(counts), 0.5) / len(counts)
            spread = sum((one - mean) ** 2 for one in counts) / (len(counts) - 1)
            variance = mean * max(1.0, spread / mean) * (1 + 1 / len(counts))
            size = mean * mean / (variance - mean) if variance > mean else math.inf
            tail = poisson.sf(count - 1, mean) if size == math.inf else nbinom.sf(count - 1, size, mean / variance)
            if tail < self.alpha / len(self._series):
                self._flagged.add((topic, mood, window.number))
                yield Alarm("spike", topic, mood, window.number, float(count), mean, float(tail))

    def _changes(self, window: Window) -> Iterator[Alarm]:
        """Shares that ADWIN calls changed (Bifet and Gavalda 2007, of river): of a topic, and of a mood in a topic."""
        for topic, mood in self._series[1:]:
            whole = window.of(topic) if mood else window.texts
            if not whole:
                continue
            detector = self._detectors.setdefault((topic, mood), None) or self._detector(topic, mood)
            before, changed, count = float(detector.estimation), False, _count(window, topic, mood)
            for place in range(whole):  # its texts, spread evenly: their order says nothing
                detector.update(float((place + 1) * count // whole - place * count // whole))
                changed = changed or detector.drift_detected
            if changed:
                yield Alarm("change", topic, mood, window.number, float(detector.estimation), before)

    def _detector(self, topic: str, mood: str) -> Any:
        try:
            from river.drift import ADWIN
        except ImportError:
            raise ConfigError("watching a stream needs river", hint="pip install 'tfkit[stream]'") from None
        made = self._detectors[topic, mood] = cast(Any, ADWIN)(delta=self.alpha / len(self._series))
        return made


def _count(window: Window, topic: str, mood: str) -> int:
    return window.of(topic, mood or None) if topic else window.texts


def seen_before(watch: Watch, windows: Sequence[Window]) -> None:
    """Show a watch the windows that an earlier process looked at; their alarms were given."""
    for window in windows:
        watch.look(window)
