"""Turn a compressed model back into one of plain Keras layers, with the kernels it really uses."""

from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.compression.calibration import unrounded
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
