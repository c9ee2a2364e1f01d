"""What the sums of an integer kernel count in, so that a settled model rounds them as the file does."""

import math
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.compression.grids import quantizer_of
from tfkit.compression.operators import channel_affine
from tfkit.compression.rules import is_leading_scaling, treatment_of
from tfkit.compression.scaling import composed_scaling
from tfkit.graph import LayerGraph, Node, Value
from tfkit.layers import FakeQuantize, PixelGrid, QuantizedLayerNormalization, TokenIds

# A bias further than this from zero, in steps of its sum, makes the file widen its kernel's grid. Three bits below
# int32's end: the quantiser may still widen the input's range for operators that share it.
LARGEST_BIAS = 2.0**28
_FOUR_BIT_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D)
_MEANS = ("GlobalAveragePooling1D", "GlobalAveragePooling2D")
_MAPS = 4  # the rank at which a Dense layer is a convolution in the file


def settle_sums(graph: LayerGraph) -> int:
    """Tell each quantiser behind a convolution, a product or a mean what its kernel's sums count in.

    Float32 adds the products of a convolution in another order than whole numbers are added: one value in a hundred
    thousand falls to the other side of a half, and deep networks make much of it. A sum is a whole number of (input
    step x weight step), which is known; from there, the model rounds to the quantiser's steps as XNNPACK does.

    Args:
        graph: Of a settled model: kernels, biases and ranges must not change any more.

    Returns:
        How many quantisers were told.
    """
    told = 0
    floats = _float_layers(graph)
    for node in graph.nodes:
        quantizer = node.operation
        if isinstance(quantizer, FakeQuantize) and quantizer.result_bits == 8:
            steps, twice = _sum_steps(graph, _source(node), floats)
            if steps is not None:
                quantizer.settle(steps, twice=twice)
                told += 1
    return told


def _source(node: Node) -> Node | None:
    """The operator whose result is rounded, before the activation that runs inside it."""
    source = node.inputs[0].node
    while source is not None and treatment_of(source) in ("absent", "activation"):
        source = source.inputs[0].node
    return source


def _sum_steps(graph: LayerGraph, node: Node | None, floats: frozenset[str]) -> tuple[Any, bool]:
    """What an operator's sums count in, for each channel or all, and whether its kernel rounds twice."""
    if node is None or node.name in floats:
        return None, False
    layer = node.operation
    if isinstance(layer, QuantizedLayerNormalization):
        scale = channel_affine(layer, channels=_channels(node))[0] if layer.scale or layer.center else np.ones(1)
        return _of_weights(np.abs(scale), layer.quantizers["normalized"].step()), False
    if treatment_of(node) == "affine":
        return _of_affine(graph, node)
    if treatment_of(node) == "kernel":
        return _of_kernel(node, np.ones(1), np.zeros(1))
    if node.kind == "Multiply" and len(node.inputs) == 2:
        first, second = (_step(value) for value in node.inputs)
        return (None if first is None or second is None else np.float32(first) * np.float32(second)), False
    if node.kind in _MEANS and (step := _step(node.inputs[0])) is not None:
        places = [size for size in node.inputs[0].shape[1:-1] if size is not None]
        whole = len(places) == len(node.inputs[0].shape) - 2
        return (np.float32(step) / np.float32(math.prod(places)) if whole else None), False
    return None, False


def _of_affine(graph: LayerGraph, node: Node) -> tuple[NDArray[np.float32] | None, bool]:
    """Of a normalisation or scaling: that of the kernel it is folded into, or of a depthwise convolution by itself."""
    channels = _channels(node)
    if is_leading_scaling(graph, node):
        chain: list[Any] = []
        before: Node | None = node
        while before is not None and not isinstance(before.operation, PixelGrid):
            if treatment_of(before) != "absent":
                chain.insert(0, before.operation)
            before = before.inputs[0].node
        step = before.operation.step() if before is not None else None
        return _of_weights(np.abs(composed_scaling(chain, channels=channels)[0]), step), False
    scale, shift = channel_affine(node.operation, channels=channels)
    before = node.inputs[0].node
    while before is not None and treatment_of(before) == "absent":
        before = before.inputs[0].node
    if before is not None and treatment_of(before) == "kernel":
        return _of_kernel(before, scale, shift)
    return _of_weights(np.abs(scale), _step(node.inputs[0])), False


def _of_kernel(node: Node, scale: NDArray[np.float64], shift: NDArray[np.float64]) -> tuple[Any, bool]:
    layer = node.operation
    step = _step(node.inputs[0])
    bits = getattr(layer, "weight_bits", None)
    if bits is None or step is None:
        return None, False
    width = np.asarray(keras.ops.convert_to_numpy(layer.kernel_scale()), np.float64)
    kernel = np.asarray(keras.ops.convert_to_numpy(layer.effective_kernel()), np.float64)
    largest = (np.abs(np.round(kernel / width)).max(axis=layer.reduced_axes, keepdims=True) * width).ravel()
    weights = largest * np.abs(scale)
    bias = np.asarray(keras.ops.convert_to_numpy(layer.bias), np.float64) if layer.use_bias else np.zeros(1)
    kept = weights >= 127 * np.abs(bias * scale + shift) / (step * LARGEST_BIAS)
    convolves = isinstance(layer, _FOUR_BIT_CONVOLUTIONS) or len(node.output.shape) == _MAPS
    return _of_weights(np.where(kept, weights, 0), step, bits=bits), bits == 4 and convolves


def _of_weights(largest: NDArray[np.float64], step: float | None, *, bits: int = 8) -> Any:
    """A step of the input times one of the weights, of which the largest of each channel is given."""
    if step is None:
        return None
    return np.float32(step) * (largest.astype(np.float32) / np.float32(2 ** (bits - 1) - 1))


def _step(value: Value) -> float | None:
    """Of a tensor of 8 bits."""
    quantizer = quantizer_of(value)
    wide = isinstance(quantizer, FakeQuantize) and quantizer.result_bits != 8
    return quantizer.step() if quantizer is not None and not wide else None


def _channels(node: Node) -> int:
    return int(node.output.shape[-1] or 1)


def _float_layers(graph: LayerGraph) -> frozenset[str]:
    grids = [node.operation for node in graph.nodes if isinstance(node.operation, PixelGrid | TokenIds)]
    return frozenset(name for grid in grids for name in grid.float_layers)
