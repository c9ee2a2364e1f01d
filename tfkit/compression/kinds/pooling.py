"""Pooling and upsampling."""

import math
from typing import TYPE_CHECKING

import keras
import numpy as np

from tfkit.compression.kinds.counting import Sums
from tfkit.compression.kinds.kind import Kind, Ties, handed_on, named
from tfkit.graph import LayerCall, Node
from tfkit.keras_types import Tensor
from tfkit.layers import FakeQuantize

if TYPE_CHECKING:
    from tfkit.compression.folded import Folding
    from tfkit.compression.neighbours import Summing


def integer_form(layer: keras.Layer, tensor: Tensor) -> Tensor | None:
    """Call a layer in a form that LiteRT has integer operators for, where its own conversion has none.

    Args:
        layer: A layer without weights.
        tensor: Its input.

    Returns:
        The output, equal to the layer's; None for a layer that converts well as it is.
    """
    if isinstance(layer, keras.layers.GlobalMaxPooling1D | keras.layers.GlobalMaxPooling2D):
        return _global_maximum(layer, tensor)
    if isinstance(layer, keras.layers.UpSampling2D) and layer.interpolation == "nearest":
        height, width = (int(size) * factor for size, factor in zip(tensor.shape[1:3], layer.size, strict=True))
        return keras.ops.image.resize(tensor, (height, width), interpolation="nearest")
    if isinstance(layer, keras.layers.UpSampling1D):
        length, channels = (int(size) for size in tensor.shape[1:])
        rows = keras.ops.reshape(tensor, (-1, length, 1, channels))
        longer = keras.ops.image.resize(rows, (length * int(layer.size), 1), interpolation="nearest")
        return keras.ops.reshape(longer, (-1, length * int(layer.size), channels))
    return None


def _global_maximum(layer: keras.Layer, tensor: Tensor) -> Tensor:
    sizes, channels = tuple(int(size) for size in tensor.shape[1:-1]), int(tensor.shape[-1])
    spread = tensor if len(sizes) == 2 else keras.ops.reshape(tensor, (-1, sizes[0], 1, channels))
    pooled = keras.layers.MaxPooling2D(sizes if len(sizes) == 2 else (sizes[0], 1), name=layer.name)(spread)
    shape = (*[1] * len(sizes), channels) if layer.keepdims else (channels,)
    return keras.ops.reshape(pooled, (-1, *shape))


def _in_integer_form(folding: "Folding", call: LayerCall) -> Tensor:
    return folding.hand_on(call, integer_form(call.node.operation, call.args[0]))


def _of_pool(node: Node) -> Ties:
    return {"averaged": math.prod(node.operation.pool_size), "upwards": False}


def _of_neighbours(node: Node) -> Ties:
    """Bilinear upsampling weighs values by multiples of half a new pixel, in both directions."""
    return {"averaged": 4 * math.prod(node.operation.size), "upwards": True}


def _averaged(folding: "Folding", call: LayerCall) -> Tensor:
    return folding.hand_on_means(call, call.copied())


def _sums_of_places(summing: "Summing", node: Node, quantizer: FakeQuantize) -> Sums | None:
    step, shape = summing.narrow_step_of(node.inputs[0]), node.inputs[0].shape
    places = [size for size in shape[1:-1] if size is not None]
    if step is None or len(places) != len(shape) - 2:
        return None
    return Sums(np.float32(step) / np.float32(math.prod(places)))


def _interpolates(node: Node, how: str) -> bool:
    return isinstance(node.operation, keras.layers.UpSampling2D) and node.operation.interpolation == how


MAXIMUM = Kind(covers=named("MaxPooling1D", "MaxPooling2D"), treatment="same", fold=handed_on)
GLOBAL_MAXIMUM = Kind(covers=named("GlobalMaxPooling1D", "GlobalMaxPooling2D"), treatment="same", fold=_in_integer_form)
AVERAGE = Kind(
    covers=named("AveragePooling1D", "AveragePooling2D"), treatment="same_rounded", ties=_of_pool, fold=_averaged
)
GLOBAL_AVERAGE = Kind(
    covers=named("GlobalAveragePooling1D", "GlobalAveragePooling2D"), treatment="compute", sums=_sums_of_places
)
MEAN = Kind(covers=named("Mean"), treatment="compute")
NEAREST = Kind(
    covers=lambda node: _interpolates(node, "nearest") or node.kind == "UpSampling1D",
    treatment="same",
    fold=_in_integer_form,
)
BILINEAR = Kind(
    covers=lambda node: _interpolates(node, "bilinear"), treatment="same_rounded", ties=_of_neighbours, fold=_averaged
)
KINDS = (MAXIMUM, GLOBAL_MAXIMUM, AVERAGE, GLOBAL_AVERAGE, MEAN, NEAREST, BILINEAR)
