"""Concatenation: several tensors on one grid."""

from typing import TYPE_CHECKING

import numpy as np

from tfkit.compression.kinds.counting import Sums
from tfkit.compression.kinds.kind import Kind, named
from tfkit.graph import LayerCall, Node
from tfkit.keras_types import Tensor
from tfkit.layers import FakeQuantize

if TYPE_CHECKING:
    from tfkit.compression.folded import Folding
    from tfkit.compression.neighbours import Summing


def _fold(folding: "Folding", call: LayerCall) -> Tensor:
    tensors = folding.on_one_grid(call.node, call.args[0])
    outputs = call.copy()(tensors, *call.args[1:], **call.kwargs)
    folding.joined.append((outputs, tuple(tensors)))
    return outputs


def _sums(summing: "Summing", node: Node, quantizer: FakeQuantize) -> Sums | None:
    """Of tensors joined channel by channel: one on a grid of its own is brought to the common one by weights of one."""
    if node.operation.axis not in (-1, len(node.output.shape) - 1):
        return None
    parts = [
        np.broadcast_to(summing.counted(value, quantizer), int(value.shape[-1] or 0)).astype(np.float32)
        for value in node.inputs
    ]
    return Sums(np.concatenate(parts))


CONCATENATION = Kind(covers=named("Concatenate"), treatment="joined", sums=_sums, fold=_fold)
KINDS = (CONCATENATION,)
