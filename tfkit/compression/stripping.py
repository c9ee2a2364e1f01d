"""A compressed model as a plain one, and the weights that were rounded while it was trained."""

from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.compression.calibration import is_quantize_aware, unrounded
from tfkit.compression.folding import TrainedKernel
from tfkit.compression.operators import channel_affine, on_output_channels
from tfkit.compression.rules import treatment_of
from tfkit.graph import Node, build_model, give_weights, read_graph, refuse_difference
from tfkit.graph.building import Copy
from tfkit.keras_types import Tensor
from tfkit.layers import (
    OWN_SETTINGS,
    Add,
    AddPositions,
    CompressedEmbedding,
    CompressedKernel,
    FakeQuantize,
    MaskedMean,
    PixelGrid,
    PreciseActivation,
    QuantizedLayerNormalization,
    SettledHardSigmoid,
    SettledHardSilu,
    Subtract,
    TokenIds,
    plain_class,
)


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


class _Stripping:
    def __init__(self) -> None:
        self._made: dict[int, keras.Layer] = {}

    def call(
        self, node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]
    ) -> Tensor | Sequence[Tensor]:
        layer = node.operation
        if isinstance(layer, FakeQuantize | PixelGrid | TokenIds):
            return args[0]
        if isinstance(layer, CompressedEmbedding):
            return self._plain(node, OWN_SETTINGS, [_numbers(layer.effective_kernel())], args, kwargs)
        if isinstance(layer, CompressedKernel):
            kernel = _numbers(layer.effective_kernel())
            bias = [_numbers(layer.bias)] if layer.use_bias else []  # type: ignore[attr-defined]
            return self._plain(node, OWN_SETTINGS, [kernel, *bias], args, kwargs)
        if isinstance(layer, AddPositions):
            return self._plain(node, ("bits",), [_numbers(layer.embeddings)], args, kwargs)
        if isinstance(layer, MaskedMean):
            return self._plain(node, ("rounded", "fused"), [], args, kwargs)
        if isinstance(layer, QuantizedLayerNormalization):
            own = [_numbers(weight) for weight in (layer.gamma, layer.beta) if weight is not None]
            return self._plain(node, ("bits", "fused", "settled"), own, args, kwargs)
        if isinstance(layer, Add | PreciseActivation | Subtract | SettledHardSigmoid | SettledHardSilu):
            return self._plain(node, ("settled", "shift", "input_step"), [], args, kwargs)
        return copy()(*args, **kwargs)

    def _plain(
        self,
        node: Node,
        dropped: tuple[str, ...],
        weights: list[NDArray[np.float32]],
        args: tuple[Tensor, ...],
        kwargs: dict[str, object],
    ) -> Tensor:
        """Call the plain layer in the place of a compressed one: the same one for each call of a shared layer."""
        layer = node.operation
        if id(layer) in self._made:
            return self._made[id(layer)](*args, **kwargs)
        config = {name: value for name, value in layer.get_config().items() if name not in dropped}
        plain = self._made[id(layer)] = plain_class(layer).from_config(config | {"name": node.name})  # type: ignore[attr-defined]
        outputs = plain(*args, **kwargs)
        give_weights(plain, weights)
        return outputs


def _numbers(weight: keras.Variable) -> NDArray[np.float32]:
    return np.asarray(keras.ops.convert_to_numpy(weight))


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
        steps = np.round(_float64(layer.effective_kernel()) / _float64(layer.kernel_scale()))
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


def _float64(weight: keras.Variable) -> NDArray[np.float64]:
    return np.asarray(keras.ops.convert_to_numpy(weight), np.float64)
