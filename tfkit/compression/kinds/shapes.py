"""Layers that move values without computing: shapes, padding, cropping, patches, several tensors joined."""

import math
from typing import TYPE_CHECKING, cast

import keras
import numpy as np

from tfkit.compression.kinds.counting import Sums
from tfkit.compression.kinds.kind import Bits, Fault, Kind, Splitting, handed_on, named
from tfkit.graph import LayerCall, Node, reshapes_examples
from tfkit.keras_types import Tensor
from tfkit.layers import FakeQuantize

if TYPE_CHECKING:
    from tfkit.compression.folded import Folding
    from tfkit.compression.neighbours import Neighbours, Summing

_MAPS = 4


def _split_reshape(splitting: Splitting, call: LayerCall) -> Tensor | None:
    if not reshapes_examples(call.node):
        return None
    return keras.layers.Reshape(call.node.operation.newshape[1:], name=call.node.name)(call.args[0])


def _split_patches(splitting: Splitting, call: LayerCall) -> Tensor | None:
    """The patches of an image, each as one row of numbers, by moving them alone; None where they overlap."""
    node, cut, shape = call.node, call.node.operation, call.node.inputs[0].shape
    size = (cut.size, cut.size) if isinstance(cut.size, int) else tuple(cut.size)
    strides = (cut.strides, cut.strides) if isinstance(cut.strides, int) else cut.strides
    apart = strides is None or tuple(strides) == size
    if not apart or cut.dilation_rate not in (1, (1, 1)) or len(size) != 2 or len(shape) != _MAPS or None in shape[1:]:
        return None
    if cut.data_format == "channels_first" or any(whole % part for whole, part in zip(shape[1:3], size, strict=True)):
        return None
    rows, columns, channels = shape[1] // size[0], shape[2] // size[1], shape[3]
    parts = keras.layers.Reshape((rows, size[0], columns, size[1] * channels), name=f"{node.name}_parts")(call.args[0])
    parts = keras.layers.Permute((1, 3, 2, 4), name=f"{node.name}_together")(parts)
    return keras.layers.Reshape((rows, columns, math.prod(size) * channels), name=node.name)(parts)


def _padding_value(node: Node) -> float:
    """The constant that `keras.ops.pad` was called with."""
    given = node.kwargs.get("constant_values", node.args[1] if len(node.args) > 1 else None)
    return float(cast("float | None", given) or 0.0)


def _padding_fault(neighbours: "Neighbours", node: Node, bits: Bits) -> Fault | None:
    if node.operation.mode == "constant" and _padding_value(node) in (0.0, -math.inf):
        return None
    return Fault("it pads with other values than zeros, or minus infinity before a maximum")


def _fold_padding(folding: "Folding", call: LayerCall) -> Tensor:
    rounding = folding.range_of(call.args[0])
    if not _padding_value(call.node) or rounding is None:
        return handed_on(folding, call)
    # An integer has no infinity; the maximum is the same.
    return folding.hand_on(call, call.copy()(call.args[0], constant_values=rounding.minimum))


def _fold_joined(folding: "Folding", call: LayerCall) -> Tensor:
    tensors = folding.on_one_grid(call.node, call.args[0])
    outputs = call.copy()(tensors, *call.args[1:], **call.kwargs)
    folding.joined.append((outputs, tuple(tensors)))
    return outputs


def _joined_sums(summing: "Summing", node: Node, quantizer: FakeQuantize) -> Sums | None:
    """Of tensors joined channel by channel: one on a grid of its own is brought to the common one by weights of one."""
    if node.operation.axis not in (-1, len(node.output.shape) - 1):
        return None
    parts = [
        np.broadcast_to(summing.counted(value, quantizer), int(value.shape[-1] or 0)).astype(np.float32)
        for value in node.inputs
    ]
    return Sums(np.concatenate(parts))


RESHAPE = Kind(covers=named("Reshape"), treatment="same", split=_split_reshape, fold=handed_on)
MOVED = Kind(
    covers=named(
        "Flatten",
        "Permute",
        "ZeroPadding1D",
        "ZeroPadding2D",
        "Cropping1D",
        "Cropping2D",
        "Transpose",
        "Squeeze",
        "ExpandDims",
    ),
    treatment="same",
    fold=handed_on,
)
PADDING = Kind(covers=named("Pad"), treatment="same", fault=_padding_fault, fold=_fold_padding)
PATCHES = Kind(covers=named("ExtractPatches"), split=_split_patches)
CONCATENATION = Kind(covers=named("Concatenate"), treatment="joined", sums=_joined_sums, fold=_fold_joined)
KINDS = (RESHAPE, MOVED, PADDING, PATCHES, CONCATENATION)
