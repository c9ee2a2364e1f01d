"""`tfkit verify`: measure exported files on labelled images, and refuse those that miss a limit."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfkit.artifacts import Artifact, ResizeMode
from tfkit.errors import ConfigError, DataError

if TYPE_CHECKING:
    from tfkit.cli.display import Display

REFUSED = 3


@dataclass(frozen=True)
class Limits:
    """The limits given on the command line; None: no limit."""

    max_accuracy_drop: float | None
    min_agreement: float | None
    max_bytes: int | None
    max_latency_ms_p95: float | None
    max_float_ops: int | None

    @property
    def any_given(self) -> bool:
        """Whether there is anything to accept or refuse by."""
        return any(limit is not None for limit in asdict(self).values())


def verify(
    path: Annotated[
        Path,
        typer.Argument(help="A run's folder, an artifacts folder, a .tflite file or a SavedModel.", metavar="PATH"),
    ],
    data: Annotated[
        Path | None, typer.Option(help="Labelled images: class folders, .npz or CSV.", metavar="DATA")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="The Keras model it was made from, to compare with.", metavar="MODEL")
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="A file with one label a line.", metavar="FILE")] = None,
    resize: Annotated[ResizeMode, typer.Option(help="How images are fitted, for an outside file.")] = "crop",
    image_size: Annotated[int | None, typer.Option(min=1, help="For a SavedModel that does not say.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    max_accuracy_drop: Annotated[
        float | None, typer.Option(min=0, max=1, help="Refuse a larger loss against --reference, as a fraction.")
    ] = None,
    min_agreement: Annotated[
        float | None, typer.Option(min=0, max=1, help="Refuse fewer answers equal to --reference.")
    ] = None,
    max_bytes: Annotated[int | None, typer.Option(min=1, help="Refuse a larger file.")] = None,
    max_latency_ms_p95: Annotated[float | None, typer.Option(min=0, help="Refuse a slower file.")] = None,
    max_float_ops: Annotated[int | None, typer.Option(min=0, help="Refuse an int8 file with more of them.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> int:
    """Show what an exported file is, how fast, and how good.

    Exit status 3: a limit was missed and the file is refused.
    """
    from rich.console import Console

    from tfkit.cli.display import Display
    from tfkit.cli.quiet import tensorflow_started

    limits = Limits(max_accuracy_drop, min_agreement, max_bytes, max_latency_ms_p95, max_float_ops)
    _check_options(limits, data=data, reference=reference)
    display = Display(Console(stderr=as_json, highlight=False))
    with tensorflow_started():
        from tfkit.cli.targets import find_artifacts

        artifacts = find_artifacts(path, labels=labels, resize=resize, image_size=image_size)
        examples, artifacts = _examples(display, artifacts, data, named=bool(labels)) if data else (None, artifacts)
        scores, keras_accuracy = _reference(display, reference, examples, artifacts[0]) if reference else (None, None)
        folder = path if len(artifacts) > 1 else artifacts[0].path.parent
        results = [
            _measure(display, artifact, folder, examples, scores, keras_accuracy, limits, threads=threads)
            for artifact in artifacts
        ]
    if as_json:
        typer.echo(json.dumps(_as_json(results, examples, keras_accuracy), indent=2, default=str))
    else:
        _show(display, results, examples, keras_accuracy, judged=limits.any_given)
    return REFUSED if any(result.refusals for result in results) else 0


def _check_options(limits: Limits, *, data: Path | None, reference: Path | None) -> None:
    if reference is not None and data is None:
        raise ConfigError("--reference needs --data", hint="name labelled images to compare the two on")
    compared = [name for name in ("max_accuracy_drop", "min_agreement") if getattr(limits, name) is not None]
    if compared and reference is None:
        options = " and ".join("--" + name.replace("_", "-") for name in compared)
        raise ConfigError(f"{options} needs --reference", hint="name the Keras model that the file was made from")


def _examples(
    display: "Display", artifacts: tuple[Artifact, ...], data: Path, *, named: bool
) -> tuple[Any, tuple[Artifact, ...]]:
    """The labelled images; a file without labels of its own gets theirs, when there are as many."""
    from tfkit.cli.targets import OUTSIDE
    from tfkit.data import load_image_examples

    first = artifacts[0]
    known = named or first.made_by != OUTSIDE
    with display.stage("Labelled images") as stage:
        names = first.class_names if known else None
        examples = load_image_examples(data, channels=first.image.channels, class_names=names, progress=stage.progress)
        stage.result(f"{len(examples)} of {len(examples.class_names)} classes")
    if not known and len(examples.class_names) != len(first.class_names):
        raise DataError(
            f"'{data}' has {len(examples.class_names)} classes; '{first.path}' gives {len(first.class_names)} scores",
            hint="say with --labels which score is which class",
        )
    return examples, tuple(replace(artifact, class_names=examples.class_names) for artifact in artifacts)


def _reference(display: "Display", path: Path, examples: Any, artifact: Artifact) -> tuple[Any, float]:
    from tfkit.models import load_model_file
    from tfkit.verification import reference_scores

    with display.stage("Keras reference") as stage:
        scores = reference_scores(load_model_file(path), examples, artifact.image)
        accuracy = float((scores.argmax(axis=1) == examples.labels).mean())
        stage.result(f"accuracy {accuracy:.4f}")
    return scores, accuracy


def _measure(
    display: "Display",
    artifact: Artifact,
    folder: Path,
    examples: Any,
    reference: Any,
    keras_accuracy: float | None,
    limits: Limits,
    *,
    threads: int,
) -> Any:
    """One file's `ArtifactResult`."""
    from tfkit.cli.benchmark import measure
    from tfkit.reports import artifact_result
    from tfkit.verification import refusals, verify_artifact

    with display.stage(_name(artifact)) as stage:
        if examples is None:
            verification = _unlabelled(artifact)
        else:
            verification = verify_artifact(
                artifact, examples, reference=reference, threads=threads, progress=stage.progress
            )
        latency = measure(artifact, threads=threads)
        refused = refusals(verification, latency.latency_ms_p95, keras_accuracy=keras_accuracy, policy=_policy(limits))
        stage.result("refused" if refused else "")
    return artifact_result(verification, latency, refused, directory=folder)


