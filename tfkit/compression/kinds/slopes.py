"""ReLUs with a slope below zero: one for all (LeakyReLU), or learned ones (PReLU)."""

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.compression.folded import Rounding, rounding_of
from tfkit.compression.kinds.activations import split_named
from tfkit.compression.kinds.kind import Bits, Fault, Kind, Splitting, named
from tfkit.compression.operators import affine, numbers_of
from tfkit.graph import LayerCall, Node, activation_name
from tfkit.keras_types import Tensor
from tfkit.layers import FakeQuantize

if TYPE_CHECKING:
    from tfkit.compression.folded import Folding
    from tfkit.compression.neighbours import Neighbours

# Slopes that differ from place to place are weights of a depthwise convolution with a channel for each.
_MOST_SLOPES = 65_536
_DEFAULT_SLOPE = 0.2  # of Keras's activation of that name
_SLOPED = keras.layers.LeakyReLU | keras.layers.ReLU


def negative_slope_of(layer: keras.Layer) -> float | None:
    """The slope below zero of a leaky ReLU that is the larger of a number and its share; None for any other layer.

    Example:
        >>> round(negative_slope_of(keras.layers.LeakyReLU(0.1)), 3)
        0.1
    """
    if isinstance(layer, _SLOPED):
        whole = not getattr(layer, "threshold", 0) and getattr(layer, "max_value", None) is None
        return float(layer.negative_slope) if whole and 0 < layer.negative_slope < 1 else None
    is_leaky = isinstance(layer, keras.layers.Activation) and activation_name(layer) == "leaky_relu"
    return _DEFAULT_SLOPE if is_leaky else None


def leaky_relu(layer: keras.Layer, tensor: Tensor, *, moved: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """A leaky ReLU as the larger of a tensor and a share of it.

    Args:
        layer: The layer.
        tensor: What it takes.
        moved: The same on the grid of the output, where it lies on another.

    Returns:
        The output, and the share, which goes into it on its grid.
    """
    share = keras.ops.multiply(tensor, negative_slope_of(layer))
    return keras.ops.maximum(tensor if moved is None else moved, share), share


def _fold_leaky(folding: "Folding", call: LayerCall) -> Tensor:
    layer, tensor = call.node.operation, call.args[0]
    outputs, share = leaky_relu(layer, tensor, moved=folding.on_one_grid(call.node, [tensor])[0])
    folding.joined.append((outputs, (share,)))
    return outputs


def _split_leaky_operation(splitting: Splitting, call: LayerCall) -> Tensor:
    slope = call.node.operation.get_config()["negative_slope"]
    return keras.layers.LeakyReLU(slope, name=call.node.name)(call.args[0])


def _many_slopes(neighbours: "Neighbours", node: Node, bits: Bits) -> Fault | None:
    size = math.prod(node.operation.alpha.shape)
    if size <= _MOST_SLOPES:
        return None
    return Fault(
        f"it has {size:,} slopes of its own, more than {_MOST_SLOPES:,}: share them over places, shared_axes=[1, 2]"
    )


def _fold_prelu(folding: "Folding", call: LayerCall) -> Tensor:
    node, tensor = call.node, call.args[0]
    follower, own = folding.taker(node.output), folding.range_of(tensor)
    above = folding.moved(tensor, name=f"{node.name}_above", activation="relu")
    turned = folding.told_apart(tensor, np.full(1, -1.0))
    outputs, below, share = _prelu(node.operation, tensor, moved=above, turned=turned, name=node.name)
    if own is not None:
        step = (own.maximum - own.minimum) / (2**own.bits - 1)
        whole = own.maximum if own.bits == 16 else step * (2**own.bits - 1)
        folding.with_range(below, Rounding(f"{node.name}_below", 0.0, whole, own.bits))
    if follower is not None and isinstance(follower.operation, FakeQuantize):
        target = rounding_of(follower.operation)
        for made, name in ((above, "above"), (share, "share")):
            folding.with_range(made, replace(target, name=f"{node.name}_{name}"))
    return outputs


def _prelu(
    layer: keras.Layer, tensor: Tensor, *, moved: Tensor, turned: NDArray[np.float64], name: str
) -> tuple[Tensor, Tensor, Tensor]:
    """A PReLU as what is above zero and the share of what is below: one of them is zero everywhere.

    Args:
        layer: The layer.
        tensor: What it takes, (n, ...).
        moved: What is above zero, on the grid of the output.
        turned: What turns its sign: -1, told apart from others.
        name: For its layers.

    Returns:
        The output; what is below zero, its sign turned, which lies on the input's steps; and its share, which goes
        into the output on its grid.
    """
    below = affine(tensor, turned, np.zeros(1), name=f"{name}_below", activation="relu")
    slopes = numbers_of(layer.alpha)
    shape = tuple(int(size) for size in tensor.shape[1:])
    if all(size == 1 for size in slopes.shape[:-1]):
        share = affine(below, -slopes.ravel(), np.zeros(1), name=name)
        return keras.ops.add(moved, share), below, share
    flat = keras.ops.reshape(below, (-1, 1, 1, math.prod(shape)))
    share = affine(flat, -np.broadcast_to(slopes, shape).ravel(), np.zeros(1), name=name)
    return keras.ops.add(moved, keras.ops.reshape(share, (-1, *shape))), below, share


LEAKY_RELU = Kind(
    covers=lambda node: negative_slope_of(node.operation) is not None,
    treatment="compute",
    split=split_named,
    fold=_fold_leaky,
)
LEAKY_OPERATION = Kind(covers=named("LeakyRelu"), split=_split_leaky_operation)
PRELU = Kind(covers=named("PReLU"), treatment="compute", fault=_many_slopes, fold=_fold_prelu)
KINDS = (LEAKY_RELU, LEAKY_OPERATION, PRELU)
