"""Operations that take channels of pixels, or put them in another order: one `ChannelOrder` for all of them."""

import math

import keras
import numpy as np

from tfkit.compression.kinds.kind import Kind, Splitting, handed_on, named
from tfkit.graph import LayerCall, Node
from tfkit.graph.layer_graph import replace_values
from tfkit.keras_types import Tensor
from tfkit.layers import ChannelOrder

# More channels than a picture has are no pixels.
_MOST_PIXEL_CHANNELS = 4


def _is_of_pixels(node: Node) -> bool:
    """Whether nothing that learns lies between a model input and a node, and what it takes has a picture's channels."""
    values = list(node.inputs)
    while values:
        value = values.pop()
        if len(value.shape) not in (3, 4) or (len(value.shape) == 4 and (value.shape[-1] or 0) > _MOST_PIXEL_CHANNELS):
            return False
        if value.node is None:
            continue
        if isinstance(value.node.operation, keras.layers.Layer) and value.node.operation.trainable_weights:
            return False
        values.extend(value.node.inputs)
    return bool(node.inputs)


def _one_channel(node: Node) -> int | None:
    """Which channel `x[..., channel]` takes; None for any other node."""
    value, key = node.inputs[0], node.args[1] if len(node.args) > 1 else None
    key = key if isinstance(key, tuple) else (key,)
    whole = all(part in (Ellipsis, slice(None)) for part in key[:-1])
    full = Ellipsis in key[:-1] or len(key) == len(value.shape)
    if node.kind != "GetItem" or not isinstance(key[-1], int) or not (whole and full):
        return None
    return key[-1] % int(value.shape[-1] or 1)


def _order_of(node: Node) -> list[int] | None:
    """The order that an operation puts channels in, when that is all it does."""
    value = node.inputs[0]
    if len(node.inputs) != 1 or node.output.shape != value.shape:
        return None
    # Any size will do where the model takes any.
    sizes = [size or 2 for size in value.shape[1:]]
    numbers = np.arange(math.prod(sizes), dtype=np.int32).reshape(1, *sizes)
    args, kwargs = replace_values((node.args, node.kwargs), lambda _: keras.ops.convert_to_tensor(numbers))
    found = np.asarray(keras.ops.convert_to_numpy(node.operation(*args, **kwargs)))
    order = found.reshape(-1, sizes[-1])[0].tolist()
    in_place = max(order) < sizes[-1] and np.array_equal(found, numbers[..., order])
    return order if in_place else None


def _split_order(splitting: Splitting, call: LayerCall) -> Tensor | None:
    order = _order_of(call.node) if _is_of_pixels(call.node) else None
    return None if order is None else ChannelOrder(order, name=call.node.name)(call.args[0])


def _split_taken(splitting: Splitting, call: LayerCall) -> Tensor | None:
    """One channel of pixels is remembered with what it was taken from."""
    node = call.node
    if len(call.args) == 2 and _is_of_pixels(node) and _one_channel(node) is not None:
        splitting.taken_from[id(node.output)] = call.args[0]
        return None
    return _split_order(splitting, call)


def _split_stack(splitting: Splitting, call: LayerCall) -> Tensor | None:
    node, taken_from = call.node, splitting.taken_from
    if not _is_of_pixels(node):
        return None
    parts = [value for value in node.inputs if id(value) in taken_from]
    sources = {id(taken_from[id(value)]): taken_from[id(value)] for value in parts}
    last = len(node.output.shape) - 1
    if len(parts) != len(node.inputs) or len(sources) != 1 or node.operation.axis not in (-1, last):
        return None
    channels = [_one_channel(value.node) or 0 for value in parts if value.node is not None]
    return ChannelOrder(channels, name=node.name)(next(iter(sources.values())))


TAKEN = Kind(covers=named("GetItem"), treatment="same", split=_split_taken, fold=handed_on)
ORDERED = Kind(covers=named("Flip", "Take"), split=_split_order)
STACKED = Kind(covers=named("Stack"), split=_split_stack)
KINDS = (TAKEN, ORDERED, STACKED)
