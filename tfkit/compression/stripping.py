"""Turn a compressed model back into one of plain Keras layers, with the kernels it really uses."""

from collections.abc import Callable
from typing import Any

import keras

from tfkit.graph import Node, build_model, read_graph
from tfkit.layers import (
    AddPositions,
    CompressedEmbedding,
    CompressedKernel,
    FakeQuantize,
    MaskedMean,
    PixelGrid,
    QuantizedLayerNormalization,
    TokenIds,
    plain_class,
)


def strip_compression(model: keras.Model) -> keras.Model:
    """Rebuild a pruned or quantisation-aware model from plain Keras layers.

    Args:
        model: A model with masks, fake quantisers, both or neither.

    Returns:
        A float model without roundings between layers. Its kernels are the ones the model computes with: masked, and
        on their grid.
    """
    return build_model(read_graph(model), _plain_call)


def is_compressed(model: keras.Model) -> bool:
    """Whether a model has layers of `tfkit.layers`: masks or fake quantisers."""
    return any(isinstance(layer, CompressedKernel | FakeQuantize) for layer in model.layers)


def _plain_call(node: Node, copy: Callable[[], Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    layer = node.operation
    if isinstance(layer, FakeQuantize | PixelGrid | TokenIds):
        return args[0]
    if isinstance(layer, CompressedEmbedding):
        return _with_weights(node, ("weight_bits", "masked"), [_numbers(layer.effective_kernel())], args, kwargs)
    if isinstance(layer, CompressedKernel):
        kernel = _numbers(layer.effective_kernel())
        bias = [_numbers(layer.bias)] if layer.use_bias else []  # type: ignore[attr-defined]
        return _with_weights(node, ("weight_bits", "masked"), [kernel, *bias], args, kwargs)
    if isinstance(layer, AddPositions):
        return _with_weights(node, ("bits",), [_numbers(layer.embeddings)], args, kwargs)
    if isinstance(layer, MaskedMean):
        return _with_weights(node, ("rounded", "fused"), [], args, kwargs)
    if isinstance(layer, QuantizedLayerNormalization):
        own = [_numbers(weight) for weight in (layer.gamma, layer.beta) if weight is not None]
        return _with_weights(node, ("bits", "fused"), own, args, kwargs)
    return copy()(*args, **kwargs)


def _numbers(weight: Any) -> Any:
    return keras.ops.convert_to_numpy(weight)


def _with_weights(node: Node, dropped: tuple[str, ...], weights: list[Any], args: Any, kwargs: Any) -> Any:
    config = {name: value for name, value in node.operation.get_config().items() if name not in dropped}
    plain = plain_class(node.operation).from_config(config | {"name": node.name})  # type: ignore[attr-defined]
    outputs = plain(*args, **kwargs)
    plain.set_weights(weights)
    return outputs
