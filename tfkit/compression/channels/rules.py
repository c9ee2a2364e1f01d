"""For each kind of layer, how the channels of its inputs, weights and output belong together."""

from collections.abc import Callable

import keras
import numpy as np

from tfkit.compression.channels.tracing import Atoms, ChannelTrace, Role, Tracer, UnknownMixingError
from tfkit.graph import LayerGraph, Node, Value

Rule = Callable[[Tracer, Node], Atoms]
_MIXING_ACTIVATIONS = ("softmax", "log_softmax", "sparsemax", "sparse_softmax")


def trace_channels(graph: LayerGraph) -> ChannelTrace:
    """Find which channels of a model belong together.

    Args:
        graph: What `read_graph` gave.

    Returns:
        The trace. Where a layer is not known, the channels around it are pinned, with the reason.
    """
    return Tracer(graph, _RULES).trace()


def _only(tracer: Tracer, node: Node) -> Atoms:
    if len(node.inputs) != 1:
        raise UnknownMixingError(f"{node.kind} takes {len(node.inputs)} tensors")
    return tracer.layout(node.inputs[0])


def _convolution(tracer: Tracer, node: Node, *, takes: int = -2, makes: int = -1) -> Atoms:
    layer, taken = node.operation, _only(tracer, node)
    groups = getattr(layer, "groups", 1)
    if groups == len(taken) == layer.filters > 1:
        _kernel(tracer, node, "kernel", {makes: taken})
        _bias(tracer, node, taken)
        tracer.reshapes(node, lambda width: {"filters": width, "groups": width})
        return taken
    if groups != 1:
        raise UnknownMixingError(f"it is a convolution in {groups} groups")
    made = tracer.made_by(node, "kernel", int(layer.kernel.shape[makes]))
    _kernel(tracer, node, "kernel", {makes: made, takes: taken})
    _bias(tracer, node, made)
    tracer.reshapes(node, lambda width: {"filters": width})
    return made


def _transposed(tracer: Tracer, node: Node) -> Atoms:
    return _convolution(tracer, node, takes=-1, makes=-2)


def _dense(tracer: Tracer, node: Node) -> Atoms:
    layer, taken = node.operation, _only(tracer, node)
    made = tracer.made_by(node, "kernel", int(layer.kernel.shape[-1]))
    _kernel(tracer, node, "kernel", {-1: made, -2: taken})
    _bias(tracer, node, made)
    tracer.reshapes(node, lambda width: {"units": width})
    return made


def _depthwise(tracer: Tracer, node: Node) -> Atoms:
    taken = _only(tracer, node)
    made = np.repeat(taken, node.operation.depth_multiplier)
    _kernel(tracer, node, "kernel", {-2: taken})
    _bias(tracer, node, made)
    return made


def _separable(tracer: Tracer, node: Node) -> Atoms:
    layer, taken = node.operation, _only(tracer, node)
    made = tracer.made_by(node, "pointwise_kernel", int(layer.pointwise_kernel.shape[-1]))
    tracer.weight(node, "depthwise_kernel", -2, taken, "scales")
    tracer.weight(node, "pointwise_kernel", -1, made, "makes")
    tracer.weight(node, "pointwise_kernel", -2, np.repeat(taken, layer.depth_multiplier), "takes")
    _bias(tracer, node, made)
    tracer.reshapes(node, lambda width: {"filters": width})
    return made


def _kernel(tracer: Tracer, node: Node, name: str, axes: dict[int, Atoms]) -> None:
    held = {weight.name for weight in node.operation.weights}
    for weight in (name, *({"mask"} & held)):
        for axis, atoms in axes.items():
            # The first axis is that of outputs; a depthwise kernel has one axis of channels, which it takes and makes.
            role: Role = "makes" if axis == next(iter(axes)) else "takes"
            tracer.weight(node, weight, axis, atoms, role if weight == name else "scales")


def _bias(tracer: Tracer, node: Node, made: Atoms) -> None:
    layer = node.operation
    if layer.use_bias:
        tracer.weight(node, "bias", -1, made, "scales")
    if keras.activations.serialize(layer.activation) in _MIXING_ACTIVATIONS:
        tracer.pin(made, f"{node.name}: its activation mixes channels")


def _per_channel(tracer: Tracer, node: Node) -> Atoms:
    """Layers with one value per channel: normalisation over the last axis, layer scale, PReLU."""
    layout, layer = _only(tracer, node), node.operation
    axis = getattr(layer, "axis", -1)
    rank = len(node.output.shape)
    if [entry % rank for entry in (axis if isinstance(axis, list | tuple) else [axis])] != [rank - 1]:
        raise UnknownMixingError(f"{node.kind} acts along axis {axis}, which is not that of channels")
    for weight in layer.weights:
        if int(weight.shape[-1]) == len(layout):
            tracer.weight(node, weight.name, -1, layout, "scales")
    if "projection_dim" in layer.get_config():
        tracer.reshapes(node, lambda width: {"projection_dim": width})
    return layout


def _kept(tracer: Tracer, node: Node) -> Atoms:
    return _only(tracer, node)


def _activation(tracer: Tracer, node: Node) -> Atoms:
    layout = _only(tracer, node)
    if keras.activations.serialize(node.operation.activation) in _MIXING_ACTIVATIONS:
        tracer.pin(layout, f"{node.name}: it mixes channels")
    return layout


