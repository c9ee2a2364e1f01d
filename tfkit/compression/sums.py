"""What the sums of an integer kernel count in, so that a settled model rounds them as the file does."""

import math
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.compression.operators import channel_affine
from tfkit.compression.rules import is_leading_scaling, treatment_of
from tfkit.compression.scaling import composed_scaling
from tfkit.graph import LayerGraph, Node, Value
from tfkit.layers import (
    Add,
    FakeQuantize,
    Kernel,
    MatMul,
    PixelGrid,
    PreciseActivation,
    QuantizedLayerNormalization,
    Subtract,
    TokenIds,
    WholeKernel,
    step_width,
)


def quantizer_of(value: Value) -> FakeQuantize | PixelGrid | None:
    """What rounded a tensor, looking through layers that hand it on; None where nothing did.

    Args:
        value: A tensor of a quantisation-aware model's graph.
    """
    node = value.node
    while node is not None:
        if isinstance(node.operation, FakeQuantize | PixelGrid):
            return node.operation
        if treatment_of(node) not in ("same", "absent"):
            return None
        node = node.inputs[0].node
    return None


def step_of(value: Value) -> float | None:
    """Width of a step of a tensor's grid, as the file holds it; None for a tensor on no grid."""
    quantizer = quantizer_of(value)
    return quantizer.step() if quantizer is not None else None


# A bias further than this from zero, in steps of its sum, makes the file widen its kernel's grid. Three bits below
# int32's end: the quantiser may still widen the input's range for operators that share it.
LARGEST_BIAS = 2.0**28
_FOUR_BIT_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D)
_MEANS = ("GlobalAveragePooling1D", "GlobalAveragePooling2D")
_BITS = 8
_RATIOS = 2.0**-10, 2.0**8  # of an addend's step to the sum's: others XNNPACK leaves to another kernel
_MAPS = 4  # the rank at which a Dense layer is a convolution in the file


@dataclass(frozen=True)
class _Sums:
    """What the sums of an operator count in.

    Attributes:
        steps: float32, for each channel or all; 0: not known.
        kernel: How its kernel rounds them.
        shift: What it adds, where that is not a whole number of steps yet.
    """

    steps: NDArray[np.float32] | np.float32
    kernel: Kernel = "once"
    shift: NDArray[np.float64] | None = None


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
    grids = [node.operation for node in graph.nodes if isinstance(node.operation, PixelGrid | TokenIds)]
    floats = {name for grid in grids for name in grid.float_layers}
    told = 0
    for node in graph.nodes:
        source = _source_of(node.inputs[0]) if isinstance(node.operation, FakeQuantize) else None
        if source is not None and source.name not in floats:
            told += _settle(graph, source, node)
    return told


def _settle(graph: LayerGraph, source: Node, node: Node) -> bool:
    quantizer: FakeQuantize = node.operation
    if isinstance(source.operation, Add | Subtract):
        return _settle_addition(source, quantizer)
    if quantizer.per_channel:
        ranges = quantizer.channel_ranges().astype(np.float64)
        sums = _of_kernel(source, 1 / ranges, np.zeros(1)) if treatment_of(source) == "kernel" else None
    elif quantizer.bits == _BITS or isinstance(source.operation, QuantizedLayerNormalization):
        sums = _sums_of(graph, source, quantizer)
    else:
        sums = None
    if sums is None:
        return False
    if quantizer.bits == _BITS and not quantizer.per_channel:
        sums = _with_whole_kernel(graph, source, quantizer, sums)
    real_range = _range_of_narrowed(graph, node.output) if quantizer.bits != _BITS else None
    quantizer.settle(sums.steps, kernel=sums.kernel, shift=sums.shift, real_range=real_range)
    return True


def _range_of_narrowed(graph: LayerGraph, value: Value) -> tuple[float, float] | None:
    """A tensor of 16 bits that some layers take in 8 is held on the range of the eight."""
    for taker in graph.consumers(value):
        if isinstance(taker.operation, FakeQuantize):
            return taker.operation.real_range()
        if treatment_of(taker) == "absent" and (found := _range_of_narrowed(graph, taker.output)) is not None:
            return found
    return None


