"""What each layer of a model costs, for any choice of channels."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tfkit.compression.channels.tracing import ChannelTrace
from tfkit.errors import ModelError
from tfkit.graph import Node

CostKind = Literal["matrix", "depthwise", "other"]


@dataclass(frozen=True)
class LayerCost:
    """The cost of one layer for one image.

    Attributes:
        layer: The layer's name.
        kind: `matrix` (a convolution or a dense layer), `depthwise`, or `other`.
        output_shape: The shape of what it gives, without the batch.
        parameters: Its weights; 0 at the second call of a shared layer.
        multiply_adds: Multiplications with a kernel's weights.
        activations: Elements that it reads and writes, its weights apart.
    """

    layer: str
    kind: CostKind
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    activations: int


def layer_costs(trace: ChannelTrace, kept: NDArray[np.bool_]) -> tuple[LayerCost, ...]:
    """Count what each layer costs when some channels are gone.

    Args:
        trace: What `trace_channels` gave.
        kept: For each class of channels whether it stays.

    Returns:
        One entry per call, in running order, two for a separable convolution.

    Raises:
        ModelError: When the model's images have no fixed size.
    """
    return _Counter(trace, kept).count()


class _Counter:
    def __init__(self, trace: ChannelTrace, kept: NDArray[np.bool_]) -> None:
        self._trace = trace
        self._stays = kept[trace.labels]
        self._widths = {key: int(self._stays[atoms].sum()) for key, atoms in trace.layouts.items()}
        self._counted: set[int] = set()

    def count(self) -> tuple[LayerCost, ...]:
        return tuple(cost for node in self._trace.graph.nodes if node.outputs for cost in self._node(node))

    def _node(self, node: Node) -> list[LayerCost]:
        shape = self._shape(node, "output")
        moved = sum(math.prod(self._shape(node, number)) for number in range(len(node.inputs))) + math.prod(shape)
        sizes = self._weight_sizes(node)
        parameters = 0 if id(node.operation) in self._counted else sum(sizes.values()) - sizes.get("mask", 0)
        self._counted.add(id(node.operation))
        if "pointwise_kernel" in sizes:
            return self._separable(node, sizes, shape)
        if "kernel" not in sizes or node.kind == "EinsumDense":
            return [LayerCost(node.name, "other", shape, parameters, 0, moved)]
        positions = math.prod((self._shape(node, 0) if "Transpose" in node.kind else shape)[:-1])
        one_by_one = "Depthwise" in node.kind or getattr(node.operation, "groups", 1) > 1
        kind: CostKind = "depthwise" if one_by_one else "matrix"
        return [LayerCost(node.name, kind, shape, parameters, sizes["kernel"] * positions, moved)]

    def _separable(self, node: Node, sizes: dict[str, int], shape: tuple[int, ...]) -> list[LayerCost]:
        before, positions = self._shape(node, 0), math.prod(shape[:-1])
        axis = next(axis for axis in self._trace.axes[id(node.operation)] if axis.role == "takes")
        middle = (*shape[:-1], int(self._stays[axis.atoms].sum()))
        deep, flat = sizes["depthwise_kernel"], sizes["pointwise_kernel"]
        rest = sum(sizes.values()) - deep
        moved_deep, moved_flat = math.prod(before) + math.prod(middle), math.prod(middle) + math.prod(shape)
        return [
            LayerCost(node.name, "depthwise", middle, deep, deep * positions, moved_deep),
            LayerCost(node.name, "matrix", shape, rest, flat * positions, moved_flat),
        ]

    def _shape(self, node: Node, which: int | Literal["output"]) -> tuple[int, ...]:
        value = node.output if which == "output" else node.inputs[which]
        middle = value.shape[1:-1]
        if None in middle:
            raise ModelError(
                f"the size of '{node.name}' is open: {value.shape}",
                hint="build the model with a fixed image size, such as keras.Input((224, 224, 3))",
            )
        width = self._widths.get(id(value), 0)
        return (*(int(size or 1) for size in middle), *((width,) if len(value.shape) > 1 else ()))

    def _weight_sizes(self, node: Node) -> dict[str, int]:
        """The number of elements of each weight that stay."""
        sizes: dict[str, int] = {}
        axes = self._trace.axes.get(id(node.operation), [])
        for weight in getattr(node.operation, "weights", []):
            shape = list(weight.shape)
            for axis in axes:
                if axis.weight == weight.name:
                    shape[axis.axis] = int(self._stays[axis.atoms].sum())
            sizes[weight.name] = sizes.get(weight.name, 0) + math.prod(shape)
        return sizes
