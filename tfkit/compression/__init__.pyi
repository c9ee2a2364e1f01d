from .biases import settle_biases
from .calibration import FreezeRanges, WatchRanges, fake_quantizers, is_quantize_aware, set_quantizers
from .coverage import CompressionCoverage, CoverageGroup, compression_coverage, grouped_coverage
from .distillation import FeaturePair, distiller
from .folded import FoldedModel, Rounding, TrainedKernel
from .folding import fold
from .policy import LayerCoverage, QuantizationPolicy
from .pruning_settings import PruningSettings
from .quantization import quantization_coverage, quantize_aware
from .stages import (
    PreparedStage,
    prepare_channel_pruning,
    prepare_quantization,
    prepare_weight_pruning,
    quantize_with_tfmot,
)
from .stripping import has_trained_weights, is_compressed, strip_compression, trained_kernels

__all__ = [
    "CompressionCoverage",
    "CoverageGroup",
    "FeaturePair",
    "FoldedModel",
    "FreezeRanges",
    "LayerCoverage",
    "PreparedStage",
    "PruningSettings",
    "QuantizationPolicy",
    "Rounding",
    "TrainedKernel",
    "WatchRanges",
    "compression_coverage",
    "distiller",
    "fake_quantizers",
    "fold",
    "grouped_coverage",
    "has_trained_weights",
    "is_compressed",
    "is_quantize_aware",
    "prepare_channel_pruning",
    "prepare_quantization",
    "prepare_weight_pruning",
    "quantization_coverage",
    "quantize_aware",
    "quantize_with_tfmot",
    "set_quantizers",
    "settle_biases",
    "strip_compression",
    "trained_kernels",
]