def _settle_addition(node: Node, quantizer: FakeQuantize) -> bool:
    first, second = (_step(value) for value in node.inputs)
    if first is None or second is None:
        return False
    low, high = _RATIOS
    if not low <= max(first, second) / quantizer.step() < high:
        return False
    node.operation.settle(first, second, quantizer.step())
    return True


def _source_of(value: Value) -> Node | None:
    """The operator whose result is rounded, before the activation that runs inside it."""
    source = value.node
    while source is not None and treatment_of(source) in ("absent", "activation", "masked"):
        source = source.inputs[0].node
    return source


def _sums_of(graph: LayerGraph, node: Node, quantizer: FakeQuantize) -> _Sums | None:
    layer = node.operation
    if isinstance(layer, FakeQuantize):  # what had 16 bits gets 8
        wide = step_width(*quantizer.real_range(), bits=layer.result_bits)
        return _Sums(np.float32(wide), kernel="away") if layer.result_bits != _BITS else None
    if treatment_of(node) == "joined":
        return _of_joined(graph, node, quantizer)
    if isinstance(layer, PreciseActivation):
        return _Sums(np.float32(quantizer.step()))
    if isinstance(layer, MatMul):
        first, second = (_step(value) for value in node.inputs)
        if first is None or second is None:
            return None
        return _Sums(np.float32(first) * np.float32(second) * np.float32(layer.scale), kernel="away")
    if isinstance(layer, QuantizedLayerNormalization):
        scale = channel_affine(layer, channels=_channels(node))[0] if layer.scale or layer.center else np.ones(1)
        wide = layer.bits != _BITS
        return _weighted(scale, layer.quantizers["normalized"].step(), kernel="coarse" if wide else "once")
    if is_leading_scaling(graph, node):
        return _of_pixels(node)
    if treatment_of(node) == "affine":
        scale, shift = channel_affine(layer, channels=_channels(node))
        before = _source_before(node)
        if before is not None and treatment_of(before) == "kernel":
            return _of_kernel(before, scale, shift)
        return _weighted(scale, _step(node.inputs[0]))
    if treatment_of(node) == "kernel":
        return _of_kernel(node, np.ones(1), np.zeros(1))
    if node.kind == "Multiply" and len(node.inputs) == 2:
        first, second = (_step(value) for value in node.inputs)
        return None if first is None or second is None else _Sums(np.float32(first) * np.float32(second))
    if node.kind in _MEANS and (step := _step(node.inputs[0])) is not None:
        places = [size for size in node.inputs[0].shape[1:-1] if size is not None]
        whole = len(places) == len(node.inputs[0].shape) - 2
        return _Sums(np.float32(step) / np.float32(math.prod(places))) if whole else None
    return None


def _of_joined(graph: LayerGraph, node: Node, quantizer: FakeQuantize) -> _Sums | None:
    """Of tensors joined channel by channel: one on a grid of its own is brought to the common one by weights of one."""
    if node.operation.axis not in (-1, len(node.output.shape) - 1):
        return None
    parts = [
        np.broadcast_to(_counted(graph, value, quantizer), int(value.shape[-1] or 0)).astype(np.float32)
        for value in node.inputs
    ]
    return _Sums(np.concatenate(parts))


def _counted(graph: LayerGraph, value: Value, quantizer: FakeQuantize) -> NDArray[np.float32] | np.float32:
    """What a tensor counts in that is joined with others, float32; 0: not known."""
    step, source = _step(value), _source_of(value)
    if step is not None:
        return np.float32(step) * (np.float32(1) / np.float32(127))
    if source is None:
        return np.float32(0)
    if isinstance(source.operation, Add | Subtract):
        settled = _is_heard_by(graph, source, quantizer) and _settle_addition(source, quantizer)
        return np.float32(quantizer.step() if settled else 0)
    own = _sums_of(graph, source, quantizer)
    own = None if own is None else _with_whole_kernel(graph, source, quantizer, own)
    return own.steps if own is not None and own.kernel == "once" and own.shift is None else np.float32(0)


def _of_pixels(node: Node) -> _Sums | None:
    """Of pixels scaled channel by channel, the last scaling given: one operator for all of them."""
    chain: list[keras.Layer] = []
    before: Node | None = node
    while before is not None and not isinstance(before.operation, PixelGrid):
        if treatment_of(before) != "absent":
            chain.insert(0, before.operation)
        before = before.inputs[0].node
    scale, shift, _ = composed_scaling(chain, channels=_channels(node))
    return _weighted(scale, before.operation.step() if before is not None else None, shift=shift)


