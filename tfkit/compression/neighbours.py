"""What is around a layer in a graph, seen through the layers that an exported model has not."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tfkit.compression.kinds import kind_of, treatment_of
from tfkit.compression.kinds.counting import NARROW_BITS
from tfkit.compression.policy import Treatment
from tfkit.errors import ModelError
from tfkit.graph import LayerGraph, Node, Value
from tfkit.layers import FakeQuantize, PixelGrid


class Neighbours:
    """What goes into a layer, and who takes what it gives.

    Args:
        graph: The graph.
    """

    def __init__(self, graph: LayerGraph) -> None:
        self.graph = graph

    def taker(self, value: Value) -> Node | None:
        """The one layer that takes a tensor; None when several do, or none."""
        taker = self.graph.only_consumer(value)
        while taker is not None and treatment_of(taker) == "absent":
            taker = self.graph.only_consumer(taker.output)
        return taker

    def takers(self, value: Value) -> Iterator[Node]:
        """All layers that take a tensor."""
        for taker in self.graph.consumers(value):
            if treatment_of(taker) == "absent":
                yield from self.takers(taker.output)
            else:
                yield taker

    def source(self, value: Value) -> Node | None:
        """The layer that made a tensor; None for a model input."""
        node = value.node
        while node is not None and treatment_of(node) == "absent":
            node = node.inputs[0].node
        return node

    def original(self, value: Value) -> Value:
        """A tensor as its layer or the model's input gave it."""
        while value.node is not None and treatment_of(value.node) == "absent":
            value = value.node.inputs[0]
        return value

    def folded_affine(self, node: Node) -> Node | None:
        """The scale and shift that go into a layer's kernel: a BatchNorm right behind it."""
        taker = self.taker(node.output)
        return taker if taker is not None and treatment_of(taker) == "affine" else None

    def treatment(self, node: Node) -> Treatment | None:
        """What a layer is to a quantised model."""
        return treatment_of(node)

    def channel_affine(self, node: Node) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scale and shift for each channel of a layer treated as `affine`."""
        given = kind_of(node).channel_affine
        if given is None:
            raise ModelError(
                f"layer '{node.name}' ({node.kind}) is treated as `affine`, and its kind does not tell its scale",
                hint="give its Kind a channel_affine",
            )
        return given(node)

    def move_shift(self, node: Node, by: NDArray[np.float64]) -> bool:
        """Add to that shift; False where there is none."""
        return kind_of(node).move_shift(node.operation, by)

    def is_leading_scaling(self, node: Node) -> bool:
        """Whether a layer only scales the model's input, through layers that do the same or nothing.

        True for the Rescaling, Normalization and ChannelOrder layers between the input and the first layer that learns.
        """
        if not kind_of(node).scales_pixels:
            return False
        value = node.inputs[0]
        if self.graph.only_consumer(value) is not node:
            return False  # what takes the raw pixels too cannot take them scaled
        while value.node is not None and _passes_pixels(value.node):
            taker, value = value.node, value.node.inputs[0]
            if self.graph.only_consumer(value) is not taker:
                return False
        return value.node is None or self.is_leading_scaling(value.node)

    def quantizer_of(self, value: Value) -> FakeQuantize | PixelGrid | None:
        """What rounded a tensor, looking through layers that hand it on; None where nothing did."""
        node = value.node
        while node is not None:
            if isinstance(node.operation, FakeQuantize | PixelGrid):
                return node.operation
            if treatment_of(node) not in ("same", "absent"):
                return None
            node = node.inputs[0].node
        return None

    def step_of(self, value: Value) -> float | None:
        """Width of a step of a tensor's grid, as the file holds it; None for a tensor on no grid."""
        quantizer = self.quantizer_of(value)
        return quantizer.step() if quantizer is not None else None

    def narrow_step_of(self, value: Value) -> float | None:
        """The same of a tensor of 8 bits; None for one of more."""
        quantizer = self.quantizer_of(value)
        wide = isinstance(quantizer, FakeQuantize) and quantizer.result_bits != NARROW_BITS
        return quantizer.step() if quantizer is not None and not wide else None


def _passes_pixels(node: Node) -> bool:
    """Whether a layer is nothing in the file, or the grid that quantisation-aware training puts on the raw pixels."""
    return treatment_of(node) == "absent" or isinstance(node.operation, PixelGrid)
