"""What a search found, as values that its folder keeps and its report shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tfkit.search.budget import Budget

Rung = Literal["post_training", "selective", "qat", "channels"]
RUNG_TITLES: Mapping[Rung, str] = {
    "post_training": "Post-training int8",
    "selective": "Sensitive layers left in float",
    "qat": "Quantisation-aware training",
    "channels": "Channel pruning + QAT",
}


@dataclass(frozen=True)
class LayerSensitivity:
    """What rounding one layer, and nothing else, does to the model's answers.

    Attributes:
        name: The layer: one with a kernel, or one that makes new values (`add_1`).
        layers: Every layer that is rounded with it, as a `QuantizationPolicy` names them (its BatchNorm, its ReLU);
            of several neighbours where single layers would have taken too long.
        takers: The layers that take what it gives: it stays unrounded only where they are left in float as well.
        divergence: KL divergence of the answers from the float model's, mean over images, in nats.
        accuracy_drop: What the accuracy on the same images loses, a fraction; negative when it gains.
    """

    name: str
    layers: tuple[str, ...]
    takers: tuple[str, ...]
    divergence: float
    accuracy_drop: float


@dataclass(frozen=True)
class FloatLayer:
    """A layer that a file leaves in float.

    Attributes:
        name: The layer.
        reason: Why, in a sentence.
    """

    name: str
    reason: str


@dataclass(frozen=True)
class FloatChoice:
    """Which layers the selective file leaves in float, chosen on validation images.

    Attributes:
        layers: Those that are sensitive, the most sensitive first, and those that take what they give; empty when
            no choice was good enough.
        tried: Pairs (how many layers were left in float, what the accuracy on the validation images lost).
    """

    layers: tuple[FloatLayer, ...]
    tried: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Cut:
    """One share of channels to keep, with what is predicted for it from the plan and the operators' times.

    Attributes:
        keep: The share of channels that each group keeps.
        parameters: Parameters of the pruned model.
        bytes: Predicted size of its int8 file.
        latency_ms: Predicted median latency in milliseconds.
    """

    keep: float
    parameters: int
    bytes: int
    latency_ms: float


@dataclass(frozen=True)
class Reference:
    """The float model, which every file is compared with.

    Attributes:
        accuracy: Of the Keras model on the evaluation split.
        examples: Images in that split.
        parameters: Its parameters.
        bytes: Size of its float32 `.tflite` file.
        latency_ms: Median latency of that file.
    """

    accuracy: float
    examples: int
    parameters: int
    bytes: int
    latency_ms: float


@dataclass(frozen=True)
class Candidate:
    """One file, exported, run over the whole evaluation split, and timed.

    Attributes:
        name: Short, unique in a search (`post_training`, `channels_50`).
        rung: Which step of the ladder made it.
        title: Name for people.
        file: Path of the `.tflite` file inside the search's folder.
        checkpoint: Path of the Keras model there; empty when nothing was trained.
        bytes: Size of the file.
        accuracy: Share of the evaluation images with the right label on top.
        agreement: Share with the float model's label on top.
        latency_ms: Median time of one image on one thread, in milliseconds.
        latency_ms_p95: The 95th percentile.
        float_ops: Operators that compute in float.
        operators: Operators in all.
        float_layers: The layers left in float, with the reason.
        parameters: Parameters of the Keras model.
        cut: What was predicted, for a channel-pruned one.
        seconds: What making and proving it took.
        made_by: How the file was made, in a sentence.
        misses: The limits it breaks, and what else makes it unfit; empty when it meets the budget.
    """

    name: str
    rung: Rung
    title: str
    file: str
    checkpoint: str
    bytes: int
    accuracy: float
    agreement: float
    latency_ms: float
    latency_ms_p95: float
    float_ops: int
    operators: int
    float_layers: tuple[FloatLayer, ...]
    parameters: int
    cut: Cut | None
    seconds: float
    made_by: str
    misses: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        """Whether it meets the budget."""
        return not self.misses


@dataclass(frozen=True)
class SkippedRung:
    """A step of the ladder that was not taken, or that made no file.

    Attributes:
        rung: Which.
        reason: Why, in a sentence.
    """

    rung: Rung
    reason: str


@dataclass(frozen=True)
class SearchResult:
    """How a search ended.

    Attributes:
        budget: What was asked for.
        reference: The float model.
        sensitivity: One entry for each layer that is rounded, in running order.
        candidates: The files, in the order they were made.
        skipped: The steps that were not taken.
        accepted: The first file that met the budget; None when none did.
        nearest: That file, or the one that came nearest (`Budget.excess`); None when no file could be made.
        sensitivity_images: Validation images that the sensitivity was measured on.
        training: The settings of the training, by name.
    """

    budget: Budget
    reference: Reference
    sensitivity: tuple[LayerSensitivity, ...]
    candidates: tuple[Candidate, ...]
    skipped: tuple[SkippedRung, ...]
    accepted: Candidate | None
    nearest: Candidate | None
    sensitivity_images: int
    training: Mapping[str, str | int | float | bool] = field(default_factory=dict)
