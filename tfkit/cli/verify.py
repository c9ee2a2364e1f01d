"""`tfkit verify`: measure exported files on labelled images or texts, and refuse those that miss a limit."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfkit.artifacts import INTEGER, OUTSIDE, RAW, Artifact, ImageSpec, PixelScaling, ResizeMode
from tfkit.cli.options import (
    CustomObjects,
    InputChannels,
    InputMean,
    InputRange,
    InputStd,
    TaskOption,
    pixel_scaling,
    runtime_version,
)
from tfkit.errors import ConfigError, DataError, ModelError
from tfkit.opening.heads import numbers_refused

if TYPE_CHECKING:
    from tfkit.terminal.display import Display

REFUSED = 3
_DOUBTFUL = 0.6  # a reference that is right so seldom may be given other pixels than it learned on


@dataclass(frozen=True)
class Limits:
    """The limits given on the command line; None: no limit."""

    max_accuracy_drop: float | None
    min_agreement: float | None
    max_bytes: int | None
    max_latency_ms_p95: float | None
    max_float_ops: int | None
    min_runtime: str | None

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
        Path | None,
        typer.Option(help="Labelled images: class folders, .npz or CSV; or texts: CSV, TSV, JSONL.", metavar="DATA"),
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="The Keras model it was made from, to compare with.", metavar="MODEL")
    ] = None,
    custom_objects: CustomObjects = None,
    labels: Annotated[Path | None, typer.Option(help="A file with one label a line.", metavar="FILE")] = None,
    resize: Annotated[ResizeMode, typer.Option(help="How images are fitted, for an outside file.")] = "crop",
    image_size: Annotated[int | None, typer.Option(min=1, help="For a SavedModel that does not say.")] = None,
    input_range: InputRange = None,
    input_mean: InputMean = None,
    input_std: InputStd = None,
    input_channels: InputChannels = "rgb",
    task: TaskOption = None,
    text_column: Annotated[str | None, typer.Option(help="Of texts: its name or number; as the run's data.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Of texts: its name or number; as the run's data.")] = None,
    header: Annotated[bool | None, typer.Option(help="Of texts: whether the first line names the columns.")] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="Its folder, for an outside file of token ids.")] = None,
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
    min_runtime: Annotated[
        str | None,
        typer.Option(
            help="Refuse a file that this TensorFlow Lite runtime cannot read.",
            metavar="2.14",
            callback=runtime_version,
        ),
    ] = None,
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
    from tfkit.cli.verify_results import show_results
    from tfkit.terminal.display import Display, PlainConsole
    from tfkit.terminal.quiet import chatter_dropped, import_tensorflow

    limits = Limits(max_accuracy_drop, min_agreement, max_bytes, max_latency_ms_p95, max_float_ops, min_runtime)
    said = pixel_scaling(input_range, input_mean, input_std, input_channels)
    _check_options(limits, data=data, reference=reference)
    display = Display(PlainConsole(stderr=as_json))
    with chatter_dropped():
        from tfkit.artifacts import refuse_changed_files
        from tfkit.opening.targets import brings_labels, find_artifacts

        if task == "regression":
            raise numbers_refused(path)
        if path.is_dir():
            refuse_changed_files(path)
        told: dict[str, Any] = {"labels": labels, "resize": resize, "image_size": image_size, "tokenizer": tokenizer}
        told["task"] = task
        artifacts = find_artifacts(path, **told)
        named = labels is not None or brings_labels(artifacts[0])
        # Pictures are shown to a .tflite file without TensorFlow, whose start alone takes seconds.
        if reference or (data and not isinstance(artifacts[0].input, ImageSpec)):
            import_tensorflow()
        placed = _placed(artifacts) if npu else ()
        table = {"text_column": text_column, "label_column": label_column, "header": header}
        examples, artifacts = (
            _examples(display, artifacts, data, named=named, table=table) if data else (None, artifacts)
        )
        _ask(display, artifacts[0], examples, said, named=named)
        scores, keras_accuracy = None, None
        if reference:
            scores, keras_accuracy = _reference(display, reference, examples, artifacts[0], said, custom_objects)
        folder = path if len(artifacts) > 1 else artifacts[0].path.parent
        placements = {path: _place(display, path, str(npu)) for path in placed}
        results = [
            _measure(
                display,
                artifact,
                folder,
                examples,
                scores,
                keras_accuracy,
                limits,
                said,
                threads=threads,
                npu=placements.get(artifact.path),
            )
            for artifact in artifacts
        ]
    if as_json:
        typer.echo(json.dumps(_as_json(results, examples, keras_accuracy), indent=2, default=str))
    else:
        show_results(display, results, examples, keras_accuracy, judged=limits.any_given or npu is not None)
    return REFUSED if any(result.refusals for result in results) else 0


def _check_options(limits: Limits, *, data: Path | None, reference: Path | None) -> None:
    if reference is not None and data is None:
        raise ConfigError("--reference needs --data", hint="name labelled images or texts to compare the two on")
    compared = [name for name in ("max_accuracy_drop", "min_agreement") if getattr(limits, name) is not None]
    if compared and reference is None:
        options = " and ".join("--" + name.replace("_", "-") for name in compared)
        raise ConfigError(f"{options} needs --reference", hint="name the Keras model that the file was made from")


def _examples(
    display: "Display", artifacts: tuple[Artifact, ...], data: Path, *, named: bool, table: dict[str, Any]
) -> tuple[Any, tuple[Artifact, ...]]:
    """The labelled images or texts; a file without labels of its own gets theirs, when there are as many."""
    from tfkit.data import load_image_examples
    from tfkit.opening.targets import targets_of_file
    from tfkit.opening.texts import read_labelled_texts

    first = artifacts[0]
    if first.task == "embedding":
        raise DataError(
            f"'{first.path}' gives sentence embeddings, which have no labels of their own",
            hint="its run's report.html says how often the nearest indexed text has the right label; leave --data out",
        )
    known = named or first.made_by != OUTSIDE
    with display.stage(f"Labelled {'images' if isinstance(first.input, ImageSpec) else 'texts'}") as stage:
        names = first.class_names if known else None
        examples: Any
        if isinstance(first.input, ImageSpec):
            options: dict[str, Any] = {
                "channels": first.input.channels,
                "class_names": names,
                "progress": stage.progress,
                "targets": targets_of_file(first, data),
            }
            examples = load_image_examples(data, **options)
        else:
            table = {**table, "targets": targets_of_file(first, data)}
            examples = read_labelled_texts(data, first.path, class_names=names, **table)
        stage.result(f"{len(examples)} of {len(examples.class_names)} classes")
    if not known and len(examples.class_names) != len(first.class_names):
        raise DataError(
            f"'{data}' has {len(examples.class_names)} classes; '{first.path}' gives {len(first.class_names)} scores",
            hint="say with --labels which score is which class",
        )
    return examples, tuple(replace(artifact, class_names=examples.class_names) for artifact in artifacts)


def _ask(display: "Display", artifact: Artifact, examples: Any, said: PixelScaling | None, *, named: bool) -> None:
    """Tell, before anything is measured, that an outside file takes other pixels or has another order of labels."""
    if artifact.made_by != OUTSIDE or not isinstance(artifact.input, ImageSpec):
        return
    examples = examples if artifact.task == "classification" else None
    from tfkit.opening.inputs import ask, order_told, range_told, refuse_other_channels
    from tfkit.runtimes import IsolatedLiteRTRuntime, SavedModelRuntime, open_runtime

    refuse_other_channels(said, artifact.input, artifact.path)
    if examples is None:
        return
    with display.stage("Pixels and labels") as stage, open_runtime(artifact, scaling=said) as runtime:
        if not isinstance(runtime, IsolatedLiteRTRuntime | SavedModelRuntime):
            return
        if isinstance(runtime, SavedModelRuntime) and runtime.takes_encoded:
            return
        opened, given = runtime, runtime.scaling

        def scores(scaling: PixelScaling, pixels: Any) -> Any:
            opened.scaling = scaling
            return opened.scores(pixels)

        finding = ask(scores, examples, artifact.input, given or RAW)
        stage.result(f"right on {finding.given:.0%} of {finding.examples} of them, given {(given or RAW).words}")
    told, hint = range_told(finding, given or RAW, examples.class_names)
    if told and said is None:
        raise ModelError(told, hint=hint)
    if not told and finding.order is not None and not named:
        told, hint = order_told(finding.order, examples.class_names)
        raise ModelError(told, hint=hint)
    if told:
        display.note(f"mind: {told}; {hint}")


def _reference(
    display: "Display",
    path: Path,
    examples: Any,
    artifact: Artifact,
    said: PixelScaling | None,
    custom_objects: str | None,
) -> tuple[Any, float | None]:
    from tfkit.models import load_model_file, register_custom_objects
    from tfkit.opening.heads import judge_head
    from tfkit.opening.inputs import given_pixels, on_raw_pixels_of, try_on
    from tfkit.tasks import CLASSIFICATION, Decision, task_named, task_of
    from tfkit.verification import reference_scores

    register_custom_objects(custom_objects)
    with display.stage("Keras reference") as stage:
        model, spec = load_model_file(path), artifact.input
        model, _, _ = judge_head(model, path, artifact.task, named=len(artifact.class_names))
        given = given_pixels(model, said) if isinstance(spec, ImageSpec) else None
        raw = on_raw_pixels_of(model, spec, given, path) if given and isinstance(spec, ImageSpec) else model
        scores = reference_scores(raw, examples, artifact.input)
        task = task_named(artifact.task)
        if task_of(examples.labels) is not task:
            return scores, None
        quality = task.quality(examples.labels, scores, Decision(artifact.thresholds)).value
        stage.result(f"{task.unit} {quality:.4f}")
    if given and isinstance(spec, ImageSpec) and task is CLASSIFICATION and quality < _DOUBTFUL:
        try_on(display, model, examples, spec, given, known=True)
    return scores, quality


def _measure(
    display: "Display",
    artifact: Artifact,
    folder: Path,
    examples: Any,
    reference: Any,
    keras_accuracy: float | None,
    limits: Limits,
    said: PixelScaling | None,
    *,
    threads: int,
    npu: Any,
) -> Any:
    """One file's `ArtifactResult`; `npu` is its placement on one."""
    from tfkit.benchmarking import measure_latency
    from tfkit.cli.benchmark import noise
    from tfkit.reports import artifact_result
    from tfkit.runtimes import open_runtime
    from tfkit.verification import npu_faults, refusals, verify_artifact

    opened = open_runtime(artifact, threads=threads, scaling=said if artifact.made_by == OUTSIDE else None)
    with display.stage(_name(artifact)) as stage, opened as runtime:
        if examples is None:
            verification = _unlabelled(artifact)
        else:
            verification = verify_artifact(
                artifact, examples, reference=reference, runtime=runtime, progress=stage.progress
            )
        # Three tenths of a second tell how fast a file is; a limit to refuse it by is measured for as long as ever.
        timing: dict[str, Any] = {"max_seconds": 0.3} if limits.max_latency_ms_p95 is None else {}
        latency = measure_latency(runtime, noise(artifact.input), **timing)
        refused = refusals(verification, latency.latency_ms_p95, keras_accuracy=keras_accuracy, policy=_policy(limits))
        refused = (*refused, *(f"{_name(artifact)}: {fault}." for fault in (npu_faults(npu) if npu else ())))
        stage.result("refused" if refused else "")
    return replace(artifact_result(verification, latency, refused, directory=folder), npu=npu)


