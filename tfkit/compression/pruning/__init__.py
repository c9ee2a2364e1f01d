"""Magnitude pruning: masks of zeros that training sets by a schedule, and that quantisation and export keep."""

from tfkit.compression.pruning.callback import PruneWeights, check_pruning
from tfkit.compression.pruning.rewriting import (
    PrunableLayer,
    PruningCoverage,
    prunable,
    pruning_coverage,
    strip_pruning,
)
from tfkit.compression.pruning.schedules import ConstantSparsity, NOfM, PolynomialDecay, Schedule
from tfkit.compression.pruning.sparsity import LayerSparsity, SparsityReport, sparsity

__all__ = [
    "ConstantSparsity",
    "LayerSparsity",
    "NOfM",
    "PolynomialDecay",
    "PrunableLayer",
    "PruneWeights",
    "PruningCoverage",
    "Schedule",
    "SparsityReport",
    "check_pruning",
    "prunable",
    "pruning_coverage",
    "sparsity",
    "strip_pruning",
]
