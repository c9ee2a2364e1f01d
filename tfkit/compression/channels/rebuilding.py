"""Build the smaller model that a plan describes."""

from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.compression.channels.planning import ChannelPlan, kept_classes
from tfkit.compression.channels.rules import trace_channels
from tfkit.compression.channels.tracing import ChannelTrace
from tfkit.compression.channels.widths import find_groups
from tfkit.compression.distillation import FeaturePair
from tfkit.errors import ModelError
from tfkit.graph import LayerGraph, Node, build_model, copy_layer, give_weights, read_graph, refuse_difference
from tfkit.graph.building import Copy
from tfkit.keras_types import Inputs, Tensor

_OVER_CHANNELS = ("LayerNormalization", "RMSNormalization")


def prune_channels(model: keras.Model, plan: ChannelPlan, inputs: Inputs | None = None) -> keras.Model:
    """Build the model without the channels that a plan removes.

    Where every activation gives 0 for 0, the outputs are those of the original with the removed channels' weights
    set to 0. A LayerNorm sees fewer channels and differs a little. Fine-tune afterwards: accuracy right after the
    cut says little.

    Args:
        model: The model that was planned for. It is not changed.
        plan: What `plan_channel_pruning` gave.
        inputs: A few real inputs that the two are compared on, the removed channels of the original at zero; see
            `tfkit.graph.refuse_difference`.

    Returns:
        A new flat functional model of the same plain layers, narrower, with their names and the weights that stay;
        equal to the bit when the plan keeps everything. It is not compiled.

    Raises:
        ModelError: When the plan is for another model, or a narrower layer does not compute what the model's does.

    Example:
        >>> plan = plan_channel_pruning(model, criterion="weight_norm", keep=0.5, widths=WidthRule(4, min_width=4))
        >>> prune_channels(model, plan).count_params() == plan.parameters_after
        True
    """
    graph, cutter = _cutter(model, plan)
    pruned = build_model(graph, cutter.call)
    cutter.hand_over_weights()
    stay = {node.name: cutter.stays(node) for node in graph.nodes if cutter.cuts(node)}
    # A mean over channels is another one over fewer.
    others = {node.name for node in graph.nodes if node.name in stay and node.kind in _OVER_CHANNELS}
    skip = others.__contains__
    refuse_difference(model, pruned, inputs, what="narrower copy", kept=stay.get, skip=skip)
    return pruned