def _unlabelled(artifact: Artifact) -> Any:
    """What can be said of a file without running it on labelled images: its operators."""
    from collections import Counter

    from tfkit.runtimes import read_operators
    from tfkit.verification import ArtifactVerification

    operators = read_operators(artifact.path) if artifact.format == "tflite" else ()
    return ArtifactVerification(
        artifact=artifact,
        examples=0,
        accuracy=None,
        agreement=None,
        max_difference=None,
        mean_difference=None,
        float_ops=sum(operator.is_float for operator in operators),
        operators=dict(Counter(operator.name for operator in operators).most_common()),
        problems=(),
    )


def _policy(limits: Limits) -> Any:
    from tfkit.verification import AcceptancePolicy

    return AcceptancePolicy(
        max_accuracy_drop=1.0 if limits.max_accuracy_drop is None else limits.max_accuracy_drop,
        min_agreement=0.0 if limits.min_agreement is None else limits.min_agreement,
        max_bytes=limits.max_bytes,
        max_latency_ms_p95=limits.max_latency_ms_p95,
        max_float_ops=10**9 if limits.max_float_ops is None else limits.max_float_ops,
    )


def _name(artifact: Artifact) -> str:
    return "saved_model" if artifact.format == "saved_model" else artifact.path.name


def _as_json(results: list[Any], examples: Any, keras_accuracy: float | None) -> dict[str, Any]:
    evaluation = {"examples": len(examples), "metric": "accuracy", "keras": keras_accuracy} if examples else None
    return {
        "accepted": not any(result.refusals for result in results),
        "evaluation": evaluation,
        "artifacts": [asdict(result) for result in results],
    }


