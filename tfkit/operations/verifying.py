"""Measure exported files on labelled images or texts, and refuse those that miss a limit: `tfkit.verify`."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import (
    INTEGER,
    OUTSIDE,
    RAW,
    Artifact,
    ImageSpec,
    PixelScaling,
    ResizeMode,
    TaskName,
    refuse_changed_files,
)
from tfkit.errors import ConfigError, DataError, ModelError
from tfkit.inputs import input_of
from tfkit.opening import (
    brings_labels,
    find_artifacts,
    given_pixels,
    judge_head,
    numbers_refused,
    on_raw_pixels_of,
    read_labelled,
    refuse_other_channels,
    targets_of_file,
    try_on,
)
from tfkit.opening.judging import ask, order_told, range_told, says_numbers
from tfkit.operations.values import Limits, PathLike, TextTable, Verified, as_path
from tfkit.running import Display, SilentDisplay
from tfkit.terminal import import_tensorflow

if TYPE_CHECKING:
    from tfkit.data import Examples, ImageExamples
    from tfkit.reports import ArtifactResult
    from tfkit.verification import ArtifactVerification, NpuPlacement

_DOUBTFUL = 0.6  # a reference that is right so seldom may be given other pixels than it learned on


def verify(
    path: PathLike,
    *,
    data: PathLike | None = None,
    reference: PathLike | None = None,
    limits: Limits = Limits(),  # noqa: B008 - a frozen value
    labels: PathLike | None = None,
    resize: ResizeMode = "crop",
    image_size: int | None = None,
    scaling: PixelScaling | None = None,
    task: TaskName | None = None,
    table: TextTable = TextTable(),  # noqa: B008 - a frozen value
    tokenizer: PathLike | None = None,
    custom_objects: str | None = None,
    threads: int = 1,
    npu: str | None = None,
    display: Display | None = None,
) -> Verified:
    """Say what exported files are, how fast, and how good; what `tfkit verify` does.

    Args:
        path: A run's folder, an artifacts folder, a `.tflite` file or a SavedModel.
        data: Labelled images (class folders, .npz, CSV) or texts (CSV, TSV, JSONL).
        reference: The Keras model that the files were made from, to compare with.
        limits: What a file is refused by.
        labels: A file with one label a line.
        resize: How images are fitted, for an outside file.
        image_size: Pixels of height and width, for a SavedModel that does not say.
        scaling: What an outside file, and the reference, take for raw pixels.
        task: What the outputs are, where the model does not say.
        table: How the file of texts is laid out.
        tokenizer: The tokeniser's folder, for an outside file of token ids.
        custom_objects: A Python file or module that defines the reference's own layers; it is run.
        threads: CPU threads.
        npu: Refuse integer files not wholly on this Ethos-U NPU, such as `ethos-u55-128`; needs Vela.
        display: Where progress is shown; nowhere when None.

    Returns:
        The figures of each file, and why it is refused.

    Raises:
        ConfigError: When something is asked for that needs a reference, data or an integer file.
        ModelError: When nothing there can be run, or it takes other pixels than was said.
        DataError: When the data cannot be read, or are of other classes.

    Example:
        >>> proof = tfkit.verify("runs/digits", data=Path("photos/test"))  # doctest: +SKIP
        >>> [(file.file, file.quality) for file in proof.files]  # doctest: +SKIP
        [('artifacts/model_int8.tflite', 0.975)]
    """
    path, display = Path(path), display or SilentDisplay()
    data, reference, labels, tokenizer = map(as_path, (data, reference, labels, tokenizer))
    _refuse_unmeasurable(limits, data=data, reference=reference)
    if says_numbers(task):
        raise numbers_refused(path)
    if path.is_dir():
        refuse_changed_files(path)
    artifacts = find_artifacts(
        path, labels=labels, resize=resize, image_size=image_size, tokenizer=tokenizer, task=task
    )
    named = labels is not None or brings_labels(artifacts[0])
    # Pictures are shown to a .tflite file without TensorFlow, whose start alone takes seconds.
    if reference or (data and not input_of(artifacts[0].input).fed_on_host):
        import_tensorflow()
    placed = _placed(artifacts) if npu else ()
    examples: Examples | None = None
    if data:
        examples, artifacts = _examples(display, artifacts, data, named=named, table=table)
    _ask(display, artifacts[0], examples, scaling, named=named)
    compared = _Compared()
    if reference and examples is not None:
        compared = _reference(display, reference, examples, artifacts[0], scaling, custom_objects)
    placements = {file: _place(display, file, npu) for file in placed} if npu else {}
    measuring = _Measuring(display, examples, compared, limits, scaling, threads, placements)
    folder = path if len(artifacts) > 1 else artifacts[0].path.parent
    return Verified(tuple(measuring.of(artifact, folder) for artifact in artifacts), examples, compared.quality)


@dataclass(frozen=True, eq=False)
class _Compared:
    """What files are compared with: the reference's scores, float32 (n, k), and its deciding figure."""

    scores: NDArray[np.float32] | None = None
    quality: float | None = None


