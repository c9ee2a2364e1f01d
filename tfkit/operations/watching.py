"""A stream of texts watched by one or two text classifiers: `tfkit.monitor`."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tfkit.artifacts import TextSpec
from tfkit.artifacts.manifest import file_sha256
from tfkit.errors import ConfigError, DataError, ModelError
from tfkit.files import read_regular_file, write_whole
from tfkit.monitoring.alarms import Alarm, Watch, seen_before
from tfkit.monitoring.feed import Feed, Fields, Line, parsed
from tfkit.monitoring.monitored import Monitored
from tfkit.monitoring.windows import Tally
from tfkit.operations.shipped_model import ShippedModel
from tfkit.operations.values import PathLike
from tfkit.running import SilentDisplay
from tfkit.tasks import Decision
from tfkit.terminal import import_tensorflow

_BATCH, _PIPED = 64, 1  # lines at a time; of a pipe none waits for the next
_PAUSE, _SAVED_EACH = 1.0, 1.0  # seconds
_FUTURE = 86_400.0  # seconds that a clock may be ahead
_ALARMS_KEPT, _FAULTS_KEPT = 1000, 20
_VERSION = 1

Deliver = Callable[[Monitored, Sequence[Alarm]], str | None]


def monitor(
    run: PathLike,
    stream: PathLike,
    *,
    cross: PathLike | None = None,
    state: PathLike,
    window: float = 3600.0,
    lateness: float = 600.0,
    season: int = 1,
    alpha: float = 0.001,
    fields: Fields = Fields(),  # noqa: B008 - a frozen value
    follow: bool = False,
    piped: BinaryIO | None = None,
    deliver: Deliver | None = None,
    changed: Callable[[Monitored], None] | None = None,
) -> Monitored:
    """Count a stream's texts by topic, and by mood, in windows of time; what `tfkit monitor` does.

    Whatever was read, counted and raised stands in the state file, which is written whole: a monitor that is killed
    goes on where it was and counts no line twice.

    Args:
        run: A finished run of a text classifier, whose answers are the topics.
        stream: A file of JSON lines, or a folder of `.jsonl` files.
        cross: A second run, whose answers are moods: each topic is counted by mood.
        state: The file that keeps what was counted.
        window: Its length in seconds.
        lateness: Seconds that a text may come behind a newer one.
        season: Windows after which the same is expected again: 24 of hours for days.
        alpha: Chance of a false alarm: of a spike in each window, and of a change.
        fields: What the lines' fields are called.
        follow: Whether to wait for more when all is read, until Ctrl-C.
        piped: What another program writes, instead of files.
        deliver: Takes alarms elsewhere; says why it could not, and they wait.
        changed: Called when something was read.

    Returns:
        What the stream has told so far.

    Raises:
        ConfigError: When the state is another monitor's, or river is not installed.
        DataError: When the stream or the state cannot be read or written.
        ModelError: When a run is no text classifier's.

    Example:
        >>> told = tfkit.monitor("runs/intents_small", "chats.jsonl", state="chats.json")  # doctest: +SKIP
        >>> [alarm.sentence for alarm in told.raised]  # doctest: +SKIP
        ['refund_status: 31 texts, usually 4.2']
    """
    if window <= 0 or lateness < 0 or season < 1 or not 0 < alpha < 1:
        raise ConfigError(
            f"window is {window:g}, lateness {lateness:g}, season {season}, alpha {alpha:g}; expected more than 0, "
            "0 or more, 1 or more, and between 0 and 1"
        )
    with contextlib.ExitStack() as stack:
        asked = [stack.enter_context(_Asked(Path(one))) for one in (run, cross) if one is not None]
        kept = _State(Path(state), asked, Tally(window, lateness), season=season, alpha=alpha, fields=fields)
        feed = Feed(Path(stream), piped=piped, places=kept.places)
        at_once, saved = _PIPED if piped else _BATCH, time.monotonic()
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                lines = feed.lines(ended=not follow)
                while batch := list(islice(lines, at_once)):
                    kept.take(batch)
                    kept.close(ended=False)
                    if piped is None or kept.told.waiting or time.monotonic() - saved >= _SAVED_EACH:
                        kept.save(feed.places)
                        saved = time.monotonic()
                    kept.hand_over(deliver, feed.places)
                    if changed is not None:
                        changed(kept.told)
                if not follow or piped is not None:
                    break
                time.sleep(_PAUSE)
        kept.save(feed.places)
        kept.hand_over(deliver, feed.places)
        return kept.told


class _Asked:
    """A run's file that ships, asked about texts."""

    def __init__(self, run: Path) -> None:
        self._model = ShippedModel(run, SilentDisplay())
        spec, task = self._model.spec, self._model.task
        if not isinstance(spec, TextSpec) or task.marked is None or not task.has_labels:
            raise ModelError(
                f"'{run}' is of {task.title} for {self._model.noun}s; texts with classes or labels are monitored",
                hint="name a run of finetune_text",
            )
        self.name, self.names = run.name, self._model.artifact.class_names
        path = self._model.artifact.path
        self.digest = file_sha256(path) if path.is_file() else str(self._model.artifact.sha256)

    def __enter__(self) -> "_Asked":
        from tfkit.runtimes import open_runtime

        import_tensorflow()
        self._runtime = open_runtime(self._model.artifact)
        self._runtime.__enter__()
        return self

    def __exit__(self, *fault: Any) -> None:
        self._runtime.__exit__(*fault)

    def answers(self, texts: Sequence[str]) -> list[set[str]]:
        from tfkit.data.text import TextExamples, replace_unusable
        from tfkit.verification import artifact_scores

        artifact, numbers = self._model.artifact, tuple(map(str, range(len(texts))))
        clean = tuple(replace_unusable(text) for text in texts)
        examples = TextExamples(clean, np.zeros(len(texts), np.int32), numbers, self.names)
        scores = artifact_scores(self._runtime, artifact, examples)
        return self._model.task.names_given(scores, self.names, Decision(artifact.thresholds))


