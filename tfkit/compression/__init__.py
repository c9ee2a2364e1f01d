"""Make a trained Keras model smaller and quicker: quantisation-aware training, pruning, distillation."""

from tfkit.compression.biases import settle_biases
from tfkit.compression.calibration import FreezeRanges, fake_quantizers, is_quantize_aware, set_quantizers
from tfkit.compression.folding import FoldedModel, Rounding, TrainedKernel, fold
from tfkit.compression.policy import LayerCoverage, QuantizationPolicy
from tfkit.compression.quantization import quantization_coverage, quantize_aware
from tfkit.compression.stripping import is_compressed, strip_compression

__all__ = [
    "FoldedModel",
    "FreezeRanges",
    "LayerCoverage",
    "QuantizationPolicy",
    "Rounding",
    "TrainedKernel",
    "fake_quantizers",
    "fold",
    "is_compressed",
    "is_quantize_aware",
    "quantization_coverage",
    "quantize_aware",
    "set_quantizers",
    "settle_biases",
    "strip_compression",
]
