"""A compressed model as a plain one, and the weights that were rounded while it was trained."""

from collections.abc import Sequence

import keras
import numpy as np

from tfkit.compression.calibration import is_quantize_aware, unrounded
from tfkit.compression.folded import TrainedKernel
from tfkit.compression.kinds import kind_of
from tfkit.compression.kinds.kind import Stripping
from tfkit.compression.neighbours import Neighbours
from tfkit.compression.operators import numbers_of, on_output_channels
from tfkit.graph import LayerCall, Node, build_model, read_graph, refuse_difference
from tfkit.graph.building import Copy
from tfkit.keras_types import Tensor
from tfkit.layers import CompressedEmbedding, CompressedKernel, FakeQuantize


def strip_compression(model: keras.Model) -> keras.Model:
    """Rebuild a pruned or quantisation-aware model from plain Keras layers.

    Args:
        model: A model with masks, fake quantisers, both or neither.

    Returns:
        A float model without roundings between layers. Its kernels are the ones the model computes with: masked, and
        on their grid. A layer that is called several times stays one.

    Raises:
        ModelError: When a layer of the new model does not compute what the model's does.

    Example:
        >>> is_compressed(strip_compression(student))
        False
    """
    plain = build_model(read_graph(model), _Stripping().call)
    with unrounded(model, kernels=False):
        refuse_difference(model, plain, what="copy without compression")
    return plain


def is_compressed(model: keras.Model) -> bool:
    """Whether a model has layers of `tfkit.layers`: masks or fake quantisers.

    Example:
        >>> is_compressed(model), is_compressed(student)
        (False, True)
    """
    return any(isinstance(layer, CompressedKernel | FakeQuantize) for layer in model.layers)


class _Stripping(Stripping):
    """What to put in each node's place."""

    def call(
        self, node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]
    ) -> Tensor | Sequence[Tensor]:
        """What a layer becomes, as `build_model` asks."""
        call, strip = LayerCall(node, copy, args, kwargs), kind_of(node).strip
        stripped = strip(self, call) if strip is not None else None
        return call.copied() if stripped is None else stripped


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
    neighbours = Neighbours(read_graph(model), kind_of)
    kernels = []
    for node in neighbours.graph.nodes:
        layer = node.operation
        if not isinstance(layer, CompressedKernel) or layer.weight_bits is None:
            continue
        steps = np.round(numbers_of(layer.effective_kernel()) / numbers_of(layer.kernel_scale()))
        norm = neighbours.folded_affine(node)
        if norm is not None:  # the converter folds it into the kernel
            steps = steps * on_output_channels(np.sign(neighbours.channel_affine(norm)[0]), layer, steps)
        is_table = isinstance(layer, CompressedEmbedding)
        first_axes = kind_of(node).first_axes
        kernels.append(TrainedKernel(node.name, steps.astype(np.int8), layer.weight_bits, is_table, first_axes))
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
