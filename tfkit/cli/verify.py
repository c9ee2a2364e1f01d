"""`tfkit verify`: measure exported files on labelled images or texts, and refuse those that miss a limit."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfkit.artifacts import ResizeMode
from tfkit.cli.options import (
    Column,
    CustomObjects,
    Header,
    Labels,
    PixelOptions,
    TaskOption,
    Threads,
    min_runtime_option,
)
from tfkit.errors import ConfigError

if TYPE_CHECKING:
    from rich.text import Text

    from tfkit.artifacts import TensorSpec
    from tfkit.deployment import Bundle
    from tfkit.operations import Verified
    from tfkit.reports import ArtifactResult
    from tfkit.terminal import Display

REFUSED = 3


def verify(
    path: Annotated[
        Path,
        typer.Argument(
            help="A run's folder, an artifacts folder, a .tflite file, a SavedModel or a bundle.", metavar="PATH"
        ),
    ],
    *,
    data: Annotated[
        Path | None,
        typer.Option(help="Labelled images: class folders, .npz or CSV; or texts: CSV, TSV, JSONL.", metavar="DATA"),
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="The Keras model it was made from, to compare with.", metavar="MODEL")
    ] = None,
    custom_objects: CustomObjects = None,
    labels: Labels = None,
    resize: Annotated[ResizeMode, typer.Option(help="How images are fitted, for an outside file.")] = "crop",
    image_size: Annotated[int | None, typer.Option(min=1, help="For a SavedModel that does not say.")] = None,
    pixels: PixelOptions,
    task: TaskOption = None,
    text_column: Column = None,
    label_column: Column = None,
    header: Header = None,
    tokenizer: Annotated[Path | None, typer.Option(help="Its folder, for an outside file of token ids.")] = None,
    threads: Threads = 1,
    max_accuracy_drop: Annotated[
        float | None, typer.Option(min=0, max=1, help="Refuse a larger loss against --reference, as a fraction.")
    ] = None,
    min_agreement: Annotated[
        float | None, typer.Option(min=0, max=1, help="Refuse fewer answers equal to --reference.")
    ] = None,
    max_bytes: Annotated[int | None, typer.Option(min=1, help="Refuse a larger file.")] = None,
    max_latency_ms_p95: Annotated[float | None, typer.Option(min=0, help="Refuse a slower file.")] = None,
    max_float_ops: Annotated[int | None, typer.Option(min=0, help="Refuse an int8 file with more of them.")] = None,
    min_runtime: Annotated[str | None, min_runtime_option("a file")] = None,
    npu: Annotated[
        str | None,
        typer.Option(help="Refuse integer files not wholly on this Ethos-U NPU; needs Vela.", metavar="ethos-u55-128"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> int:
    """Show what an exported file is, how fast, and how good.

    What is said of the pixels goes for an outside file, and for the reference; a file of tfkit takes them raw.

    Exit status 3: a limit was missed and the file is refused.
    """
    from tfkit.deployment import read_bundle
    from tfkit.operations import Limits, TextTable, verify
    from tfkit.terminal import Display, PlainConsole, chatter_dropped

    limits = Limits(max_accuracy_drop, min_agreement, max_bytes, max_latency_ms_p95, max_float_ops, min_runtime)
    if (bundle := read_bundle(path)) is not None:
        if limits.any_given or data or reference or npu:
            told = f"'{path}' is a bundle: its files are compared with what was written, and not measured again"
            raise ConfigError(told, hint="leave the other options out, or name the run that it was made of")
        return _show_bundle(path, bundle, as_json=as_json)
    said = pixels.scaling()
    display = Display(PlainConsole(stderr=as_json))
    with chatter_dropped():
        verified = verify(
            path,
            data=data,
            reference=reference,
            limits=limits,
            labels=labels,
            resize=resize,
            image_size=image_size,
            scaling=said,
            task=task,
            table=TextTable(text_column, label_column, header),
            tokenizer=tokenizer,
            custom_objects=custom_objects,
            threads=threads,
            npu=npu,
            display=display,
        )
    if as_json:
        typer.echo(json.dumps(verified.document(), indent=2, default=str))
    else:
        _show_results(display, verified, judged=limits.any_given or npu is not None)
    return 0 if verified.accepted else REFUSED


def _show_bundle(path: Path, bundle: "Bundle", *, as_json: bool) -> int:
    """Show what a bundle says of itself; its files were compared when it was read."""
    from dataclasses import asdict

    from tfkit.terminal import Display, PlainConsole

    if as_json:
        typer.echo(json.dumps(asdict(bundle), indent=2))
        return 0
    display = Display(PlainConsole())
    versions = ", ".join(bundle.versions)
    display.note(f"{path}: '{bundle.model}' for {bundle.kind}, version {versions}, by {bundle.made_by}")
    display.note("every file is as it was written")
    for told, sentences in (("checked when it was made", bundle.checked), ("not checked", bundle.not_checked)):
        for sentence in sentences:
            display.note(f"{told}: {sentence}")
    return 0


def _show_results(display: "Display", verified: "Verified", *, judged: bool) -> None:
    """Show what was measured: one file in full, several as a table."""
    judged = judged or not verified.accepted
    if len(verified.files) == 1:
        _show_file(display, verified, judged=judged)
    else:
        _show_table(display, verified, judged=judged)
    for result in verified.files:
        for refusal in result.refusals:
            display.note(f"refused: {refusal}")
        for fault in result.portability_faults if not result.refusals else ():
            display.note(f"mind: {result.file}: {fault}; ask whoever made it for a file of the stock converter")


def _show_file(display: "Display", verified: "Verified", *, judged: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    result = verified.files[0]
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for name, text in [*_what_it_is(result), *_how_good_it_is(verified)]:
        grid.add_row(name, Text(text))
    if judged:
        grid.add_row("verdict", _verdict(result))
    display.table(grid)


def _what_it_is(result: "ArtifactResult") -> list[tuple[str, str]]:
    """Tensors, operators and speed of one file."""
    from tfkit.reports.quantities import counted, file_size, milliseconds

    rows = [("file", f"{result.label}, {file_size(result.bytes)}")]
    for kind, tensors in (("input", result.signature.inputs), ("output", result.signature.outputs)):
        rows += [(kind, _tensor(tensor)) for tensor in tensors]
    if result.operators:
        ordered = sorted(result.operators.items(), key=lambda item: (-item[1], item[0]))
        rows.append(("operators", ", ".join(f"{name} {count}" for name, count in ordered)))
        rows.append(("float operators", f"{result.float_ops} of {sum(result.operators.values())}"))
    if result.min_runtime is not None:
        rows.append(("runtime", f"TensorFlow Lite {result.min_runtime} or later"))
    if result.npu is not None:
        total = result.npu.npu_operators + result.npu.cpu_operators
        time = (
            "" if result.npu.estimated_ms is None else f", {milliseconds(result.npu.estimated_ms)} by Vela's estimate"
        )
        rows.append(("npu", f"{result.npu.npu_operators} of {total} operators on {result.npu.accelerator}{time}"))
    if result.latency_ms_p50 is not None:
        threads = counted(result.latency_threads, "thread") if result.latency_threads else "own threads"
        times = f"p50 {milliseconds(result.latency_ms_p50)}, p95 {milliseconds(result.latency_ms_p95)}"
        rows.append(("latency", f"{times} ({threads}, {result.latency_runs} runs; {result.latency_measures})"))
    return rows


def _how_good_it_is(verified: "Verified") -> list[tuple[str, str]]:
    """Accuracy and agreement of one file; nothing without labelled images."""
    from tfkit.reports.quantities import percent, small_difference

    result, examples, keras_accuracy = verified.files[0], verified.examples, verified.reference
    if examples is None:
        return []
    keras = f"; the Keras reference has {_told(verified, keras_accuracy)}" if keras_accuracy is not None else ""
    metric = next(iter(result.figures), "accuracy")
    rows = [(metric, f"{_told(verified, result.quality)} of {len(examples)} {_noun(verified)}{keras}")]
    if result.quality is None:
        rows = [("accuracy", "not known: the data has one label each, and the file gives several")]
    if result.agreement is not None:
        largest, mean = small_difference(result.max_difference), small_difference(result.mean_difference)
        same = f"{percent(result.agreement, decimals=2)} of the answers are those of the reference"
        rows.append(("agreement", f"{same}; scores differ by {mean} on average, {largest} at most"))
    return rows


def _told(verified: "Verified", value: float | None) -> str:
    """A deciding figure: a share in per cent, R2 as it is."""
    from tfkit.reports.quantities import percent
    from tfkit.tasks import task_of

    if value is None or verified.examples is None or task_of(verified.examples.labels).is_share:
        return percent(value, decimals=2)
    return f"{value:.4f}"


def _noun(verified: "Verified") -> str:
    return "texts" if hasattr(verified.examples, "texts") else "images"


def _verdict(result: "ArtifactResult") -> "Text":
    from rich.text import Text

    if result.refusals:
        return Text("refused", style="bold red")
    if result.quality is None:
        return Text("within the limits; no labels compared")
    return Text("accepted", style="green")


def _tensor(tensor: "TensorSpec") -> str:
    shape = ", ".join("any" if size is None else str(size) for size in tensor.shape)
    scale = f", scale {tensor.scale:.6g}, zero point {tensor.zero_point}" if tensor.scale else ""
    return f"{tensor.name}: {tensor.dtype} [{shape}]{scale}"


def _show_table(display: "Display", verified: "Verified", *, judged: bool) -> None:
    from rich.text import Text

    from tfkit.reports.quantities import file_size, milliseconds, percent
    from tfkit.terminal import plain_table

    table = plain_table(["file"], ["size", verified.metric, "agreement", "p50"], ["verdict"] if judged else [])
    if verified.reference is not None:
        table.add_row("Keras reference", "", _told(verified, verified.reference), end_section=True)
    for result in verified.files:
        told = percent(None) if verified.examples is None else _told(verified, result.quality)
        shares = (told, percent(result.agreement, decimals=2))
        times = milliseconds(result.latency_ms_p50)
        table.add_row(
            Text(result.file), file_size(result.bytes), *shares, times, *([_verdict(result)] if judged else [])
        )
    display.table(table)
    if verified.examples is not None:
        display.note(f"measured on {len(verified.examples)} {_noun(verified)}; --json tells every figure")
