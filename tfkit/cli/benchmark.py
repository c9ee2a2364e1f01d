"""`tfkit benchmark`: how fast a model answers on this machine."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from tfkit.artifacts import Artifact, ImageSpec, InputSpec, PixelScaling
from tfkit.cli.options import CustomObjects, InputChannels, InputMean, InputRange, InputStd, pixel_scaling


def benchmark(
    path: Annotated[
        Path,
        typer.Argument(help="A run's folder, a .tflite file, a SavedModel's folder or a .keras file.", metavar="PATH"),
    ],
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    runs: Annotated[int, typer.Option(min=1, help="Timed runs, at least.")] = 50,
    warmup_runs: Annotated[int, typer.Option(min=0, help="Runs before the clock starts.")] = 10,
    seconds: Annotated[float, typer.Option(min=0, help="Go on timing for so long.")] = 5.0,
    image_size: Annotated[int | None, typer.Option(min=1, help="For a model that takes any size.")] = None,
    custom_objects: CustomObjects = None,
    input_range: InputRange = None,
    input_mean: InputMean = None,
    input_std: InputStd = None,
    input_channels: InputChannels = "rgb",
    sequence_length: Annotated[
        int | None, typer.Option(min=3, help="Tokens of a text, for a Keras model outside of its run.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> int:
    """Time a model on one image or text at a time, and say on what machine."""
    from tfkit.opening.targets import is_keras_file
    from tfkit.terminal.display import Display, PlainConsole
    from tfkit.terminal.quiet import chatter_dropped, tensorflow_started

    said = pixel_scaling(input_range, input_mean, input_std, input_channels)
    timing = {"warmup_runs": warmup_runs, "min_runs": runs, "max_seconds": seconds}
    display = Display(PlainConsole(stderr=as_json))
    # Exported files run without TensorFlow, whose start alone takes seconds.
    with tensorflow_started() if is_keras_file(path) else chatter_dropped():
        from tfkit.benchmarking import describe_host

        if is_keras_file(path):
            from tfkit.models import register_custom_objects

            register_custom_objects(custom_objects)
        host = describe_host()
        sizes = {"image_size": image_size, "sequence_length": sequence_length}
        rows = _rows(display, path, said, threads=threads, sizes=sizes, timing=timing)
    if as_json:
        typer.echo(json.dumps({"host": asdict(host), "models": rows}, indent=2, default=str))
    else:
        _show(display, rows, host)
    return 0


def measure(artifact: Artifact, *, threads: int, scaling: PixelScaling | None = None, **timing: Any) -> Any:
    """The `LatencyResult` of one exported file, on one image of noise or one text of full length."""
    from tfkit.benchmarking import measure_latency
    from tfkit.runtimes import open_runtime

    with open_runtime(artifact, threads=threads, scaling=scaling) as runtime:
        return measure_latency(runtime, noise(artifact.input), **timing)


def noise(spec: InputSpec) -> Any:
    """One image of noise, or one text of full length: latency does not depend on what it shows or says."""
    import numpy as np

    if isinstance(spec, ImageSpec):
        return np.random.default_rng(0).integers(0, 256, (1, *spec.shape), dtype=np.uint8)
    ones = np.ones((1, spec.sequence_length), np.int32)
    return {"token_ids": ones, "padding_mask": ones}


def _rows(
    display: Any,
    path: Path,
    said: PixelScaling | None,
    *,
    threads: int,
    sizes: dict[str, int | None],
    timing: dict[str, Any],
) -> list[dict[str, Any]]:
    from tfkit.opening.targets import find_artifacts, is_keras_file, refuse_unfinished

    refuse_unfinished(path)
    if is_keras_file(path):
        with display.stage(path.name):
            return [_keras_row(path, said, sizes=sizes, timing=timing)]
    rows = []
    for artifact in find_artifacts(path, image_size=sizes["image_size"]):
        with display.stage(artifact.file_name):
            latency = measure(artifact, threads=threads, scaling=said, **timing)
        kind = f"{artifact.format} {artifact.quantization}".removesuffix(" none")
        rows.append({"file": str(artifact.path), "kind": kind, "bytes": artifact.bytes, **asdict(latency)})
    return rows


def _keras_row(
    path: Path, said: PixelScaling | None, *, sizes: dict[str, int | None], timing: dict[str, Any]
) -> dict[str, Any]:
    from tfkit.benchmarking import measure_latency
    from tfkit.models import load_model_file
    from tfkit.opening.inputs import given_pixels, on_raw_pixels_of
    from tfkit.opening.targets import keras_image
    from tfkit.opening.texts import keras_text
    from tfkit.runtimes import KerasRuntime

    model = load_model_file(path)
    file = path / "models" / "float.keras" if path.is_dir() else path
    spec: InputSpec
    if isinstance(model.input, dict):  # of texts
        spec = keras_text(path, sequence_length=sizes["sequence_length"])
    else:
        spec = keras_image(model, path, image_size=sizes["image_size"])
        model = on_raw_pixels_of(model, spec, given_pixels(model, said), path)
    with KerasRuntime(model) as runtime:
        latency = measure_latency(runtime, noise(spec), **timing)
    return {"file": str(file), "kind": "keras", "bytes": file.stat().st_size, **asdict(latency)}


def _show(display: Any, rows: list[dict[str, Any]], host: Any) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from tfkit.reports.quantities import counted, file_size, milliseconds

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, header_style="bold", pad_edge=False)
    table.add_column("file", overflow="fold")
    table.add_column("kind", no_wrap=True)
    for heading in ("size", "p50", "p95", "mean", "runs"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        times = (milliseconds(row[f"latency_ms_{name}"]) for name in ("p50", "p95", "mean"))
        table.add_row(Text(row["file"]), row["kind"], file_size(row["bytes"]), *times, str(row["runs"]))
    display.table(table)
    for measures, threads in dict.fromkeys((row["measures"], row["threads"]) for row in rows):
        used = counted(threads, "thread") if threads else "the runtime's own threads"
        display.note(f"measured: {measures}; {used}")
    display.note(
        f"on {host.processor}, {counted(host.cores, 'core')}, {host.memory_gib:.0f} GiB, {host.operating_system}"
    )