def channels_of_layers(model: keras.Model, plan: ChannelPlan) -> dict[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Which channels of each kernel stay.

    Args:
        model: The model that was planned for.
        plan: What `plan_channel_pruning` gave.

    Returns:
        For the name of each layer whose kernel takes channels and makes channels: bool (inputs,) and (outputs,).

    Raises:
        ModelError: When the plan is for another model.
    """
    return _cutter(model, plan)[1].channels()


def channels_of_maps(model: keras.Model, plan: ChannelPlan) -> dict[str, NDArray[np.bool_]]:
    """Which channels of each feature map stay.

    Args:
        model: The model that was planned for.
        plan: What `plan_channel_pruning` gave.

    Returns:
        For the name of each node of the model's graph that gives maps (n, ..., channels) with some channel left: bool
        (channels,). Pixels and what scales them are left out.

    Raises:
        ModelError: When the plan is for another model.
    """
    graph, cutter = _cutter(model, plan)
    return {node.name: cutter.stays(node) for node in graph.nodes if len(node.output.shape) > 2 and cutter.made(node)}


def _cutter(model: keras.Model, plan: ChannelPlan) -> tuple[LayerGraph, "_Cutter"]:
    graph = read_graph(model)
    trace = trace_channels(graph)
    groups = find_groups(trace)
    planned = {group.name: group for group in plan.groups}
    for group in groups:
        if group.name not in planned or planned[group.name].width != group.width:
            raise ModelError(
                f"the plan is not for model '{model.name}': it has no group '{group.name}' of {group.width} channels",
                hint="plan again with plan_channel_pruning(model, ...)",
            )
    kept = {name: np.array(group.kept, np.int64) for name, group in planned.items()}
    return graph, _Cutter(trace, kept_classes(trace, groups, kept))


class _Cutter:
    """Replaces each layer that has channels by a narrower copy."""

    def __init__(self, trace: ChannelTrace, stays: NDArray[np.bool_]) -> None:
        self._trace = trace
        self._stays = stays[trace.labels]
        self._made: dict[int, tuple[keras.Layer, keras.Layer]] = {}

    def call(
        self, node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]
    ) -> Tensor | Sequence[Tensor]:
        cut = id(node.operation) in self._trace.axes or node.name in self._trace.reshaped
        return (self._narrow(node) if cut else copy())(*args, **kwargs)

    def hand_over_weights(self) -> None:
        """Give the copies the weights that stay; they are built once the model is."""
        for original, narrow in self._made.values():
            axes = self._trace.axes.get(id(original), [])
            values = []
            for weight in original.weights:
                value = keras.ops.convert_to_numpy(weight)
                for axis in axes:
                    if axis.weight == weight.name:
                        value = np.compress(self._stays[axis.atoms], value, axis=axis.axis)
                values.append(value)
            give_weights(narrow, values)

    def stays(self, node: Node) -> NDArray[np.bool_]:
        """Which channels of a node's output stay."""
        return self._stays[self._trace.layouts[id(node.output)]]

    def cuts(self, node: Node) -> bool:
        """Whether some channels of a node's output go."""
        return id(node.output) in self._trace.layouts and not self.stays(node).all()

    def made(self, node: Node) -> bool:
        """Whether a node's output is made of channels that a kernel makes."""
        layout = self._trace.layouts.get(id(node.output))
        pinned = self._trace.pinned
        return layout is not None and not any(
            pinned.get(label) == "model input" for label in self._trace.labels[layout].tolist()
        )

    def channels(self) -> dict[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
        """For each layer with a kernel that takes and makes channels: which of them stay."""
        found = {}
        for key, axes in self._trace.axes.items():
            roles = {axis.role: self._stays[axis.atoms] for axis in axes if axis.weight == "kernel"}
            if "takes" in roles and "makes" in roles:
                found[self._trace.owners[key][0]] = (roles["takes"], roles["makes"])
        return found

    def _narrow(self, node: Node) -> keras.Layer:
        key = id(node.operation)
        if key not in self._made:
            changes = {}
            layout = self._trace.layouts[id(node.output)]
            if node.name in self._trace.reshaped and not self._stays[layout].all():
                changes = self._trace.reshaped[node.name](int(self._stays[layout].sum()))
            self._made[key] = (node.operation, copy_layer(node.operation, name=node.name, kind=None, **changes))
        return self._made[key][1]


_MERGES = ("Add", "Concatenate")


def kept_feature_maps(model: keras.Model, plan: ChannelPlan, *, weight: float = 1.0) -> tuple[FeaturePair, ...]:
    """Pair maps of the pruned network with the same maps of the whole one, channel by channel.

    Of each size of map the last sum or concatenation is taken, else the last layer; and the last layer of all. A
    channel that stayed is compared with itself, so that no projection has to be learned; on few images that
    taught more than the answers alone (hints: Romero et al. 2015, https://arxiv.org/abs/1412.6550).

    Args:
        model: The whole model, which will teach.
        plan: What was removed from it.
        weight: What each of them counts in the loss.

    Returns:
        What `distiller` takes as `features`; empty for a model without feature maps.
    """
    kept = channels_of_maps(model, plan)
    by_size: dict[tuple[int | None, ...], Node] = {}
    last: Node | None = None
    for node in read_graph(model).nodes:
        if node.name not in kept:
            continue
        size = tuple(node.output.shape[1:-1])
        if node.kind in _MERGES or size not in by_size or by_size[size].kind not in _MERGES:
            by_size[size] = node
        last = node
    nodes = {node.name: node for node in (*by_size.values(), last) if node is not None}
    return tuple(
        FeaturePair(student=name, teacher=name, weight=weight, channels=tuple(kept[name].nonzero()[0].tolist()))
        for name in nodes
    )