def _with_whole_kernel(graph: LayerGraph, source: Node, quantizer: FakeQuantize, sums: _Sums) -> _Sums:
    """Let a kernel that nothing but this quantiser hears round its whole sums itself, where it can."""
    node: Node | None = source
    scale, shift = np.ones(1), np.zeros(1)
    if treatment_of(source) == "affine" and not is_leading_scaling(graph, source):
        scale, shift = channel_affine(source.operation, channels=_channels(source))
        node = _source_before(source)
    if node is None or not isinstance(node.operation, WholeKernel) or len(graph.calls_of(node.operation)) > 1:
        return sums
    layer, step = node.operation, _step(node.inputs[0])
    if step is None or not _is_heard_by(graph, node, quantizer):
        return sums
    counted = np.broadcast_to(sums.steps, _channels(node))
    bias = np.asarray(keras.ops.convert_to_numpy(layer.bias), np.float64) if layer.use_bias else np.zeros(1)
    known = counted > 0
    whole = np.where(known, np.rint((bias * scale + shift) / np.where(known, counted, 1)), 0)
    settled = layer.settle(
        step, counted=counted, bias=whole, scale=scale, shift=shift, step=quantizer.step(), kernel=sums.kernel
    )
    if not settled:
        return sums
    return _Sums(np.where(known, np.float32(quantizer.step()), np.float32(0)))


def _is_heard_by(graph: LayerGraph, node: Node, quantizer: FakeQuantize) -> bool:
    """Whether all that a kernel gives goes to one quantiser, by what the file's kernel runs itself."""
    taker = graph.only_consumer(node.output)
    while taker is not None and treatment_of(taker) in ("absent", "activation", "affine", "joined"):
        taker = graph.only_consumer(taker.output)
    return taker is not None and taker.operation is quantizer


def _source_before(node: Node) -> Node | None:
    before = node.inputs[0].node
    while before is not None and treatment_of(before) == "absent":
        before = before.inputs[0].node
    return before


def _of_kernel(node: Node, scale: NDArray[np.float64], shift: NDArray[np.float64]) -> _Sums | None:
    """Of a kernel with the normalisation that is folded into it."""
    layer = node.operation
    step = _step(node.inputs[0])
    bits = getattr(layer, "weight_bits", None)
    if bits is None or step is None:
        return None
    width = np.asarray(keras.ops.convert_to_numpy(layer.kernel_scale()), np.float64)
    kernel = np.asarray(keras.ops.convert_to_numpy(layer.effective_kernel()), np.float64)
    largest = (np.abs(np.round(kernel / width)).max(axis=layer.reduced_axes, keepdims=True) * width).ravel()
    weights = largest * np.abs(scale)
    bias = np.asarray(keras.ops.convert_to_numpy(layer.bias), np.float64) if layer.use_bias else np.zeros(1)
    kept = weights >= 127 * np.abs(bias * scale + shift) / (step * LARGEST_BIAS)
    convolves = isinstance(layer, _FOUR_BIT_CONVOLUTIONS) or len(node.output.shape) == _MAPS
    return _weighted(np.where(kept, weights, 0), step, bits=bits, kernel="up" if bits == 4 and convolves else "once")


def _weighted(
    largest: NDArray[np.float64],
    step: float | None,
    *,
    bits: int = _BITS,
    kernel: Kernel = "once",
    shift: NDArray[np.float64] | None = None,
) -> _Sums | None:
    """A step of the input times one of the weights, of which the largest of each channel is given."""
    if step is None:
        return None
    weight_steps = np.abs(largest).astype(np.float32) / np.float32(2 ** (bits - 1) - 1)
    return _Sums(np.float32(step) * weight_steps, kernel=kernel, shift=shift)


def _step(value: Value) -> float | None:
    """Of a tensor of 8 bits."""
    quantizer = quantizer_of(value)
    wide = isinstance(quantizer, FakeQuantize) and quantizer.result_bits != _BITS
    return quantizer.step() if quantizer is not None and not wide else None


def _channels(node: Node) -> int:
    return int(node.output.shape[-1] or 1)
