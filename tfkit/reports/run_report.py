"""Everything one run has found out, as values: what the report's page, JSON and model card are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tfkit.artifacts import (
    ArtifactFormat,
    InputSpec,
    LayerDifference,
    ModelSignature,
    Quantization,
    compressed_bytes,
    format_label,
)
from tfkit.data.suspicious_labels import SuspiciousLabels
from tfkit.inputs import Prose, input_of
from tfkit.reports.compression import Compression
from tfkit.reports.findings import Evaluation
from tfkit.reports.quantities import counted, file_size
from tfkit.version import __version__

# Only for the type checker: both rooms load TensorFlow, and `tfkit --help` must not.
if TYPE_CHECKING:
    from tfkit.benchmarking import Host, LatencyResult
    from tfkit.reports.data_gallery import DataGallery
    from tfkit.reports.explanations import Explanations
    from tfkit.reports.forgetting import Forgetting
    from tfkit.reports.heat_maps import HeatMaps
    from tfkit.reports.replies import Replies
    from tfkit.reports.trust import Trust
    from tfkit.runtimes import StoredWeights
    from tfkit.verification import ArtifactVerification, NpuPlacement
    from tfkit.verification.calibration import SearchResult


@dataclass(frozen=True)
class StageSummary:
    """What one stage of a run did.

    Attributes:
        name: Short name for programs (`data`, `head`, `fine_tune`, `export`, `verify`).
        title: Name for people ("Train the head").
        seconds: Wall time.
        history: Keras's history, one list with one value per epoch for each metric; empty when nothing was trained. Of
            a fitted head one per fit, from the strongest penalty to the chosen one.
        notes: Sentences about what was decided, skipped or noticed.
        quality: The task's deciding figure of the Keras model on the evaluation split after the stage, such as
            accuracy; None when it was not measured.
        trainable_parameters: How many numbers learned; None where nothing did, or it was not counted.
        peak_memory_bytes: The most memory held meanwhile (a GPU's, else the process's); None when it is not known.
        counted_in: What the history has one value for.
        suspicious_labels: Training examples whose class is likely wrong; None where nobody looked.
    """

    name: str
    title: str
    seconds: float
    history: Mapping[str, list[float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    quality: float | None = None
    trainable_parameters: int | None = None
    peak_memory_bytes: int | None = None
    counted_in: Literal["epoch", "fit"] = "epoch"
    suspicious_labels: SuspiciousLabels | None = None

    @property
    def cost(self) -> str:
        """Parameters that learned and memory in a few words; empty when neither is known."""
        told = []
        if self.trainable_parameters is not None:
            told.append(f"{counted(self.trainable_parameters, 'parameter')} learned")
        if self.peak_memory_bytes is not None:
            told.append(f"at most {file_size(self.peak_memory_bytes)} of memory")
        return ", ".join(told)


def float_accuracy(stages: Sequence[StageSummary]) -> float | None:
    """The best deciding figure a run's float model had before it was pruned or quantised.

    Args:
        stages: What the run did, in order.

    Returns:
        Accuracy, or what else decides; None without compression, or when it was not measured.
    """
    names = [stage.name for stage in stages]
    first = next((number for number, name in enumerate(names) if name in ("pruning", "quantization")), 0)
    return max((stage.quality for stage in stages[:first] if stage.quality is not None), default=None)


_WORTH_IT = 0.01  # of accuracy


def gain_over_head(stages: Sequence[StageSummary], history: Mapping[str, list[float]], examples: int) -> str:
    """What fine-tuning won over the head before it, where that is less than a point of validation accuracy.

    Args:
        stages: What the run did before, in order.
        history: Keras's history of fine-tuning.
        examples: How many validation examples there are.

    Returns:
        A sentence; empty where fine-tuning won more, or either figure is not known.

    Example:
        >>> head = StageSummary("head", "Train the head", 3.0, {"val_accuracy": [0.90, 0.95]})
        >>> gain_over_head([head], {"val_accuracy": [0.952]}, 500)
        'fine-tuning changed validation accuracy by +0.2 points (of 500 examples): fine_tune=null does nearly as well'
    """
    head = next((stage.history.get("val_accuracy") for stage in stages if stage.name == "head"), None)
    tuned = history.get("val_accuracy")
    if not head or not tuned or (gain := tuned[-1] - head[-1]) >= _WORTH_IT:
        return ""
    told = f"fine-tuning changed validation accuracy by {100 * gain:+.1f} points (of {examples:,} examples)"
    return f"{told}: fine_tune=null does nearly as well" if gain > -_WORTH_IT else f"{told}: fine_tune=null does better"


@dataclass(frozen=True)
class Control:
    """A second training that shows what something is worth, such as the same head on a random backbone.

    Attributes:
        name: What was trained to compare with, in a few words.
        accuracy: Its deciding figure on the evaluation split.
        counterpart: What differs from it in one thing only, in a few words.
        counterpart_accuracy: Its own on the same split.
        gain: What the report calls the difference.
    """

    name: str
    accuracy: float
    counterpart: str
    counterpart_accuracy: float
    gain: str = "Gained by transfer"


@dataclass(frozen=True)
class ArtifactResult:
    """What was measured on one exported file, and the verdict on it.

    Attributes:
        file: Path inside the run directory, with forward slashes.
        format: `saved_model` or `tflite`.
        quantization: `none`, `float16`, `dynamic_int8`, `int8` or `int16x8`.
        bytes: Size on disk.
        quality: The task's deciding figure on the evaluation split, such as accuracy; None without labels.
        agreement: Share of images or texts with the same answer as Keras (of embedders: with the same nearest
            text), None without a reference.
        max_difference: Largest difference of a score from Keras's, None without a reference.
        mean_difference: Mean absolute difference of the scores, None without a reference.
        float_ops: Operators that compute on floats.
        operators: How often each operator occurs; empty for a SavedModel.
        latency_ms_p50: Median latency in milliseconds, None when it was not measured; so are the others.
        latency_ms_p95: 95th percentile of the latency in milliseconds.
        latency_runs: Timed runs.
        latency_warmup_runs: Untimed runs before them.
        latency_threads: Threads used, None when the runtime chooses.
        latency_measures: What the clock was held around.
        sha256: Of the file.
        made_by: How the file was made, in a sentence.
        refusals: Why it may not be shipped, each a sentence; empty for an accepted file.
        signature: Its tensors.
        layers: For a file made from quantisation-aware training: how far each tensor was from the Keras model's.
        stored_weights: Weights in a `.tflite` file's kernels, None for a SavedModel; so are the next two.
        stored_zeros: How many of them are zero.
        deflated_bytes: Its size as an app's archive holds it.
        compared: Further figures of how alike its answers and Keras's are: `mean_cosine` and `min_cosine` of vectors.
        min_runtime: The first TensorFlow Lite runtime that reads a `.tflite` file, None for a SavedModel.
        portability_faults: What makes other runtimes refuse the file or answer wrongly.
        npu: Where its operators would run on an NPU, None when nobody asked.
        figures: All figures of its quality by name, the deciding one first.
    """

    file: str
    format: ArtifactFormat
    quantization: Quantization
    bytes: int
    quality: float | None
    agreement: float | None
    max_difference: float | None
    mean_difference: float | None
    float_ops: int
    operators: Mapping[str, int]
    latency_ms_p50: float | None
    latency_ms_p95: float | None
    latency_runs: int | None
    latency_warmup_runs: int | None
    latency_threads: int | None
    latency_measures: str | None
    sha256: str
    made_by: str
    refusals: tuple[str, ...]
    signature: ModelSignature
    layers: tuple[LayerDifference, ...] = ()
    stored_weights: int | None = None
    stored_zeros: int | None = None
    deflated_bytes: int | None = None
    compared: Mapping[str, float] = field(default_factory=dict)
    min_runtime: str | None = None
    portability_faults: tuple[str, ...] = ()
    npu: NpuPlacement | None = None
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The kind of file, for people: `SavedModel`, `TFLite float32`, `TFLite int8`."""
        return format_label(self.format, self.quantization)

    @property
    def accepted(self) -> bool:
        """Whether nothing speaks against shipping the file."""
        return not self.refusals


