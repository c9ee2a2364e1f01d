"""What compression did to a run's model, as values for the page and the JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

# Only for the type checker: these rooms load TensorFlow, and `tfkit --help` must not.
if TYPE_CHECKING:
    from tfkit.compression import CompressionCoverage, CoverageGroup, LayerCoverage
    from tfkit.compression.pruning import SparsityReport
    from tfkit.stages import ChannelPruning, TransformerPruning


@dataclass(frozen=True)
class Compression:
    """What compression did to the model.

    Attributes:
        coverage: What quantisation-aware training did with each layer; empty without it.
        groups: The same, counted by what and why.
        sparsity: The zeros in the final model's kernels; None without pruning of weights.
        channels: What channel pruning did; None without it.
        teacher: Who taught, in words; empty without distillation.
        transformer: What was removed from a text classifier's encoder; None where nothing was.
    """

    coverage: tuple[LayerCoverage, ...] = ()
    groups: tuple[CoverageGroup, ...] = ()
    sparsity: SparsityReport | None = None
    channels: ChannelPruning | None = None
    teacher: str = ""
    transformer: TransformerPruning | None = None


def describe_compression(
    model: Any,
    coverage: CompressionCoverage,
    *,
    channels: ChannelPruning | None = None,
    transformer: TransformerPruning | None = None,
    teacher: str = "",
) -> Compression | None:
    """Gather what compression did to a finished model.

    Args:
        model: The last model of the run.
        coverage: What was planned for each layer before training.
        channels: What channel pruning did.
        transformer: What was removed from a text classifier's encoder.
        teacher: Who taught, in words.

    Returns:
        The summary; None when the model was not compressed.
    """
    from tfkit.compression import grouped_coverage
    from tfkit.compression.pruning import sparsity

    zeros = sparsity(model) if hasattr(model, "layers") else None
    if zeros is not None and all(row.masked is None for row in zeros.layers):
        zeros = None
    rows = coverage.quantization
    if not (rows or zeros or channels or transformer or teacher):
        return None
    return Compression(rows, grouped_coverage(rows), zeros, channels, teacher, transformer)


def parameters_of(model: Any) -> int:
    """A model's weights, but for the masks and ranges that only its training needs."""
    from tfkit.compression.pruning import sparsity
    from tfkit.compression.tfmot import TfKerasTwin

    return sparsity(model.model if isinstance(model, TfKerasTwin) else model).parameters
