"""The grids that tensors of a quantisation-aware model lie on."""

from tfkit.compression.rules import treatment_of
from tfkit.graph import Value
from tfkit.layers import FakeQuantize, PixelGrid


def quantizer_of(value: Value) -> FakeQuantize | PixelGrid | None:
    """What rounded a tensor, looking through layers that hand it on; None where nothing did.

    Args:
        value: A tensor of a quantisation-aware model's graph.
    """
    node = value.node
    while node is not None:
        if isinstance(node.operation, FakeQuantize | PixelGrid):
            return node.operation
        if treatment_of(node) not in ("same", "absent"):
            return None
        node = node.inputs[0].node
    return None


def step_of(value: Value) -> float | None:
    """Width of a step of a tensor's grid, as the file holds it; None for a tensor on no grid."""
    quantizer = quantizer_of(value)
    return quantizer.step() if quantizer is not None else None
