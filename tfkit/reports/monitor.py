"""A monitored stream for people and for programs: a table, a page with trends, a JSON document, and metrics."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from rich.text import Text

from tfkit.errors import DataError, printable
from tfkit.files import write_whole
from tfkit.monitoring.alarms import Alarm
from tfkit.monitoring.monitored import Monitored
from tfkit.monitoring.outlets import post_alarms, push_metrics, refuse_odd_address
from tfkit.monitoring.windows import Window
from tfkit.reports.drawing import BAD, Drawing, drawing_style, inline_svg
from tfkit.reports.metrics_text import metric_family
from tfkit.reports.page import template
from tfkit.reports.phrases import date
from tfkit.reports.quantities import counted
from tfkit.terminal import plain_table
from tfkit.version import __version__

if TYPE_CHECKING:
    from rich.table import Table

_DOCUMENT_VERSION = 1
_DRAWN, _WINDOWS = 8, 168  # topics with a picture, and windows in it
_MOODS = ("#4477aa", "#ee6677", "#ccbb44", "#228833", "#66ccee", "#aa3377")  # Paul Tol's bright scheme


@dataclass(frozen=True)
class TopicRow:
    """A topic in the windows that are done.

    Attributes:
        topic: Its name.
        last: Texts in the last window.
        usual: Mean of the windows before.
        total: Texts in all windows.
        moods: Shares of the moods in the last window, in words; empty without moods.
        alarms: How many alarms it had.
    """

    topic: str
    last: int
    usual: float
    total: int
    moods: str
    alarms: int


def topic_rows(told: Monitored) -> tuple[TopicRow, ...]:
    """Topics, the most frequent first; those without a text are left out."""
    closed = told.tally.closed
    rows = []
    for topic in told.topics:
        counts = [window.of(topic) for window in closed]
        if not sum(counts):
            continue
        moods = closed[-1].counts.get(topic, {}) if told.cross else {}
        shares = (f"{mood} {100 * count / counts[-1]:.0f} %" for mood, count in sorted(moods.items()))
        alarms = sum(alarm.topic == topic for alarm in told.alarms)
        usual = sum(counts[:-1]) / max(1, len(counts) - 1)
        rows.append(TopicRow(topic, counts[-1], usual, sum(counts), ", ".join(shares), alarms))
    return tuple(sorted(rows, key=lambda row: -row.total))


def monitor_table(told: Monitored) -> "Table":
    """The topics for a terminal."""
    moods = ["moods"] if told.cross else []
    table = plain_table(["topic", *moods], ["last window", "usual", "all", "alarms"])
    for row in topic_rows(told):
        words = (row.topic, row.moods) if told.cross else (row.topic,)
        cells = (*map(printable, words), f"{row.last:,}", f"{row.usual:.1f}", f"{row.total:,}", str(row.alarms or ""))
        table.add_row(*(Text(cell, style="bold red" if row.alarms else "") for cell in cells))
    return table


def monitor_notes(told: Monitored) -> list[str]:
    """What was read, what was not counted, and the alarms of this call, in sentences."""
    tally = told.tally
    notes = [f"{counted(tally.counted, 'text')} in {counted(len(tally.closed), 'window')} that are done; {_open(told)}"]
    for count, what in ((tally.repeated, "repeated"), (tally.late, "too late"), (told.bad, "of no use")):
        if count:
            notes.append(f"{counted(count, 'line')} {'was' if count == 1 else 'were'} {what}, and not counted")
    notes += [f"line {fault}" for fault in told.faults]
    notes += [f"{_when(told, alarm)}: {alarm.sentence}" for alarm in told.raised] or ["nothing unusual"]
    if told.undelivered:
        notes.append(f"{counted(len(told.waiting), 'alarm')} could not be delivered, and will be: {told.undelivered}")
    return notes


def _open(told: Monitored) -> str:
    return f"{sum(window.texts for window in told.tally.opened.values()):,} in windows that still count"


def _when(told: Monitored, alarm: Alarm) -> str:
    begin = datetime.fromtimestamp(alarm.window * told.tally.seconds, UTC)
    return f"{begin:%Y-%m-%d %H:%M} UTC"


def alarm_documents(told: Monitored, alarms: Sequence[Alarm]) -> list[dict[str, Any]]:
    """Alarms as JSON values; `id` is the same whenever one is told."""
    return [
        {
            "id": f"{told.run}/{alarm.window}/{alarm.kind}/{alarm.topic}/{alarm.mood}",
            "window_begins": datetime.fromtimestamp(alarm.window * told.tally.seconds, UTC).isoformat(),
            "sentence": alarm.sentence,
            **asdict(alarm),
        }
        for alarm in alarms
    ]


def monitor_document(told: Monitored) -> dict[str, object]:
    """Everything that was counted as plain JSON values."""
    tally = told.tally
    return {
        "version": _DOCUMENT_VERSION,
        "tfkit_version": __version__,
        "alarm": bool(told.raised),
        "run": told.run,
        "cross": told.cross or None,
        "window_seconds": tally.seconds,
        "counted": tally.counted,
        "repeated": tally.repeated,
        "late": tally.late,
        "bad": told.bad,
        "faults": told.faults,
        "windows": [asdict(window) for window in tally.closed],
        "raised": alarm_documents(told, told.raised),
        "alarms": alarm_documents(told, told.alarms),
        "undelivered": told.undelivered or None,
    }


def monitor_metrics(told: Monitored) -> str:
    """The last closed window, and totals, for Prometheus."""
    return "\n".join(_metric_lines(told)) + "\n"


def write_monitor_metrics(told: Monitored, path: Path) -> None:
    """Write `monitor_metrics` for node_exporter's textfile collector, whole or not at all.

    Raises:
        DataError: When it cannot be written.
    """
    _write(path, monitor_metrics(told))


def _metric_lines(told: Monitored) -> Iterator[str]:
    tally, of = told.tally, {"model": told.run}
    last = tally.closed[-1] if tally.closed else Window(0)
    moods = [
        ({**of, "topic": topic, "mood": mood}, float(last.of(topic, mood)))
        for topic in told.topics
        for mood in told.moods
    ]
    raised = [alarm for alarm in told.alarms if tally.closed and alarm.window == last.number]
    alarms = [({**of, "topic": topic}, float(any(alarm.topic == topic for alarm in raised))) for topic in told.topics]
    yield from metric_family("tfkit_monitor_window_texts", "Texts of the last window that is done", moods)
    yield from metric_family("tfkit_monitor_alarm", "Whether its last window is unusual", alarms)
    totals = (("texts", tally.counted), ("late", tally.late), ("repeated", tally.repeated), ("bad", told.bad))
    for name, count in totals:
        told_as = "Texts counted" if name == "texts" else f"Lines not counted: {name}"
        yield from metric_family(f"tfkit_monitor_{name}_total", told_as, [(of, float(count))], kind="counter")
    waiting = [(of, float(len(told.waiting)))]
    yield from metric_family("tfkit_monitor_undelivered_alarms", "Alarms that nobody has taken", waiting)
    ends = [(of, (last.number + 1) * tally.seconds if tally.closed else 0.0)]
    yield from metric_family("tfkit_monitor_window_end_seconds", "When the last window that is done ended", ends)
    yield from metric_family(
        "tfkit_monitor_timestamp_seconds", "When this was written", [(of, float(round(time.time())))]
    )


def write_monitor_page(told: Monitored, path: Path) -> None:
    """Write trends and alarms as a page that needs nothing else; no text of the stream is in it.

    Args:
        told: The stream.
        path: The `.html` file.

    Raises:
        DataError: When it cannot be written.
    """
    rows = topic_rows(told)
    alarms = [(_when(told, alarm), alarm) for alarm in reversed(told.alarms[-50:])]
    page = template("monitor.html.j2").render(
        told=told,
        rows=rows,
        notes=monitor_notes(told),
        alarms=alarms,
        created=date(datetime.now(UTC).isoformat(timespec="seconds")),
        pictures=[Markup(inline_svg(_drawing(told, row.topic))) for row in rows[:_DRAWN]],
        left_out=max(0, len(rows) - _DRAWN),
        tfkit_version=__version__,
    )
    _write(path, page)


_PAGE_EACH = 10.0  # seconds


@dataclass
class Outlets:
    """Where a monitor shows what it knows while it runs, and takes its alarms.

    Attributes:
        page: A page with trends, written anew at most every ten seconds.
        prometheus: A file of metrics.
        pushgateway: The address of a Pushgateway.
        webhook: An address that takes alarms.
        faults: What could not be shown, in sentences.

    Raises:
        ConfigError: For an address that is none.
    """

    page: Path | None = None
    prometheus: Path | None = None
    pushgateway: str | None = None
    webhook: str | None = None
    faults: list[str] = field(default_factory=list)
    _written: float = 0.0

    def __post_init__(self) -> None:
        for option, address in (("--pushgateway", self.pushgateway), ("--webhook", self.webhook)):
            if address is not None:
                refuse_odd_address(address, option)

    def show(self, told: Monitored, *, last: bool = False) -> None:
        """Write the page and the metrics, where it is time for them."""
        if not last and time.monotonic() - self._written < _PAGE_EACH:
            return
        self._written = time.monotonic()
        if self.page is not None:
            write_monitor_page(told, self.page)
        if self.prometheus is not None:
            write_monitor_metrics(told, self.prometheus)
        if self.pushgateway is not None and (
            fault := push_metrics(self.pushgateway, monitor_metrics(told), run=told.run)
        ):
            self.faults = [f"metrics were not pushed: {fault}"]

    def deliver(self, told: Monitored, alarms: Sequence[Alarm]) -> str | None:
        """Send alarms to the webhook; says why that failed."""
        if self.webhook is None:
            return None
        return post_alarms(self.webhook, alarm_documents(told, alarms), run=told.run)


def _drawing(told: Monitored, topic: str) -> Drawing:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    windows = told.tally.closed[-_WINDOWS:]
    times = [datetime.fromtimestamp(window.number * told.tally.seconds, UTC) for window in windows]
    with drawing_style():
        figure = Figure(figsize=(7.4, 2.0), layout="constrained")
        axes = figure.subplots()
        below = [0] * len(windows)
        for place, mood in enumerate(told.moods):
            counts = [window.of(topic, mood) for window in windows]
            colour = _MOODS[place % len(_MOODS)]
            width = told.tally.seconds / 86_400
            axes.bar(times, counts, width, bottom=below, color=colour, align="edge", label=mood or None)  # type: ignore[arg-type]
            below = [one + count for one, count in zip(below, counts, strict=True)]
        flagged = {alarm.window for alarm in told.alarms if alarm.topic == topic}
        marked = [(at, top) for at, top, window in zip(times, below, windows, strict=True) if window.number in flagged]
        if marked:
            half = timedelta(seconds=told.tally.seconds / 2)
            axes.plot([at + half for at, _ in marked], [top for _, top in marked], "v", color=BAD, label="alarm")  # type: ignore[arg-type]
        axes.set_title(topic)
        axes.set_ylabel("texts")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.tick_params(axis="x", labelsize=7)
        if told.cross or marked:
            axes.legend(frameon=False, fontsize=7, ncols=len(told.moods) + 1, loc="upper left")
    return Drawing(figure, f"Texts on {topic} in each window")


def _write(path: Path, text: str) -> None:
    try:
        write_whole(path, text)
    except OSError as fault:
        raise DataError(f"cannot write '{path}': {fault.strerror or fault}") from None