def _this_host() -> Host:
    from tfkit.benchmarking import describe_host

    return describe_host()


@dataclass(frozen=True, eq=False)
class RunReport:
    """One finished run.

    Attributes:
        name: The run's name.
        task: What the model does ("image classification", "text classification", "sentence embeddings").
        recipe_yaml: The resolved recipe, as YAML.
        input: The images or texts the model takes.
        backbone: The backbone, as the recipe names it.
        stages: The stages in the order they ran.
        data: `DataReport.to_json()`.
        evaluation: The Keras model on the evaluation split.
        artifacts: The exported files.
        policy: The limits of the acceptance, by their names in the recipe.
        parameters: The model's number of parameters.
        control: A comparison; None when none was trained.
        compression: What pruning, quantisation-aware training and distillation did; None without them.
        search: Of embedders: what their index answers, and what it leaves open; None for classifiers.
        data_gallery: What of the data is shown; None for nothing.
        explanations: Of text classifiers: the words that made the most confident mistakes; None otherwise.
        trust: How far the figures of a classifier can be trusted; None for other models.
        heat_maps: Of image classifiers: where the shipped file looked in its mistakes; None otherwise.
        forgetting: What was forgotten of the run that this one goes on from; None where it goes on from none.
        replies: Of language models: what the file that ships answered; None otherwise.
        host: The machine everything was measured on; this one.
        created: When the run ended, ISO 8601 with its time zone; now.
        tfkit_version: The version that made the run; this one.
    """

    name: str
    task: str
    recipe_yaml: str
    input: InputSpec
    backbone: str
    stages: tuple[StageSummary, ...]
    data: Mapping[str, Any]
    evaluation: Evaluation
    artifacts: tuple[ArtifactResult, ...]
    policy: Mapping[str, Any]
    parameters: int
    control: Control | None = None
    compression: Compression | None = None
    search: SearchResult | None = None
    explanations: Explanations | None = None
    data_gallery: DataGallery | None = None
    forgetting: Forgetting | None = None
    heat_maps: HeatMaps | None = None
    trust: Trust | None = None
    replies: Replies | None = None
    host: Host = field(default_factory=_this_host)
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    tfkit_version: str = __version__

    @property
    def suspicious_labels(self) -> SuspiciousLabels | None:
        """Training examples whose class is likely wrong; None where nobody looked."""
        return next((stage.suspicious_labels for stage in self.stages if stage.suspicious_labels), None)

    @property
    def noun(self) -> str:
        """What one example is called in sentences: `image` or `text`; its plural ends in s."""
        return input_of(self.input).noun

    @property
    def prose(self) -> Prose:
        """How the report speaks of examples."""
        return input_of(self.input).prose

    @property
    def taken(self) -> str:
        """What the model takes, in a few words."""
        return input_of(self.input).told(self.input)

    @property
    def accepted(self) -> bool:
        """Whether nothing speaks against shipping any of the files."""
        return all(file.accepted for file in self.artifacts)


