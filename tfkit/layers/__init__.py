"""Keras layers that a compressed model is made of; importing this room registers them for loading."""

from tfkit.layers.activations import PreciseActivation, SettledHardSigmoid, SettledHardSilu
from tfkit.layers.addition import Add, ChannelOrder, Subtract
from tfkit.layers.compressed import (
    CompressedConv1D,
    CompressedConv1DTranspose,
    CompressedConv2D,
    CompressedConv2DTranspose,
    CompressedDense,
    CompressedDepthwiseConv1D,
    CompressedDepthwiseConv2D,
    compressed_class,
    plain_class,
)
from tfkit.layers.compressed_kernel import OWN_SETTINGS, CompressedKernel, WholeKernel
from tfkit.layers.fake_quantization import OFF_THE_GRID, SHARES, FakeQuantize, PixelGrid, round_means, round_to_steps
from tfkit.layers.histories import TakenItems
from tfkit.layers.layer_normalization import QuantizedLayerNormalization
from tfkit.layers.text import Adapter, RelativePositions
from tfkit.layers.transformer import (
    BOUNDED_SCORE,
    AddPositions,
    ApproximateGelu,
    AttentionMask,
    CompressedEmbedding,
    MaskedMean,
    MatMul,
    SettledSoftmax,
    TokenIds,
)
from tfkit.layers.whole_numbers import Kernel, step_width

__all__ = [
    "BOUNDED_SCORE",
    "OFF_THE_GRID",
    "OWN_SETTINGS",
    "SHARES",
    "Adapter",
    "Add",
    "AddPositions",
    "ApproximateGelu",
    "AttentionMask",
    "ChannelOrder",
    "CompressedConv1D",
    "CompressedConv1DTranspose",
    "CompressedConv2D",
    "CompressedConv2DTranspose",
    "CompressedDense",
    "CompressedDepthwiseConv1D",
    "CompressedDepthwiseConv2D",
    "CompressedEmbedding",
    "CompressedKernel",
    "FakeQuantize",
    "Kernel",
    "MaskedMean",
    "MatMul",
    "PixelGrid",
    "PreciseActivation",
    "QuantizedLayerNormalization",
    "RelativePositions",
    "SettledHardSigmoid",
    "SettledHardSilu",
    "SettledSoftmax",
    "Subtract",
    "TakenItems",
    "TokenIds",
    "WholeKernel",
    "compressed_class",
    "plain_class",
    "round_means",
    "round_to_steps",
    "step_width",
]
