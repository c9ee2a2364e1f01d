"""What each layer of a model costs, for any choice of channels."""

import math
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

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


_OPERATOR_KINDS: dict[str, CostKind] = {
    **dict.fromkeys(("CONV_2D", "CONV_3D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "BATCH_MATMUL"), "matrix"),
    "DEPTHWISE_CONV_2D": "depthwise",
}
# In an int8 file each output channel has an int32 bias, and the kernel and the bias both have a float32 scale and an
# int64 zero point for it. Measured: 27 to 29.
_INT8_CHANNEL_BYTES = 28


class MeasuredOperator(Protocol):
    """The time of one operator of a `.tflite` file; `benchmarking.OperatorTime` is one."""

    @property
    def name(self) -> str:
        """The operator (`CONV_2D`)."""

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of what it gives, the batch first."""

    @property
    def milliseconds(self) -> float:
        """Its time in one run."""


class MeasuredProfile(Protocol):
    """The times of a file's operators; `benchmarking.OpProfile` is one."""

    @property
    def operators(self) -> Sequence[MeasuredOperator]:
        """Its operators, in running order."""

    @property
    def beside_ms(self) -> float:
        """What a run takes beside them."""


def predict_latency(profile: MeasuredProfile, *, before: Sequence[LayerCost], after: Sequence[LayerCost]) -> float:
    """Predict the latency of a pruned model on the machine where the whole one was profiled.

    Each convolution's time is scaled by its multiply-adds, and that of every other operator by the size of what it
    gives. What a run takes beside its operators stays. Operators are found in the model by kind and output shape,
    in running order: names do not survive conversion.

    Args:
        profile: The operator times of the whole model's file, in the format the pruned one will have.
        before: `ChannelPlan.costs_before`.
        after: `ChannelPlan.costs_after`.

    Returns:
        Milliseconds of one run. On two x86 cores, int8 files of MobileNetV2, MobileNetV3Small, EfficientNetB0,
        ResNet50 and DenseNet121 with a quarter to three quarters of their channels took what was predicted within
        25 %, runs that other processes held up left out. Where a run takes some 30 microseconds, as ResNet-8's at
        32 pixels, the prediction was up to 27 % too long.

    Example:
        >>> profile = profile_operators(Path("model_int8.tflite"))  # doctest: +SKIP
        >>> predict_latency(profile, before=plan.costs_before, after=plan.costs_after)  # doctest: +SKIP
    """
    places: dict[tuple[CostKind, tuple[int, ...]], deque[int]] = defaultdict(deque)
    written: dict[tuple[int, ...], list[int]] = defaultdict(lambda: [0, 0])
    for place, (old, new) in enumerate(zip(before, after, strict=True)):
        shape = _sizes(old.output_shape)
        places[old.kind, shape].append(place)
        written[shape][0] += math.prod(old.output_shape)
        written[shape][1] += math.prod(new.output_shape)
    predicted = profile.beside_ms
    for operator in profile.operators:
        shape = _sizes(operator.output_shape)
        waiting = places[_OPERATOR_KINDS[operator.name], shape] if operator.name in _OPERATOR_KINDS else None
        if waiting:
            place = waiting.popleft()
            share = after[place].multiply_adds / before[place].multiply_adds
        else:
            whole, left = written.get(shape, (1, 1))
            share = left / whole
        predicted += operator.milliseconds * share
    return predicted


def predict_bytes(
    file_bytes: int, *, before: Sequence[LayerCost], after: Sequence[LayerCost], weight_bytes: int = 1
) -> int:
    """Predict the size of a pruned model's `.tflite` file.

    Args:
        file_bytes: The size of the whole model's file.
        before: `ChannelPlan.costs_before`.
        after: `ChannelPlan.costs_after`.
        weight_bytes: Bytes of a weight: 1 for int8, 2 for float16, 4 for float32.

    Returns:
        Bytes.

    Example:
        >>> plan = plan_channel_pruning(model, criterion="weight_norm", keep=0.5, widths=WidthRule(4, min_width=4))
        >>> predict_bytes(20_496, before=plan.costs_before, after=plan.costs_after) < 20_496
        True
    """
    channel_bytes = _INT8_CHANNEL_BYTES if weight_bytes == 1 else weight_bytes
    saved = 0
    for old, new in zip(before, after, strict=True):
        if old.kind != "other":
            saved += (old.parameters - new.parameters) * weight_bytes
            saved += (old.output_shape[-1] - new.output_shape[-1]) * channel_bytes
    return file_bytes - saved


def _sizes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without its ones: the converter adds and drops the batch and the height of one-dimensional layers."""
    return tuple(size for size in shape if size != 1)
