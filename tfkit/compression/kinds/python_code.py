"""Lambda layers: their code can neither be copied nor saved under safe mode, in float or not."""

from typing import TYPE_CHECKING

import keras

from tfkit.compression.kinds.kind import REWRITE, Bits, Fault, Kind
from tfkit.graph import Node

if TYPE_CHECKING:
    from tfkit.compression.neighbours import Neighbours


def _fault(neighbours: "Neighbours", node: Node, bits: Bits) -> Fault:
    return Fault("a Lambda's Python code can neither be copied nor loaded safely", REWRITE, in_float=True)


LAMBDA = Kind(covers=lambda node: isinstance(node.operation, keras.layers.Lambda), fault=_fault)
KINDS = (LAMBDA,)