def _softmax(tracer: Tracer, node: Node) -> Atoms:
    layout = _only(tracer, node)
    tracer.pin(layout, f"{node.name}: it mixes channels")
    return layout


def _rescaling(tracer: Tracer, node: Node) -> Atoms:
    if np.size(node.operation.scale) > 1 or np.size(node.operation.offset) > 1:
        raise UnknownMixingError("it rescales each channel by a constant of its own")
    return _only(tracer, node)


def _elementwise(tracer: Tracer, node: Node) -> Atoms:
    leaves = keras.tree.flatten((node.args, node.kwargs))
    if any(np.size(leaf) > 1 for leaf in leaves if not isinstance(leaf, Value)):
        raise UnknownMixingError("it takes a constant for each channel")
    layouts = [tracer.layout(value) for value in node.inputs]
    widest = max(layouts, key=len)
    for layout in layouts:
        if len(layout) == len(widest):
            tracer.tie(widest, layout)
        elif len(layout) != 1:
            raise UnknownMixingError("its tensors have different numbers of channels")
    return widest


def _concatenate(tracer: Tracer, node: Node) -> Atoms:
    layouts = [tracer.layout(value) for value in node.inputs]
    rank = len(node.output.shape)
    if node.operation.axis % rank == rank - 1:
        return np.concatenate(layouts)
    for layout in layouts[1:]:
        tracer.tie(layouts[0], layout)
    return layouts[0]


def _reduction(tracer: Tracer, node: Node) -> Atoms:
    rank = len(node.inputs[0].shape)
    axis = node.operation.axis
    axes = [axis] if isinstance(axis, int) else list(axis or range(rank))
    if rank - 1 in [entry % rank for entry in axes]:
        raise UnknownMixingError(f"{node.kind} goes over channels")
    return _only(tracer, node)


def _permuted(tracer: Tracer, node: Node) -> Atoms:
    if node.operation.dims[-1] != len(node.output.shape) - 1:
        raise UnknownMixingError("it moves the channels to another axis")
    return _only(tracer, node)


def _flattened(tracer: Tracer, node: Node) -> Atoms:
    """Positions go to the last axis: a channel comes back once for each of them."""
    layout, width = _only(tracer, node), node.output.shape[-1]
    if not width or not len(layout) or width % len(layout):
        raise UnknownMixingError("it splits channels")
    if node.kind == "Reshape":
        if not hasattr(node.operation, "target_shape"):
            raise UnknownMixingError("keras.ops.reshape holds the width it makes; keras.layers.Reshape is known")
        target = tuple(node.operation.target_shape)
        tracer.reshapes(node, lambda kept: {"target_shape": target if target[-1] == -1 else (*target[:-1], kept)})
    return np.tile(layout, width // len(layout))


def _named(rule: Rule, *kinds: str) -> dict[str, Rule]:
    return dict.fromkeys(kinds, rule)


def _sized(*kinds: str) -> tuple[str, ...]:
    return tuple(f"{kind}{dimensions}D" for kind in kinds for dimensions in (1, 2, 3))


_POOLING = ("MaxPooling", "AveragePooling", "GlobalMaxPooling", "GlobalAveragePooling")
_SHIFTING = ("ZeroPadding", "Cropping", "UpSampling", "SpatialDropout")
_UNARY_LAYERS = (
    *("ReLU", "LeakyReLU", "ELU", "Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise", "Identity"),
    *("ActivityRegularization", "StochasticDepth", "DropPath", "FakeQuantize"),
)
_UNARY_OPERATIONS = (
    *("Relu", "Relu6", "LeakyRelu", "Elu", "Celu", "Selu", "Sigmoid", "HardSigmoid", "HardSilu", "Silu", "Gelu"),
    *("Tanh", "HardTanh", "Softplus", "Softsign", "Mish", "Abs", "Absolute", "Negative", "Square", "Sqrt", "Clip"),
)
_BINARY = (
    *("Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Average", "Maximum", "Minimum", "Power"),
    "FloorDivide",
)

_RULES: dict[str, Rule] = {
    **_named(_convolution, *_sized("Conv", "CompressedConv")),
    **_named(_transposed, *(f"{kind}Transpose" for kind in _sized("Conv", "CompressedConv"))),
    **_named(_depthwise, *_sized("DepthwiseConv", "CompressedDepthwiseConv")),
    **_named(_separable, *_sized("SeparableConv")),
    **_named(_dense, "Dense", "CompressedDense"),
    **_named(_per_channel, "BatchNormalization", "LayerNormalization", "RMSNormalization", "LayerScale", "PReLU"),
    **_named(_kept, *_sized(*_POOLING, *_SHIFTING), *_UNARY_LAYERS, *_UNARY_OPERATIONS),
    **_named(_activation, "Activation"),
    **_named(_softmax, "Softmax", "LogSoftmax"),
    **_named(_rescaling, "Rescaling"),
    **_named(_elementwise, *_BINARY),
    **_named(_concatenate, "Concatenate"),
    **_named(_reduction, "Mean", "Max", "Min", "Sum"),
    **_named(_permuted, "Permute"),
    **_named(_flattened, "Flatten", "Reshape"),
}
