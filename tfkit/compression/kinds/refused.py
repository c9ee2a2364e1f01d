"""Layers that cannot be quantised whatever is around them: loops, and code that cannot be copied."""

from typing import TYPE_CHECKING

import keras

from tfkit.compression.kinds.kind import REWRITE, WEIGHTS_ALONE, Bits, Fault, Kind
from tfkit.graph import Node

if TYPE_CHECKING:
    from tfkit.compression.neighbours import Neighbours


def _step_fault(neighbours: "Neighbours", node: Node, bits: Bits) -> Fault | None:
    if bits.activations == 32:
        return None
    reason = f"a {node.kind} goes step by step: it has no integer kernel, and float steps fit in no integer file"
    return Fault(reason, WEIGHTS_ALONE, in_float=True)


def _code_fault(neighbours: "Neighbours", node: Node, bits: Bits) -> Fault:
    return Fault("a Lambda's Python code can neither be copied nor loaded safely", REWRITE, in_float=True)


RECURRENT = Kind(
    covers=lambda node: isinstance(node.operation, keras.layers.RNN | keras.layers.Bidirectional), fault=_step_fault
)
LAMBDA = Kind(covers=lambda node: isinstance(node.operation, keras.layers.Lambda), fault=_code_fault)
KINDS = (RECURRENT, LAMBDA)
