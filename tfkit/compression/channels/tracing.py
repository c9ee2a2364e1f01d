"""Which channels of a model's tensors and weights belong together, because they can only be removed together."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.graph import LayerGraph, Node, Value
from tfkit.keras_types import LayerConfig

Atoms = NDArray[np.int64]
Role = Literal["makes", "takes", "scales"]


class UnknownMixingError(Exception):
    """A rule cannot tell how a node's channels belong together; its text says why."""


@dataclass(frozen=True)
class WeightAxis:
    """What the positions along one axis of a weight stand for.

    Attributes:
        weight: The weight's name in its layer (`kernel`).
        axis: The axis, counted from the end.
        atoms: One number per position; equal classes of numbers are removed together.
        role: `makes` channels (a kernel's outputs), `takes` them (its inputs), or `scales` them (one value each).
    """

    weight: str
    axis: int
    atoms: Atoms
    role: Role


@dataclass(eq=False)
class ChannelTrace:
    """The channels of a graph.

    Attributes:
        graph: The graph.
        layouts: For each tensor, by its identity, the atom of each position of its last axis.
        axes: For each layer with weights that tfkit knows, by its identity, the axes of its weights.
        owners: The layer of each entry of `axes`, with the name of the first node that calls it.
        reshaped: Nodes whose configuration holds a width, with the configuration's changes for a width.
        labels: For each atom the number of its class: what is removed together.
        pinned: For each class that must stay whole, why.
    """

    graph: LayerGraph
    layouts: dict[int, Atoms] = field(default_factory=dict)
    axes: dict[int, list[WeightAxis]] = field(default_factory=dict)
    owners: dict[int, tuple[str, keras.Layer]] = field(default_factory=dict)
    reshaped: dict[str, Callable[[int], LayerConfig]] = field(default_factory=dict)
    labels: Atoms = field(default_factory=lambda: np.zeros(0, np.int64))
    pinned: dict[int, str] = field(default_factory=dict)

    def classes(self, value: Value) -> Atoms:
        """The class of each position of a tensor's last axis."""
        return self.labels[self.layouts[id(value)]]


class Tracer:
    """Follows channels through a graph, node after node; a rule per kind of layer calls its methods.

    Args:
        graph: The graph.
        rules: For each kind of node, what tells the layout of its output.
    """

    def __init__(self, graph: LayerGraph, rules: dict[str, Callable[["Tracer", Node], Atoms]]) -> None:
        self._graph, self._rules = graph, rules
        self._trace = ChannelTrace(graph)
        self._atoms = 0
        self._ties: list[tuple[Atoms, Atoms]] = []
        self._pins: list[tuple[Atoms, str]] = []

    def trace(self) -> ChannelTrace:
        """Follow all channels from the inputs to the outputs."""
        for value in self._graph.inputs:
            self._trace.layouts[id(value)] = self.fresh(_width(value))
            self.pin(self.layout(value), "model input")
        for node in self._graph.nodes:
            self._follow(node)
        # The plainest reason is the one that is told.
        self._pins[:0] = [(self.layout(value), "model output") for value in self._graph.outputs]
        self._trace.labels = _connected(self._atoms, self._ties)
        for atoms, reason in self._pins:
            for label in np.unique(self._trace.labels[atoms]).tolist():
                self._trace.pinned.setdefault(label, reason)
        return self._trace

    def layout(self, value: Value) -> Atoms:
        """The atoms of a tensor's last axis."""
        return self._trace.layouts[id(value)]

    def fresh(self, width: int) -> Atoms:
        """New atoms, tied to nothing yet."""
        self._atoms += width
        return np.arange(self._atoms - width, self._atoms)

    def tie(self, left: Atoms, right: Atoms) -> None:
        """Say that two tensors' channels can only be removed together, position by position."""
        self._ties.append((left, right))

    def pin(self, atoms: Atoms, reason: str) -> None:
        """Say that channels must stay."""
        self._pins.append((atoms, reason))

    def made_by(self, node: Node, weight: str, width: int) -> Atoms:
        """The atoms that a layer's kernel makes: the same ones at each call of a shared layer."""
        for axis in self._trace.axes.get(id(node.operation), []):
            if (axis.weight, axis.role) == (weight, "makes"):
                return axis.atoms
        return self.fresh(width)

    def weight(self, node: Node, weight: str, axis: int, atoms: Atoms, role: Role) -> None:
        """Say what the positions along a weight's axis stand for."""
        known = self._trace.axes.setdefault(id(node.operation), [])
        self._trace.owners.setdefault(id(node.operation), (node.name, node.operation))
        for earlier in known:
            if (earlier.weight, earlier.axis) == (weight, axis):
                self.tie(earlier.atoms, atoms)
                return
        known.append(WeightAxis(weight, axis, atoms, role))

    def reshapes(self, node: Node, changes: Callable[[int], LayerConfig]) -> None:
        """Say how a layer's configuration follows the width of its output."""
        self._trace.reshaped[node.name] = changes

    def _follow(self, node: Node) -> None:
        try:
            rule = self._rules.get(node.kind)
            if rule is None or len(node.outputs) != 1:
                raise UnknownMixingError(f"{node.kind} is not known")
            if getattr(node.operation, "data_format", "channels_last") not in ("channels_last", None):
                raise UnknownMixingError("its channels come first")
            layout = rule(self, node)
            self._check_weights(node)
            if len(layout) != _width(node.output):
                raise UnknownMixingError(f"{node.kind} changes the channels in a way that is not known")
            self._trace.layouts[id(node.output)] = layout
        except UnknownMixingError as fault:
            self._give_up(node, f"{node.name}: {fault}")

    def _check_weights(self, node: Node) -> None:
        known = {axis.weight for axis in self._trace.axes.get(id(node.operation), [])}
        held = getattr(node.operation, "weights", [])
        # A single value, such as the range of a fake quantiser, is no matter of channels.
        strange = [weight.name for weight in held if weight.name not in known and math.prod(weight.shape) > 1]
        if strange:
            raise UnknownMixingError(f"{node.kind} has weights that are not known: {', '.join(strange)}")

    def _give_up(self, node: Node, reason: str) -> None:
        for axis in self._trace.axes.get(id(node.operation), []):
            self.pin(axis.atoms, reason)
        for value in node.inputs:
            self.pin(self.layout(value), reason)
        for value in node.outputs:
            self._trace.layouts[id(value)] = self.fresh(_width(value))
            self.pin(self.layout(value), reason)


def _width(value: Value) -> int:
    return int(value.shape[-1] or 0) if len(value.shape) > 1 else 0


def _connected(number: int, ties: list[tuple[Atoms, Atoms]]) -> Atoms:
    """Label atoms so that tied ones have one label: union-find, a whole tensor at a time."""
    labels = np.arange(number)
    if not ties:
        return labels
    left = np.concatenate([tie[0] for tie in ties])
    right = np.concatenate([tie[1] for tie in ties])
    while (labels[left] != labels[right]).any():
        lowest = np.minimum(labels[left], labels[right])
        # The root of each side learns of the lower label; then all look their root up.
        np.minimum.at(labels, labels[left], lowest)
        np.minimum.at(labels, labels[right], lowest)
        while (labels[labels] != labels).any():
            labels = labels[labels]
    return labels