class _State:
    """What a monitor knows, in memory and in its file."""

    def __init__(
        self, path: Path, asked: Sequence[_Asked], tally: Tally, *, season: int, alpha: float, fields: Fields
    ) -> None:
        self._path, self._asked = path, asked
        said = {"models": [one.digest for one in asked], "season": season, "alpha": alpha, "fields": asdict(fields)}
        self._said = json.loads(json.dumps(said | {"window": tally.seconds, "lateness": tally.lateness}))
        topics, moods = asked[0].names, asked[1].names if len(asked) > 1 else ("",)
        self.places: dict[str, int] = {}
        self.told = Monitored(asked[0].name, asked[1].name if len(asked) > 1 else "", topics, moods, tally)
        self._watch = Watch(alpha, season, topics, moods)
        if path.exists():
            self._read()
            seen_before(self._watch, self.told.tally.closed)
        else:
            self.save({})  # a place that cannot be written to is told before anything is counted

    def take(self, raws: Sequence[bytes]) -> None:
        """Count lines that can be used, and those that cannot."""
        lines = list(self._new(raws))
        if not lines:
            return
        texts = [line.text for line in lines]
        topics, *moods = [one.answers(texts) for one in self._asked]
        for place, line in enumerate(lines):
            mood = ", ".join(sorted(moods[0][place])) if moods else ""
            self.told.tally.count(line, sorted(topics[place]), mood)

    def _new(self, raws: Sequence[bytes]) -> Iterator[Line]:
        latest = time.time() + _FUTURE
        for raw in raws:
            if not raw.strip():
                continue
            line = parsed(raw, self._fields)
            if isinstance(line, Line) and line.time > latest:
                line = "its time lies in the future"
            if isinstance(line, str):
                self.told.bad += 1
                if len(self.told.faults) < _FAULTS_KEPT:
                    self.told.faults.append(f"{raw[:60].decode(errors='replace').strip()!r}: {line}")
            elif self.told.tally.is_new(line):
                yield line

    @property
    def _fields(self) -> Fields:
        return Fields(**self._said["fields"])

    def close(self, *, ended: bool) -> None:
        """Look at windows that are done."""
        for window in self.told.tally.close(ended=ended):
            found = self._watch.look(window)
            self.told.raised += found
            self.told.waiting += found
            self.told.alarms = [*self.told.alarms, *found][-_ALARMS_KEPT:]

    def hand_over(self, deliver: Deliver | None, places: dict[str, int]) -> None:
        """Give alarms away; those that nobody takes wait for the next time."""
        if not self.told.waiting:
            return
        self.told.undelivered = (deliver(self.told, self.told.waiting) if deliver else None) or ""
        if not self.told.undelivered:
            self.told.waiting = []
            self.save(places)

    def save(self, places: dict[str, int]) -> None:
        """Write the state, whole."""
        self.places = dict(places)
        document = {
            "version": _VERSION,
            "said": self._said,
            "places": self.places,
            "tally": self.told.tally.to_json(),
            "alarms": [asdict(alarm) for alarm in self.told.alarms],
            "waiting": [asdict(alarm) for alarm in self.told.waiting],
            "bad": self.told.bad,
        }
        try:
            write_whole(self._path, json.dumps(document))
        except OSError as fault:
            raise DataError(f"cannot write the state '{self._path}': {fault.strerror or fault}") from None

    def _read(self) -> None:
        try:
            document = json.loads(read_regular_file(self._path))
            said, version = document["said"], document["version"]
            if version == _VERSION and said == self._said:
                self.places = dict(document["places"])
                self.told.tally = Tally.from_json(document["tally"])
                self.told.alarms = [Alarm(**alarm) for alarm in document["alarms"]]
                self.told.waiting = [Alarm(**alarm) for alarm in document["waiting"]]
                self.told.bad = int(document["bad"])
                return
        except OSError as fault:
            raise DataError(f"cannot read the state '{self._path}': {fault.strerror or fault}") from None
        except (ValueError, KeyError, TypeError):
            raise DataError(
                f"'{self._path}' is no state of a monitor", hint="name another file: --state, or move it away"
            ) from None
        differs = [name for name, value in self._said.items() if said.get(name) != value] or ["version"]
        raise ConfigError(
            f"the state '{self._path}' is of a monitor with another {' and '.join(differs)}",
            hint="go on as it was begun, or name another --state",
        )
