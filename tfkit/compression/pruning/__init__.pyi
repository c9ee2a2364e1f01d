from .callback import PruneWeights, check_pruning
from .rewriting import PrunableLayer, PruningCoverage, prunable, pruning_coverage, strip_pruning
from .schedules import ConstantSparsity, NOfM, PolynomialDecay, Schedule
from .sparsity import LayerSparsity, SparsityReport, sparsity

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
