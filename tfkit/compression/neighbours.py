"""What is around a layer in a graph, seen through the layers that an exported model has not."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.compression.kinds.counting import NARROW_BITS
from tfkit.compression.policy import Treatment
from tfkit.errors import ModelError
from tfkit.graph import LayerGraph, Node, Value
from tfkit.layers import FakeQuantize, PixelGrid
from tfkit.layers.whole_numbers import step_width

ChannelAffine = Callable[[Node], tuple[NDArray[np.float64], NDArray[np.float64]]]
MoveShift = Callable[[keras.Layer, NDArray[np.float64]], bool]


class KindAround(Protocol):
    """What is asked of the kinds of the layers around: a part of `tfkit.compression.kinds.Kind`; see there."""

    @property
    def treatment(self) -> Treatment | None: ...
    @property
    def scales_pixels(self) -> bool: ...
    @property
    def runs_activation(self) -> bool: ...
    @property
    def channel_affine(self) -> ChannelAffine | None: ...
    @property
    def move_shift(self) -> MoveShift: ...
    @property
    def first_axes(self) -> tuple[int | None, ...]: ...


class Neighbours:
    """What goes into a layer, and who takes what it gives.

    Args:
        graph: The graph.
        kind_of: Gives each layer's kind: `tfkit.compression.kinds.kind_of`, which stands above this module.
    """

    def __init__(self, graph: LayerGraph, kind_of: Callable[[Node], KindAround]) -> None:
        self.graph, self.kind_of = graph, kind_of

    def taker(self, value: Value) -> Node | None:
        """The one layer that takes a tensor; None when several do, or none."""
        taker = self.graph.only_consumer(value)
        while taker is not None and self.treatment(taker) == "absent":
            taker = self.graph.only_consumer(taker.output)
        return taker

    def takers(self, value: Value) -> Iterator[Node]:
        """All layers that take a tensor."""
        for taker in self.graph.consumers(value):
            if self.treatment(taker) == "absent":
                yield from self.takers(taker.output)
            else:
                yield taker

    def source(self, value: Value) -> Node | None:
        """The layer that made a tensor; None for a model input."""
        node = value.node
        while node is not None and self.treatment(node) == "absent":
            node = node.inputs[0].node
        return node

    def original(self, value: Value) -> Value:
        """A tensor as its layer or the model's input gave it."""
        while value.node is not None and self.treatment(value.node) == "absent":
            value = value.node.inputs[0]
        return value

    def folded_affine(self, node: Node) -> Node | None:
        """The scale and shift that go into a layer's kernel: a BatchNorm right behind it."""
        taker = self.taker(node.output)
        return taker if taker is not None and self.treatment(taker) == "affine" else None

    def treatment(self, node: Node) -> Treatment | None:
        """What a layer is to a quantised model."""
        return self.kind_of(node).treatment

    def channel_affine(self, node: Node) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scale and shift for each channel of a layer treated as `affine`."""
        given = self.kind_of(node).channel_affine
        if given is None:
            raise ModelError(
                f"layer '{node.name}' ({node.kind}) is treated as `affine`, and its kind does not tell its scale",
                hint="give its Kind a channel_affine",
            )
        return given(node)

    def move_shift(self, node: Node, by: NDArray[np.float64]) -> bool:
        """Add to that shift; False where there is none."""
        return self.kind_of(node).move_shift(node.operation, by)

    def is_leading_scaling(self, node: Node) -> bool:
        """Whether a layer only scales the model's input, through layers that do the same or nothing.

        True for the Rescaling, Normalization and ChannelOrder layers between the input and the first layer that learns.
        """
        if not self.kind_of(node).scales_pixels:
            return False
        value = node.inputs[0]
        if self.graph.only_consumer(value) is not node:
            return False  # what takes the raw pixels too cannot take them scaled
        while value.node is not None and self._passes_pixels(value.node):
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
            if self.treatment(node) not in ("same", "absent"):
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

    def wide_step_of(self, value: Value) -> float | None:
        """The same of a tensor of 16 bits, also of one that came from a range for each channel; None for one of 8."""
        quantizer = self.quantizer_of(value)
        if not isinstance(quantizer, FakeQuantize) or quantizer.result_bits == NARROW_BITS:
            return None
        ends = quantizer.settled["range"] if quantizer.settled is not None else quantizer.real_range()
        return step_width(*ends, bits=quantizer.result_bits)

    def _passes_pixels(self, node: Node) -> bool:
        """Whether a layer is nothing in the file, or the grid that quantisation-aware training puts on raw pixels."""
        return self.treatment(node) == "absent" or isinstance(node.operation, PixelGrid)


class Summing(Neighbours, ABC):
    """What the operators of a settled model count in, and what is around them."""

    @abstractmethod
    def counted(self, value: Value, quantizer: FakeQuantize) -> NDArray[np.float32] | np.float32:
        """What a tensor counts in that is joined with others.

        Args:
            value: The tensor.
            quantizer: What rounds all of them.

        Returns:
            float32, for each channel or all; 0: not known.
        """

    def range_of_narrowed(self, value: Value) -> tuple[float, float] | None:
        """A tensor of 16 bits that some layers take in 8 is held on the range of the eight; None for others."""
        for taker in self.takers(value):
            if isinstance(taker.operation, FakeQuantize):
                return taker.operation.real_range()
        return None
