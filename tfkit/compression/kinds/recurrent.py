"""Layers that go along a sequence step by step: a loop in the file, or as many operators as steps."""

from typing import TYPE_CHECKING

import keras

from tfkit.compression.kinds.kind import WEIGHTS_ALONE, Bits, Fault, Kind
from tfkit.graph import Node

if TYPE_CHECKING:
    from tfkit.compression.neighbours import Neighbours


def _fault(neighbours: "Neighbours", node: Node, bits: Bits) -> Fault | None:
    if bits.activations == 32:
        return None
    reason = f"a {node.kind} goes step by step: it has no integer kernel, and float steps fit in no integer file"
    return Fault(reason, WEIGHTS_ALONE, in_float=True)


RECURRENT = Kind(
    covers=lambda node: isinstance(node.operation, keras.layers.RNN | keras.layers.Bidirectional), fault=_fault
)
KINDS = (RECURRENT,)
