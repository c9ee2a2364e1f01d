"""What compression would do with each layer of a model, and what it refuses, before anything is trained."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import keras

from tfkit import compression
from tfkit.arguments import takes_text
from tfkit.errors import ModelError, TfkitError

if TYPE_CHECKING:
    from tfkit.compression.channels import ChannelPlan
    from tfkit.compression.policy import LayerCoverage, QuantizationPolicy
    from tfkit.compression.pruning import PruningCoverage
    from tfkit.compression.pruning_settings import PruningSettings

Engine = Literal["tfkit", "tfmot"]


@dataclass(frozen=True)
class CompressionCoverage:
    """What is going to be done with a model's layers.

    Attributes:
        quantization: One row for each layer of the file; empty without quantisation, or with tfmot's engine.
        pruning: Which layers get masks; None without pruning of weights.
        channels: Which widths channel pruning plans; None without it. Which channels go is decided by the trained
            weights.
        by_tfmot: Whether tensorflow-model-optimization quantises it, which takes every layer or none.
    """

    quantization: tuple[LayerCoverage, ...] = ()
    pruning: PruningCoverage | None = None
    channels: ChannelPlan | None = None
    by_tfmot: bool = False

    @property
    def sentence(self) -> str:
        """In one line, such as `71 layers int8, 0 float; 12 of 14 layers pruned (97 % of the weights)`."""
        parts = []
        if self.quantization:
            counts = Counter(row.precision for row in self.quantization)
            floats = counts.pop("float32", 0)
            counts.pop("-", None)
            integers = [
                f"{count} {'layers ' if not number else ''}{name}"
                for number, (name, count) in enumerate(counts.items())
            ]
            parts.append(", ".join([*integers, f"{floats} float"]))
        if self.by_tfmot:
            parts.append("all layers int8 by tensorflow-model-optimization")
        if self.pruning is not None:
            rows = self.pruning.layers
            pruned = sum(row.pruned for row in rows)
            parts.append(f"{pruned} of {len(rows)} layers pruned ({self.pruning.share:.0%} of the weights)")
        if self.channels is not None:
            before, after = self.channels.multiply_adds_before, self.channels.multiply_adds_after
            parts.append(f"channel pruning leaves {after / max(1, before):.0%} of the multiply-adds")
        return "; ".join(parts)


@dataclass(frozen=True)
class CoverageGroup:
    """Layers that are treated alike.

    Attributes:
        precision: `int8`, `int4`, `int16`, `float32` or `-`.
        reason: Why, without the names of single layers.
        layers: How many there are.
        kinds: Their classes, the most frequent first.
    """

    precision: str
    reason: str
    layers: int
    kinds: tuple[str, ...]


@takes_text
def compression_coverage(
    model: keras.Model,
    *,
    pruning: PruningSettings | None = None,
    quantization: QuantizationPolicy | None = None,
    engine: Engine = "tfkit",
) -> CompressionCoverage:
    """Tell what pruning and quantisation-aware training would do with a model, and refuse what they cannot.

    Args:
        model: The float model, trained or not. It is not changed.
        pruning: How it will be pruned; None when it will not.
        quantization: How it will be quantised; None when it will not.
        engine: What quantises it.

    Returns:
        The coverage.

    Raises:
        ModelError: Tells the faults of pruning and of quantisation together, with the layers' names.

    Example:
        >>> compression_coverage(model, quantization=QuantizationPolicy()).sentence
        '10 layers int8, 0 float'
    """
    faults: list[TfkitError] = []
    rows: tuple[LayerCoverage, ...] = ()
    weights: PruningCoverage | None = None
    channels: ChannelPlan | None = None
    try:
        if quantization is not None and engine == "tfkit":
            rows = compression.quantization_coverage(model, policy=quantization)
        elif quantization is not None:
            _refuse_for_tfmot(model)
    except TfkitError as fault:
        faults.append(fault)
    try:
        if pruning is not None and pruning.method == "channels":
            channels = pruning.plan_before_training(model)
        elif pruning is not None:
            from tfkit.compression.pruning import pruning_coverage

            weights = pruning_coverage(model, **pruning.mask_options())
            pruning.schedule(steps=100)
    except TfkitError as fault:
        faults.append(fault)
    if faults:
        hints = "; ".join(fault.hint for fault in faults if fault.hint)
        raise ModelError("\n".join(str(fault) for fault in faults), hint=hints)
    return CompressionCoverage(rows, weights, channels, by_tfmot=quantization is not None and engine == "tfmot")


def grouped_coverage(rows: Sequence[LayerCoverage]) -> tuple[CoverageGroup, ...]:
    """Count the rows of a coverage table by what is done and why, so that 200 layers stay readable.

    Args:
        rows: What `quantization_coverage` gave.

    Returns:
        The groups: float ones first, then by the number of layers.

    Example:
        >>> groups = grouped_coverage(quantization_coverage(model))
        >>> sum(group.layers for group in groups) == len(quantization_coverage(model))
        True
    """
    members: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        reason = re.sub(r"'[^']*'", "the next layer", row.reason)
        members.setdefault((row.precision, reason), []).append(row.kind)
    groups = [
        CoverageGroup(precision, reason, len(kinds), tuple(kind for kind, _ in Counter(kinds).most_common()))
        for (precision, reason), kinds in members.items()
    ]
    order = {"float32": 0, "-": 2}
    return tuple(sorted(groups, key=lambda group: (order.get(group.precision, 1), -group.layers)))


def _refuse_for_tfmot(model: keras.Model) -> None:
    from tfkit.compression.tfmot import tfmot_refusals

    if refusals := tfmot_refusals(model):
        raise ModelError(
            f"tensorflow-model-optimization cannot take {len(refusals)} layers of '{model.name}':\n"
            + "\n".join(f"  {refusal}" for refusal in refusals),
            hint="quantization.engine=tfkit takes them",
        )