@dataclass(frozen=True, eq=False)
class _Measuring:
    """What measuring one file takes that all of them have in common."""

    display: Display
    examples: "Examples | None"
    compared: _Compared
    limits: Limits
    said: PixelScaling | None
    threads: int
    placements: "Mapping[Path, NpuPlacement]"

    def of(self, artifact: Artifact, folder: Path) -> "ArtifactResult":
        """What is measured on one file, its name told relative to a folder."""
        from tfkit.benchmarking import measure_latency, noise
        from tfkit.reports import artifact_result
        from tfkit.runtimes import open_runtime
        from tfkit.verification import npu_faults, refusals, verify_artifact

        name, npu = artifact.file_name, self.placements.get(artifact.path)
        scaling = self.said if artifact.made_by == OUTSIDE else None
        with (
            self.display.stage(name) as stage,
            open_runtime(artifact, threads=self.threads, scaling=scaling) as runtime,
        ):
            if self.examples is None:
                verification = _unlabelled(artifact)
            else:
                verification = verify_artifact(
                    artifact,
                    self.examples,
                    reference=self.compared.scores,
                    runtime=runtime,
                    progress=stage.progress,
                )
            # Three tenths of a second tell how fast a file is; a limit to refuse it by is measured for as long as ever.
            seconds = 0.3 if self.limits.max_latency_ms_p95 is None else 5.0
            latency = measure_latency(runtime, noise(artifact.input), max_seconds=seconds)
            quality = self.compared.quality
            refused = refusals(verification, latency.latency_ms_p95, keras_accuracy=quality, policy=self.limits.policy)
            refused = (*refused, *(f"{name}: {fault}." for fault in (npu_faults(npu) if npu else ())))
            stage.result("refused" if refused else "")
        return replace(artifact_result(verification, latency, refused, directory=folder), npu=npu)


def _refuse_unmeasurable(limits: Limits, *, data: Path | None, reference: Path | None) -> None:
    if reference is not None and data is None:
        raise ConfigError("--reference needs --data", hint="name labelled images or texts to compare the two on")
    compared = [name for name in ("max_accuracy_drop", "min_agreement") if getattr(limits, name) is not None]
    if compared and reference is None:
        options = " and ".join("--" + name.replace("_", "-") for name in compared)
        raise ConfigError(f"{options} needs --reference", hint="name the Keras model that the file was made from")


def _examples(
    display: Display, artifacts: tuple[Artifact, ...], data: Path, *, named: bool, table: TextTable
) -> "tuple[Examples, tuple[Artifact, ...]]":
    """The labelled images or texts; a file without labels of its own gets theirs, when there are as many."""
    first = artifacts[0]
    if first.task == "embedding":
        raise DataError(
            f"'{first.path}' gives sentence embeddings, which have no labels of their own",
            hint="its run's report.html says how often the nearest indexed text has the right label; leave --data out",
        )
    known = named or first.made_by != OUTSIDE
    with display.stage(f"Labelled {input_of(first.input).noun}s") as stage:
        names = first.class_names if known else None
        examples = read_labelled(
            data,
            first.path,
            first.input,
            class_names=names,
            text_column=table.text_column,
            label_column=table.label_column,
            header=table.header,
            targets=targets_of_file(first, data),
            progress=stage.progress,
        )
        stage.result(f"{len(examples)} of {len(examples.class_names)} classes")
    if not known and len(examples.class_names) != len(first.class_names):
        raise DataError(
            f"'{data}' has {len(examples.class_names)} classes; '{first.path}' gives {len(first.class_names)} scores",
            hint="say with --labels which score is which class",
        )
    return examples, tuple(replace(artifact, class_names=examples.class_names) for artifact in artifacts)


