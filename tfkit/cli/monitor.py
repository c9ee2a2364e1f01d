"""`tfkit monitor`: what a stream of texts is about, in windows of time, and what is unusual in it."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tfkit.cli.documents import print_document
from tfkit.cli.drift import ALARM
from tfkit.cli.options import FinishedRun
from tfkit.errors import ConfigError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_URL = {"metavar": "URL", "show_default": "none"}


def monitor(
    run: FinishedRun,
    stream: Annotated[Path, typer.Argument(help="JSON lines: a file, a folder of .jsonl files, or - for a pipe.")],
    cross: Annotated[Path | None, typer.Option(help="Count topics by this run's answers too.", metavar="RUN")] = None,
    window: Annotated[str, typer.Option(help="Its length: 90s, 15m, 1h or 1d.")] = "1h",
    lateness: Annotated[str, typer.Option(help="How far a text may come behind a newer one.")] = "10m",
    season: Annotated[int, typer.Option(min=1, help="Windows after which the same is expected: 24 of hours.")] = 1,
    alpha: Annotated[float, typer.Option(help="Chance of a false alarm in a window.")] = 0.001,
    text_field: Annotated[str, typer.Option(help="The field with the text.")] = "text",
    time_field: Annotated[str, typer.Option(help="The field with its time.")] = "time",
    key_field: Annotated[str | None, typer.Option(help="What tells lines apart; else time and text.")] = None,
    state: Annotated[Path, typer.Option(help="Keeps what was counted, for the next call.")] = Path("monitor.json"),
    page: Annotated[Path | None, typer.Option(help="Write trends as a page.", metavar="FILE.html")] = None,
    prometheus: Annotated[Path | None, typer.Option(help="Write metrics as a file.", metavar="FILE.prom")] = None,
    pushgateway: Annotated[str | None, typer.Option(help="Push metrics to it.", **_URL)] = None,
    webhook: Annotated[str | None, typer.Option(help="Send alarms to it.", **_URL)] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Wait for more, until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> int:
    """Count a stream's texts by topic, and say when a topic comes far more often than usual."""
    from tfkit.terminal import Display, PlainConsole, chatter_dropped

    display = Display(PlainConsole(stderr=as_json))
    with chatter_dropped():
        from tfkit import operations, reports
        from tfkit.monitoring import Fields

        shown = reports.Outlets(page=page, prometheus=prometheus, pushgateway=pushgateway, webhook=webhook)
        told = operations.monitor(
            run, stream, cross=cross, state=state, window=_seconds(window), lateness=_seconds(lateness), season=season,
            alpha=alpha, fields=Fields(text_field, time_field, key_field), follow=follow, changed=shown.show,
            piped=sys.stdin.buffer if stream == Path("-") else None, deliver=shown.deliver,
        )  # fmt: skip
        shown.show(told, last=True)
    if as_json:
        print_document(reports.monitor_document(told))
    else:
        display.table(reports.monitor_table(told))
        display.notes([*reports.monitor_notes(told), *shown.faults])
    return ALARM if told.raised else 0


def _seconds(said: str) -> float:
    number, unit = said[:-1], _UNITS.get(said[-1:])
    if unit is None or not number.replace(".", "", 1).isdigit():
        raise ConfigError(f"'{said}' is no length of time", hint="such as 90s, 15m, 1h or 1d")
    return float(number) * unit
