"""`tfkit benchmark`: how fast a model answers on this machine."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from tfkit.cli.options import CustomObjects, ImageSize, ModelPath, PixelOptions, Threads

if TYPE_CHECKING:
    from tfkit.operations import Timed
    from tfkit.terminal import Display


def benchmark(
    path: ModelPath,
    *,
    threads: Threads = 1,
    runs: Annotated[int, typer.Option(min=1, help="Timed runs, at least.")] = 50,
    warmup_runs: Annotated[int, typer.Option(min=0, help="Runs before the clock starts.")] = 10,
    seconds: Annotated[float, typer.Option(min=0, help="Go on timing for so long.")] = 5.0,
    image_size: ImageSize = None,
    custom_objects: CustomObjects = None,
    pixels: PixelOptions,
    sequence_length: Annotated[
        int | None, typer.Option(min=3, help="Tokens of a text, for a Keras model outside of its run.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> int:
    """Time a model on one image or text at a time, and say on what machine."""
    from tfkit.operations import Timing, time_model
    from tfkit.terminal import Display, PlainConsole, chatter_dropped

    display = Display(PlainConsole(stderr=as_json))
    with chatter_dropped():
        timed = time_model(
            path,
            timing=Timing(warmup_runs, runs, seconds),
            threads=threads,
            image_size=image_size,
            sequence_length=sequence_length,
            scaling=pixels.scaling(),
            custom_objects=custom_objects,
            display=display,
        )
    if as_json:
        typer.echo(json.dumps(timed.document(), indent=2, default=str))
    else:
        _show(display, timed)
    return 0


def _show(display: "Display", timed: "Timed") -> None:
    from rich.text import Text

    from tfkit.reports.quantities import counted, file_size, milliseconds
    from tfkit.terminal import plain_table

    table = plain_table(["file", "kind"], ["size", "p50", "p95", "mean", "runs"])
    for file in timed.files:
        latency = file.latency
        times = map(milliseconds, (latency.latency_ms_p50, latency.latency_ms_p95, latency.latency_ms_mean))
        table.add_row(Text(str(file.file)), file.kind, file_size(file.bytes), *times, str(latency.runs))
    display.table(table)
    for measures, threads in dict.fromkeys((file.latency.measures, file.latency.threads) for file in timed.files):
        used = counted(threads, "thread") if threads else "the runtime's own threads"
        display.note(f"measured: {measures}; {used}")
    host = timed.host
    display.note(
        f"on {host.processor}, {counted(host.cores, 'core')}, {host.memory_gib:.0f} GiB, {host.operating_system}"
    )