def _ask(
    display: Display, artifact: Artifact, examples: "Examples | None", said: PixelScaling | None, *, named: bool
) -> None:
    """Tell, before anything is measured, that an outside file takes other pixels or has another order of labels."""
    if artifact.made_by != OUTSIDE or not isinstance(artifact.input, ImageSpec):
        return
    from tfkit.runtimes import IsolatedLiteRTRuntime, SavedModelRuntime, open_runtime

    refuse_other_channels(said, artifact.input, artifact.path)
    if examples is None or artifact.task != "classification":
        return
    pictures = cast("ImageExamples", examples)
    with display.stage("Pixels and labels") as stage, open_runtime(artifact, scaling=said) as runtime:
        if not isinstance(runtime, IsolatedLiteRTRuntime | SavedModelRuntime):
            return
        if isinstance(runtime, SavedModelRuntime) and runtime.takes_encoded:
            return
        opened, given = runtime, runtime.scaling

        def scores(scaling: PixelScaling, pixels: NDArray[np.uint8]) -> NDArray[np.floating]:
            opened.scaling = scaling
            return opened.scores(pixels)

        finding = ask(scores, pictures, artifact.input, given or RAW)
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
    display: Display,
    path: Path,
    examples: "Examples",
    artifact: Artifact,
    said: PixelScaling | None,
    custom_objects: str | None,
) -> _Compared:
    from tfkit.models import load_model_file, register_custom_objects
    from tfkit.tasks import CLASSIFICATION, Decision, task_named, task_of
    from tfkit.verification import reference_scores

    register_custom_objects(custom_objects)
    with display.stage("Keras reference") as stage:
        model, spec = load_model_file(path), artifact.input
        model, _, _ = judge_head(model, path, artifact.task, named=len(artifact.class_names))
        raw, tried_pixels = model, None
        if isinstance(spec, ImageSpec):
            given, pictures = given_pixels(model, said), cast("ImageExamples", examples)
            raw = on_raw_pixels_of(model, spec, given, path)
            tried_pixels = partial(try_on, display, model, pictures, spec, given, known=True)
        scores = reference_scores(raw, examples, spec)
        task = task_named(artifact.task)
        if task_of(examples.labels) is not task:
            return _Compared(scores)
        quality = task.quality(examples.labels, scores, Decision(artifact.thresholds)).value
        stage.result(f"{task.unit} {quality:.4f}")
    if tried_pixels is not None and task is CLASSIFICATION and quality < _DOUBTFUL:
        tried_pixels()
    return _Compared(scores, quality)


def _placed(artifacts: tuple[Artifact, ...]) -> tuple[Path, ...]:
    """The files that an NPU is asked about: a `.tflite` named alone, of several those of whole numbers."""
    files = [artifact for artifact in artifacts if artifact.format == "tflite"]
    if len(artifacts) > 1:
        files = [artifact for artifact in files if artifact.quantization in INTEGER]
    if not files:
        raise ConfigError("--npu needs an integer .tflite file, and there is none", hint="export tflite_int8")
    return tuple(artifact.path for artifact in files)


def _place(display: Display, path: Path, npu: str) -> "NpuPlacement":
    from tfkit.verification import place_on_npu

    with display.stage(f"{path.name} on {npu}") as stage:
        placement = place_on_npu(path, npu)
        total = placement.npu_operators + placement.cpu_operators
        stage.result(f"{placement.npu_operators} of {total} operators")
    return placement


def _unlabelled(artifact: Artifact) -> "ArtifactVerification":
    """What can be said of a file without running it on labelled images: its operators."""
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