def _placed(artifacts: tuple[Artifact, ...]) -> tuple[Path, ...]:
    """The files that an NPU is asked about: a `.tflite` named alone, of several those of whole numbers."""
    files = [artifact for artifact in artifacts if artifact.format == "tflite"]
    if len(artifacts) > 1:
        files = [artifact for artifact in files if artifact.quantization in INTEGER]
    if not files:
        raise ConfigError("--npu needs an integer .tflite file, and there is none", hint="export tflite_int8")
    return tuple(artifact.path for artifact in files)


def _place(display: "Display", path: Path, npu: str) -> Any:
    from tfkit.verification import place_on_npu

    with display.stage(f"{path.name} on {npu}") as stage:
        placement = place_on_npu(path, npu)
        total = placement.npu_operators + placement.cpu_operators
        stage.result(f"{placement.npu_operators} of {total} operators")
    return placement


def _unlabelled(artifact: Artifact) -> Any:
    """What can be said of a file without running it on labelled images: its operators."""
    from collections import Counter

    import numpy as np

    from tfkit.runtimes import read_operators, read_portability
    from tfkit.verification import ArtifactVerification, portability_problems

    operators = read_operators(artifact.path) if artifact.format == "tflite" else ()
    return ArtifactVerification(
        artifact=artifact,
        examples=0,
        quality=None,
        agreement=None,
        max_difference=None,
        mean_difference=None,
        float_ops=sum(operator.is_float for operator in operators),
        operators=dict(Counter(operator.name for operator in operators).most_common()),
        problems=portability_problems(artifact),
        portability=read_portability(artifact.path) if artifact.format == "tflite" else None,
        scores=np.zeros((0, len(artifact.class_names)), np.float32),
    )


def _policy(limits: Limits) -> Any:
    from tfkit.verification import AcceptancePolicy

    return AcceptancePolicy(
        max_accuracy_drop=1.0 if limits.max_accuracy_drop is None else limits.max_accuracy_drop,
        min_agreement=0.0 if limits.min_agreement is None else limits.min_agreement,
        max_bytes=limits.max_bytes,
        max_latency_ms_p95=limits.max_latency_ms_p95,
        max_float_ops=limits.max_float_ops,
        min_runtime=limits.min_runtime,
    )


def _name(artifact: Artifact) -> str:
    return artifact.file_name


def _as_json(results: list[Any], examples: Any, keras_accuracy: float | None) -> dict[str, Any]:
    metric = next((name for result in results for name in result.figures), "accuracy")
    evaluation = {"examples": len(examples), "metric": metric, "keras": keras_accuracy} if examples else None
    return {
        "accepted": not any(result.refusals for result in results),
        "evaluation": evaluation,
        "artifacts": [{**asdict(result), metric: result.quality} for result in results],
    }
