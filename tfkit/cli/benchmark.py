"""`tfkit benchmark`: how fast a model answers on this machine."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from tfkit.artifacts import Artifact, ImageSpec, ResizeMode


def benchmark(
    path: Annotated[
        Path, typer.Argument(help="A run's folder, a .tflite file, a SavedModel's folder or a .keras file.", metavar="PATH")
    ],
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    runs: Annotated[int, typer.Option(min=1, help="Timed runs, at least.")] = 50,
    warmup_runs: Annotated[int, typer.Option(min=0, help="Runs before the clock starts.")] = 10,
    seconds: Annotated[float, typer.Option(min=0, help="Go on timing for so long.")] = 5.0,
    image_size: Annotated[int | None, typer.Option(min=1, help="For a model that takes any size.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> int:
    """Time a model on one image at a time, and say on what machine."""
    from rich.console import Console

    from tfkit.cli.display import Display
    from tfkit.cli.quiet import tensorflow_started

    timing = {"warmup_runs": warmup_runs, "min_runs": runs, "max_seconds": seconds}
    display = Display(Console(stderr=as_json, highlight=False))
    with tensorflow_started():
        from tfkit.benchmarking import describe_host

        host = describe_host()
        rows = _rows(display, path, threads=threads, image_size=image_size, timing=timing)
    if as_json:
        typer.echo(json.dumps({"host": asdict(host), "models": rows}, indent=2, default=str))
    else:
        _show(display, rows, host)
    return 0


def measure(artifact: Artifact, *, threads: int, **timing: Any) -> Any:
    """The `LatencyResult` of one exported file, on one image of noise."""
    from tfkit.benchmarking import measure_latency
    from tfkit.runtimes import open_runtime

    with open_runtime(artifact, threads=threads) as runtime:
        return measure_latency(runtime, _noise(artifact.image), **timing)
