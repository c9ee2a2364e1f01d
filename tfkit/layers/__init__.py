"""Keras layers that a compressed model is made of; importing this room registers them for loading."""

from tfkit.layers.compressed import (
    CompressedConv1D,
    CompressedConv1DTranspose,
    CompressedConv2D,
    CompressedConv2DTranspose,
    CompressedDense,
    CompressedDepthwiseConv1D,
    CompressedDepthwiseConv2D,
    CompressedKernel,
    compressed_class,
    plain_class,
)
from tfkit.layers.fake_quantization import FakeQuantize, PixelGrid, round_to_steps
from tfkit.layers.layer_normalization import QuantizedLayerNormalization

__all__ = [
    "CompressedConv1D",
    "CompressedConv1DTranspose",
    "CompressedConv2D",
    "CompressedConv2DTranspose",
    "CompressedDense",
    "CompressedDepthwiseConv1D",
    "CompressedDepthwiseConv2D",
    "CompressedKernel",
    "FakeQuantize",
    "PixelGrid",
    "QuantizedLayerNormalization",
    "compressed_class",
    "plain_class",
    "round_to_steps",
]
