"""Make a trained Keras model smaller and quicker: quantisation-aware training, pruning, distillation."""

from tfkit.compression.biases import settle_biases
from tfkit.compression.calibration import FreezeRanges, fake_quantizers, is_quantize_aware, set_quantizers
from tfkit.compression.coverage import CompressionCoverage, CoverageGroup, compression_coverage, grouped_coverage
from tfkit.compression.distillation import FeaturePair, distiller
from tfkit.compression.folding import FoldedModel, Rounding, TrainedKernel, fold
from tfkit.compression.policy import LayerCoverage, QuantizationPolicy
from tfkit.compression.pruning_settings import PruningSettings
from tfkit.compression.quantization import quantization_coverage, quantize_aware
from tfkit.compression.stages import (
    PreparedStage,
    prepare_channel_pruning,
    prepare_quantization,
    prepare_weight_pruning,
)
from tfkit.compression.stripping import is_compressed, strip_compression
from tfkit.compression.tfmot_stage import quantize_with_tfmot
from tfkit.compression.trained_weights import has_trained_weights, trained_kernels
from tfkit.compression.watching import WatchRanges

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