def _show(display: "Display", results: list[Any], examples: Any, keras_accuracy: float | None, *, judged: bool) -> None:
    judged = judged or any(result.refusals for result in results)
    if len(results) == 1:
        _show_file(display, results[0], examples, keras_accuracy, judged=judged)
    else:
        _show_table(display, results, examples, keras_accuracy, judged=judged)
    for result in results:
        for refusal in result.refusals:
            display.note(f"refused: {refusal}")


def _show_file(display: "Display", result: Any, examples: Any, keras_accuracy: float | None, *, judged: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for name, text in [*_what_it_is(result), *_how_good_it_is(result, examples, keras_accuracy)]:
        grid.add_row(name, Text(text))
    if judged:
        grid.add_row("verdict", _verdict(result))
    display.table(grid)


def _what_it_is(result: Any) -> list[tuple[str, str]]:
    """Tensors, operators and speed of one file."""
    from tfkit.reports.quantities import counted, file_size, milliseconds

    rows = [("file", f"{result.label}, {file_size(result.bytes)}")]
    for kind, tensors in (("input", result.signature.inputs), ("output", result.signature.outputs)):
        rows += [(kind, _tensor(tensor)) for tensor in tensors]
    if result.operators:
        ordered = sorted(result.operators.items(), key=lambda item: (-item[1], item[0]))
        rows.append(("operators", ", ".join(f"{name} {count}" for name, count in ordered)))
        rows.append(("float operators", f"{result.float_ops} of {sum(result.operators.values())}"))
    if result.latency_ms_p50 is not None:
        threads = counted(result.latency_threads, "thread") if result.latency_threads else "own threads"
        times = f"p50 {milliseconds(result.latency_ms_p50)}, p95 {milliseconds(result.latency_ms_p95)}"
        rows.append(("latency", f"{times} ({threads}, {result.latency_runs} runs; {result.latency_measures})"))
    return rows


def _how_good_it_is(result: Any, examples: Any, keras_accuracy: float | None) -> list[tuple[str, str]]:
    """Accuracy and agreement of one file; nothing without labelled images."""
    from tfkit.reports.quantities import percent, small_difference

    if examples is None:
        return []
    keras = f"; the Keras reference has {percent(keras_accuracy, decimals=2)}" if keras_accuracy is not None else ""
    rows = [("accuracy", f"{percent(result.accuracy, decimals=2)} of {len(examples)} images{keras}")]
    if result.agreement is not None:
        largest, mean = small_difference(result.max_difference), small_difference(result.mean_difference)
        same = f"{percent(result.agreement, decimals=2)} of the answers are those of the reference"
        rows.append(("agreement", f"{same}; scores differ by {mean} on average, {largest} at most"))
    return rows


def _verdict(result: Any) -> Any:
    from rich.text import Text

    return Text("refused", style="bold red") if result.refusals else Text("accepted", style="green")


def _tensor(tensor: Any) -> str:
    shape = ", ".join("any" if size is None else str(size) for size in tensor.shape)
    scale = f", scale {tensor.scale:.6g}, zero point {tensor.zero_point}" if tensor.scale else ""
    return f"{tensor.name}: {tensor.dtype} [{shape}]{scale}"


def _show_table(
    display: "Display", results: list[Any], examples: Any, keras_accuracy: float | None, *, judged: bool
) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from tfkit.reports.quantities import file_size, milliseconds, percent

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, header_style="bold", pad_edge=False)
    table.add_column("file", overflow="fold")
    for heading in ("size", "accuracy", "agreement", "p50"):
        table.add_column(heading, justify="right", no_wrap=True)
    if judged:
        table.add_column("verdict", no_wrap=True)
    if keras_accuracy is not None:
        table.add_row("Keras reference", "", percent(keras_accuracy, decimals=2), end_section=True)
    for result in results:
        shares = (percent(share, decimals=2) for share in (result.accuracy, result.agreement))
        times = milliseconds(result.latency_ms_p50)
        table.add_row(
            Text(result.file), file_size(result.bytes), *shares, times, *([_verdict(result)] if judged else [])
        )
    display.table(table)
    if examples is not None:
        display.note(f"measured on {len(examples)} images; --json tells every figure")
