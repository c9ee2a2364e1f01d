"""What a search found, as values that its folder keeps and its report shows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tfkit.search.budget import Budget
from tfkit.search.variants import Variant

_Z95 = 1.959964


@dataclass(frozen=True)
class TestJudgement:
    """What the file that validation images chose does on test images, which chose nothing.

    Attributes:
        name: The candidate.
        examples: Test images.
        accuracy: The file's, a fraction.
        float_accuracy: The float model's on the same images.
        agreement: Share of images on which both put the same label on top.
        drop_low, drop_high: 95 % interval of what the file loses, fractions (`accuracy_drop_interval`).
        looks: How many files this search has run on the test images so far, this one included.
    """

    __test__ = False  # no test class, whatever its name begins with

    name: str
    examples: int
    accuracy: float
    float_accuracy: float
    agreement: float
    drop_low: float
    drop_high: float
    looks: int = 1

    @property
    def drop(self) -> float:
        """What the file loses on the test images, a fraction."""
        return self.float_accuracy - self.accuracy


def accuracy_drop_interval(float_right: NDArray[np.bool_], file_right: NDArray[np.bool_]) -> tuple[float, float]:
    """Where the accuracy lost lies with 95 % confidence, from answers to the same images.

    Args:
        float_right: bool (n,), whether the float model is right on each image.
        file_right: The same for the file.

    Returns:
        Lower and upper bound of (float accuracy - file accuracy), fractions in [-1, 1]: the interval for paired
        proportions of Agresti and Min, "Simple improved confidence intervals for comparing matched proportions",
        Statistics in Medicine 24 (2005), which adds half an image to each of the four cells.

    Example:
        >>> low, high = accuracy_drop_interval(np.ones(100, bool), np.arange(100) >= 2)
        >>> print(f"{low:.3f} {high:.3f}")
        -0.013 0.053
    """
    count = len(float_right) + 2
    lost = float(np.sum(float_right & ~file_right)) + 0.5
    won = float(np.sum(~float_right & file_right)) + 0.5
    middle = (lost - won) / count
    reach = _Z95 * math.sqrt(lost + won - (lost - won) ** 2 / count) / count
    return max(-1.0, middle - reach), min(1.0, middle + reach)


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
        multiply_adds: Its multiply-adds for one image.
        bytes: Predicted size of its int8 file.
        latency_ms: Predicted median latency in milliseconds.
    """

    keep: float
    parameters: int
    multiply_adds: int
    bytes: int
    latency_ms: float


@dataclass(frozen=True)
class Reference:
    """The float model, which every file is compared with.

    Attributes:
        accuracy: Of the Keras model on the images that choose.
        examples: How many these are.
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
    """One file, exported, run over all images that choose, and timed.

    Attributes:
        variant: How it was made.
        file: Path of the `.tflite` file inside the search's folder.
        checkpoint: Path of the Keras model there; empty when nothing was trained.
        bytes: Size of the file.
        accuracy: Share of the images that choose with the right label on top.
        agreement: Share with the float model's label on top.
        latency_ms: Median time of one image on one thread, in milliseconds.
        latency_ms_p95: The 95th percentile.
        float_ops: Operators that compute in float.
        operators: Operators in all.
        float_layers: The layers left in float, with the reason.
        parameters: Parameters of the Keras model.
        predicted_bytes, predicted_latency_ms: What was predicted before it was trained; None where nothing was.
        seconds: What making and proving it took.
        made_by: How the file was made, in a sentence.
        misses: The limits it breaks, and what else makes it unfit; empty when it meets the budget.
    """

    variant: Variant
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
    predicted_bytes: int | None
    predicted_latency_ms: float | None
    seconds: float
    made_by: str
    misses: tuple[str, ...]

    @property
    def name(self) -> str:
        """Short, unique in a search (`int8`, `50_even_int8_qat`)."""
        return self.variant.name

    @property
    def title(self) -> str:
        """Name for people."""
        return self.variant.title

    @property
    def within(self) -> bool:
        """Whether it meets the budget on the images that choose."""
        return not self.misses


@dataclass(frozen=True)
class Failed:
    """A file that could not be made.

    Attributes:
        variant: How it was to be made.
        reason: Why not, in a sentence.
    """

    variant: Variant
    reason: str


@dataclass(frozen=True)
class SearchResult:
    """How a search ended.

    Attributes:
        budget: What was asked for.
        reference: The float model on the images that choose.
        chosen_on: What these images are: `validation images`, or a share of the training images held out.
        sensitivity: One entry for each layer that is rounded, in running order.
        candidates: The files, in the order they were made.
        failed: The files that could not be made.
        ended: Why no more files were made, in a sentence.
        chosen: The smallest, or the quickest, file within the budget on the images that choose; None when there is
            none.
        test: What that file does on the test images, which chose nothing; None without one.
        nearest: The chosen file, or the one that came nearest (`Budget.excess`); None when no file could be made.
        sensitivity_images: Images that the sensitivity was measured on.
        training: The settings of the training, by name.
    """

    budget: Budget
    reference: Reference
    chosen_on: str
    sensitivity: tuple[LayerSensitivity, ...]
    candidates: tuple[Candidate, ...]
    failed: tuple[Failed, ...]
    ended: str
    chosen: Candidate | None
    test: TestJudgement | None
    nearest: Candidate | None
    sensitivity_images: int
    training: Mapping[str, str | int | float | bool] = field(default_factory=dict)

    @property
    def misses(self) -> tuple[str, ...]:
        """Why nothing is accepted, in phrases; empty when the chosen file keeps to the budget on test images too."""
        if self.chosen is None:
            return self.nearest.misses if self.nearest else ("no file could be made",)
        assert self.test is not None, "the chosen file is run on the test images"
        allowed = self.budget.max_accuracy_drop
        if self.test.drop <= allowed + 1e-9:
            return ()
        return (
            f"chosen on {self.chosen_on}, it loses {100 * self.test.drop:.2f} points on the {self.test.examples:,} "
            f"test images; {100 * allowed:.2f} are allowed",
        )

    @property
    def accepted(self) -> Candidate | None:
        """The chosen file, when it keeps to the budget on the test images too."""
        return None if self.misses else self.chosen

    @property
    def pareto(self) -> tuple[Candidate, ...]:
        """The files that no other beats in accuracy, bytes and latency at once, the smallest first."""
        return tuple(
            sorted(
                (file for file in self.candidates if not any(_beats(other, file) for other in self.candidates)),
                key=lambda file: (file.bytes, file.latency_ms),
            )
        )


def _beats(one: Candidate, other: Candidate) -> bool:
    mine, theirs = ((-file.accuracy, file.bytes, file.latency_ms) for file in (one, other))
    return mine != theirs and all(a <= b for a, b in zip(mine, theirs, strict=True))