def artifact_result(
    verification: ArtifactVerification,
    latency: LatencyResult | None,
    refusals: tuple[str, ...],
    *,
    directory: Path,
    stored: StoredWeights | None = None,
) -> ArtifactResult:
    """Bring what was proved, timed and decided about one file together.

    Args:
        verification: What verification found.
        latency: What benchmarking found, None when the file was not timed.
        refusals: Why the file may not be shipped; empty when it may.
        directory: The run's folder, which the file's name is told relative to.
        stored: Its kernels, counted; None for a SavedModel.

    Returns:
        One row of the report.
    """

    artifact, portability = verification.artifact, verification.portability
    deflated = compressed_bytes(artifact.path) if artifact.format == "tflite" else None
    return ArtifactResult(
        file=artifact.path.relative_to(directory).as_posix(),
        format=artifact.format,
        quantization=artifact.quantization,
        bytes=artifact.bytes,
        quality=verification.quality.value if verification.quality else None,
        agreement=verification.agreement,
        max_difference=verification.max_difference,
        mean_difference=verification.mean_difference,
        float_ops=verification.float_ops,
        operators=verification.operators,
        latency_ms_p50=latency.latency_ms_p50 if latency else None,
        latency_ms_p95=latency.latency_ms_p95 if latency else None,
        latency_runs=latency.runs if latency else None,
        latency_warmup_runs=latency.warmup_runs if latency else None,
        latency_threads=latency.threads if latency else None,
        latency_measures=latency.measures if latency else None,
        sha256=artifact.sha256,
        made_by=artifact.made_by,
        refusals=refusals,
        signature=artifact.signature,
        layers=artifact.layers,
        stored_weights=stored.weights if stored else None,
        stored_zeros=stored.zeros if stored else None,
        deflated_bytes=deflated,
        compared=verification.compared,
        min_runtime=portability.min_runtime if portability else None,
        portability_faults=portability.faults if portability else (),
        figures=dict(verification.quality.figures) if verification.quality else {},
    )
