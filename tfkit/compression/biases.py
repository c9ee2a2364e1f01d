"""Put the biases of a quantisation-aware model on the grid that its file holds them on."""

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.compression.operators import channel_affine
from tfkit.compression.rules import is_leading_scaling, treatment_of
from tfkit.compression.sums import quantizer_of, settle_sums, step_of
from tfkit.graph import LayerGraph, Node, read_graph
from tfkit.layers import (
    CompressedKernel,
    FakeQuantize,
    QuantizedLayerNormalization,
    SettledHardSigmoid,
    SettledHardSilu,
)


def settle_biases(model: keras.Model) -> int:
    """Let a trained model add what its file adds: biases in whole steps, and sums that are rounded as the file's.

    A file adds a bias as a whole number of (input scale x weight scale)
    (https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec). The
    rounding is small, but it turns the next rounding of about one value in a thousand, and each layer multiplies
    that. It is done once, after training: ranges and kernels must not change any more.

    Args:
        model: What `quantize_aware` gave, trained. Its kernels, and its biases or the `beta` of the BatchNorm layers
            that will be folded, are moved in place by half a step at most.

    Returns:
        How many layers were settled.

    Example:
        >>> settle_biases(student) > 0
        True
    """
    graph = read_graph(model)
    settled = 0
    for node in graph.nodes:
        layer = node.operation
        if isinstance(layer, QuantizedLayerNormalization) and isinstance(
            source := quantizer_of(node.inputs[0]), FakeQuantize
        ):
            layer.settle(source.real_range(), source.result_bits)
        if isinstance(layer, CompressedKernel) and layer.weight_bits is not None:
            layer.hold_steps()
            input_scale = step_of(node.inputs[0])
            settled += input_scale is not None and _settle(graph, node, input_scale)
        elif isinstance(layer, keras.layers.BatchNormalization | QuantizedLayerNormalization | keras.layers.Rescaling):
            settled += not is_leading_scaling(graph, node) and _settle_shift(node)
        elif isinstance(layer, SettledHardSigmoid) and (source := quantizer_of(node.inputs[0])) is not None:
            layer.settle(source.step(), bits=source.result_bits if isinstance(source, FakeQuantize) else 8)
            settled += 1
        elif isinstance(layer, SettledHardSilu):
            taken, taker = quantizer_of(node.inputs[0]), graph.only_consumer(node.output)
            if isinstance(taken, FakeQuantize) and taker is not None and isinstance(taker.operation, FakeQuantize):
                layer.settle(taken.real_range(), taker.operation.real_range())
                settled += 1
    settle_sums(graph)
    for function in ("train_function", "test_function", "predict_function"):
        setattr(model, function, None)  # these shifts are constants of what was compiled
    return settled


def _settle_shift(node: Node) -> bool:
    """A normalisation that is an operator of its own: its one weight for each channel is 127 steps."""
    layer = node.operation
    normalized = layer.quantizers["normalized"] if isinstance(layer, QuantizedLayerNormalization) else None
    input_scale = normalized.step() if normalized is not None else step_of(node.inputs[0])
    if input_scale is None or not _has_shift(layer):
        return False
    scale, shift = channel_affine(layer, channels=int(node.output.shape[-1] or 1))
    step = np.abs(scale) * input_scale / 127
    rounded = np.where(step > 0, np.round(shift / np.where(step > 0, step, 1)) * step, shift)
    _move_shift(layer, rounded - shift)
    return True


def _has_shift(layer: keras.Layer) -> bool:
    return isinstance(layer, keras.layers.Rescaling) or getattr(layer, "beta", None) is not None


def _move_shift(layer: keras.Layer, by: NDArray[np.float64]) -> None:
    if isinstance(layer, keras.layers.Rescaling):
        layer.offset = (np.asarray(layer.offset, np.float64) + by).tolist()
    else:
        layer.beta.assign(keras.ops.convert_to_numpy(layer.beta) + by)


def _settle(graph: LayerGraph, node: Node, input_scale: float) -> bool:
    layer: keras.Layer = node.operation
    step = np.ravel(np.asarray(keras.ops.convert_to_numpy(layer.kernel_scale()), np.float64)) * input_scale
    bias = np.asarray(keras.ops.convert_to_numpy(layer.bias), np.float64) if layer.use_bias else np.zeros(step.shape)
    norm = _folded_norm(graph, node)
    if norm is None:
        if layer.use_bias:
            layer.bias.assign(np.round(bias / step) * step)
        return bool(layer.use_bias)
    scale, shift = channel_affine(norm, channels=int(node.output.shape[-1] or 1))
    total = bias * scale + shift
    folded_step = np.abs(scale) * step
    rounded = np.where(
        folded_step > 0, np.round(total / np.where(folded_step > 0, folded_step, 1)) * folded_step, total
    )
    if _has_shift(norm):
        _move_shift(norm, rounded - total)
    elif layer.use_bias:
        layer.bias.assign(bias + np.where(scale != 0, (rounded - total) / np.where(scale != 0, scale, 1), 0))
    else:
        return False
    return True


def _folded_norm(graph: LayerGraph, node: Node) -> keras.Layer | None:
    taker = graph.only_consumer(node.output)
    while taker is not None and treatment_of(taker) == "absent":
        taker = graph.only_consumer(taker.output)
    return taker.operation if taker is not None and treatment_of(taker) == "affine" else None
