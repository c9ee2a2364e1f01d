"""Layers that are several operators in the file, written as layers of one operator each."""

import math

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.graph import Node
from tfkit.keras_types import Tensor
from tfkit.layers import MatMul


def opened_composite(node: Node, args: tuple[Tensor, ...], kwargs: dict[str, object]) -> Tensor | None:
    """Call a group normalisation or an attention operator by operator, with its weights.

    Args:
        node: The call of any layer.
        args, kwargs: Its new inputs.

    Returns:
        Its output, equal to about 1e-6; None for another layer, or one called in a way that is not known here.
    """
    if type(node.operation) is keras.layers.GroupNormalization:
        return _normalized_groups(node, args[0]) if _is_known_norm(node) else None
    if type(node.operation) is keras.layers.MultiHeadAttention:
        return _attention(node, args, kwargs) if _is_known_attention(node, kwargs) else None
    return None


def _is_known_norm(node: Node) -> bool:
    shape = node.inputs[0].shape
    return len(shape) == 4 and node.operation.axis in (-1, 3) and all(shape[1:])


def _normalized_groups(node: Node, tensor: Tensor) -> Tensor:
    """A layer normalisation of each group as one row; scale and shift are a depthwise convolution's weights."""
    layer = node.operation
    height, width, channels = (int(size) for size in tensor.shape[1:])
    groups, places = layer.groups, height * width
    dtype = {"dtype": layer.dtype_policy}
    rows = keras.layers.Reshape((places, groups, channels // groups), name=f"{node.name}_grouped")(tensor)
    rows = keras.layers.Permute((2, 1, 3), name=f"{node.name}_turned")(rows)
    rows = keras.layers.Reshape((groups, places * channels // groups), name=f"{node.name}_rows")(rows)
    plain = {"scale": False, "center": False, "epsilon": layer.epsilon}
    rows = keras.layers.LayerNormalization(**plain, name=f"{node.name}_normalized", **dtype)(rows)
    rows = keras.layers.Reshape((groups, places, channels // groups), name=f"{node.name}_groups")(rows)
    rows = keras.layers.Permute((2, 1, 3), name=f"{node.name}_turned_back")(rows)
    maps = keras.layers.Reshape((height, width, channels), name=f"{node.name}_maps")(rows)
    if not layer.scale and not layer.center:
        return maps
    scaled = keras.layers.DepthwiseConv2D(1, use_bias=layer.center, name=node.name, trainable=layer.trainable, **dtype)
    outputs = scaled(maps)
    scale = _numbers(layer.gamma) if layer.scale else np.ones(channels, np.float32)
    scaled.set_weights([scale.reshape(1, 1, channels, 1), *([_numbers(layer.beta)] if layer.center else [])])
    return outputs


def _is_known_attention(node: Node, kwargs: dict[str, object]) -> bool:
    layer = node.operation
    given = {name for name, value in kwargs.items() if value is not None and value is not False}
    plain = given <= {"query", "value", "key", "training"} and len(node.args) <= 3 and len(node.outputs) == 1
    plain = plain and not layer.get_config().get("use_gate") and getattr(layer, "_sliding_window", None) is None
    return plain and all(len(value.shape) == 3 and all(value.shape[1:]) for value in node.inputs)


def _attention(node: Node, args: tuple[Tensor, ...], kwargs: dict[str, object]) -> Tensor:
    """Three projections, the product of queries and keys, a softmax, its product with the values, a projection."""
    layer, name = node.operation, node.name
    given = dict(zip(("query", "value", "key"), args, strict=False)) | kwargs
    query, value = given["query"], given["value"]
    key = given.get("key")
    queries = _heads(node, "query", query, order=(2, 1, 3))
    keys = _heads(node, "key", value if key is None else key, order=(2, 3, 1))
    values = _heads(node, "value", value, order=(2, 1, 3))
    width = int(layer.query_dense.kernel.shape[-1])
    scores = MatMul(scale=1 / math.sqrt(width), name=f"{name}_scores")(queries, keys)
    shares = keras.layers.Softmax(name=f"{name}_softmax")(scores)
    if layer.get_config()["dropout"]:
        shares = keras.layers.Dropout(layer.get_config()["dropout"], name=f"{name}_dropout")(shares)
    mixed = MatMul(name=f"{name}_mix")(shares, values)
    mixed = keras.layers.Permute((2, 1, 3), name=f"{name}_mix_permuted")(mixed)
    joined = keras.layers.Reshape((int(query.shape[1]), -1), name=f"{name}_mix_joined")(mixed)
    kernel = _numbers(layer.output_dense.kernel)
    return _dense(node, name, joined, kernel.reshape(-1, kernel.shape[-1]), layer.output_dense.bias)


def _heads(node: Node, part: str, tensor: Tensor, *, order: tuple[int, int, int]) -> Tensor:
    projection = getattr(node.operation, f"{part}_dense")
    kernel = _numbers(projection.kernel)
    inputs, heads, width = kernel.shape
    name = f"{node.name}_{part}"
    projected = _dense(node, name, tensor, kernel.reshape(inputs, -1), projection.bias)
    split = keras.layers.Reshape((int(tensor.shape[1]), heads, width), name=f"{name}_heads")(projected)
    return keras.layers.Permute(order, name=f"{name}_permuted")(split)


def _dense(node: Node, name: str, tensor: Tensor, kernel: NDArray[np.float32], bias: keras.Variable | None) -> Tensor:
    layer = node.operation
    dense = keras.layers.Dense(
        kernel.shape[-1], use_bias=bias is not None, name=name, dtype=layer.dtype_policy, trainable=layer.trainable
    )
    outputs = dense(tensor)
    dense.set_weights([kernel, *([] if bias is None else [_numbers(bias).ravel()])])
    return outputs


def _numbers(weight: keras.Variable) -> NDArray[np.float32]:
    return np.asarray(keras.ops.convert_to_numpy(weight), np.float32)
