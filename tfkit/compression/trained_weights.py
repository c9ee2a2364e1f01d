"""The whole numbers that a model's weights were trained on, when its activations stay in float."""

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.compression.calibration import is_quantize_aware
from tfkit.compression.folding import TrainedKernel
from tfkit.compression.operators import channel_affine, on_output_channels
from tfkit.compression.rules import treatment_of
from tfkit.graph import read_graph
from tfkit.layers import CompressedEmbedding, CompressedKernel


def trained_kernels(model: keras.Model) -> tuple[TrainedKernel, ...]:
    """The kernels and tables of a model that was trained with rounded weights, as a `dynamic_int8` file holds them.

    Args:
        model: What `quantize_aware` gave with `activation_bits=32`, trained.

    Returns:
        Each of them in steps of its own grid, one for each output channel or row, in running order.

    Example:
        >>> weights_only = quantize_aware(model, pixels, policy=QuantizationPolicy(activation_bits=32))
        >>> [kernel.bits for kernel in trained_kernels(weights_only)]
        [8, 8, 8]
    """
    graph = read_graph(model)
    kernels = []
    for node in graph.nodes:
        layer = node.operation
        if not isinstance(layer, CompressedKernel) or layer.weight_bits is None:
            continue
        steps = np.round(_numbers(layer.effective_kernel()) / _numbers(layer.kernel_scale()))
        taker = graph.only_consumer(node.output)
        while taker is not None and treatment_of(taker) == "absent":
            taker = graph.only_consumer(taker.output)
        if taker is not None and treatment_of(taker) == "affine":  # the converter folds it into the kernel
            steps = steps * on_output_channels(
                np.sign(channel_affine(taker.operation, channels=int(node.output.shape[-1] or 1))[0]), layer, steps
            )
        is_table = isinstance(layer, CompressedEmbedding)
        kernels.append(TrainedKernel(node.name, steps.astype(np.int8), layer.weight_bits, is_table=is_table))
    return tuple(kernels)


def has_trained_weights(model: keras.Model) -> bool:
    """Whether weights, and nothing else, were rounded while a model was trained.

    Example:
        >>> weights_only = quantize_aware(model, pixels, policy=QuantizationPolicy(activation_bits=32))
        >>> has_trained_weights(weights_only), has_trained_weights(student)
        (True, False)
    """
    rounded = any(isinstance(layer, CompressedKernel) and layer.weight_bits is not None for layer in model.layers)
    return rounded and not is_quantize_aware(model)


def _numbers(weight: keras.Variable) -> NDArray[np.float64]:
    return np.asarray(keras.ops.convert_to_numpy(weight), np.float64)
