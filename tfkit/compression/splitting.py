"""Bring a layer graph into the form that quantisation works on: one operation for each layer."""

import math
from collections.abc import Callable, Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.compression.composites import opened_composite
from tfkit.graph import (
    LayerGraph,
    Node,
    Value,
    activation_name,
    build_model,
    call_opened,
    call_with_rows,
    copy_layer,
    give_weights,
    is_builtin,
    opened_model,
    read_graph,
    reshapes_examples,
)
from tfkit.graph.building import Copy
from tfkit.graph.layer_graph import replace_values
from tfkit.keras_types import LayerConfig, Tensor
from tfkit.layers import (
    AddPositions,
    ApproximateGelu,
    ChannelOrder,
    CompressedKernel,
    FakeQuantize,
    MaskedMean,
    QuantizedLayerNormalization,
    compressed_class,
)

_SEPARABLE = {
    keras.layers.SeparableConv1D: (keras.layers.DepthwiseConv1D, keras.layers.Conv1D),
    keras.layers.SeparableConv2D: (keras.layers.DepthwiseConv2D, keras.layers.Conv2D),
}
# Scale and offset: of all channels, or of each.
_Scaling = tuple[float | list[float], float | list[float]]
# Each step of these is an operator of its own in the file, and rounds.
_CHAINED = {
    keras.layers.Add: keras.layers.Add,
    keras.layers.Multiply: keras.layers.Multiply,
    keras.layers.Maximum: keras.layers.Maximum,
    keras.layers.Minimum: keras.layers.Minimum,
    keras.layers.Average: keras.layers.Add,
}
_EXTREMES = {"Maximum": keras.layers.Maximum, "Minimum": keras.layers.Minimum}
# Operations of `keras.ops` that are a layer: what they are called with, from their settings.
_AS_LAYERS: dict[str, Callable[[LayerConfig, str], keras.Layer]] = {
    "LeakyRelu": lambda settings, name: keras.layers.LeakyReLU(settings["negative_slope"], name=name),
    "Softmax": lambda settings, name: keras.layers.Softmax(settings["axis"], name=name),
    "Gelu": lambda settings, name: (
        ApproximateGelu(name=name) if settings["approximate"] else keras.layers.Activation("gelu", name=name)
    ),
}
# Those that are an activation of that name.
_AS_ACTIVATIONS = {
    "HardSigmoid": "hard_sigmoid",
    "HardSilu": "hard_silu",
    "Relu": "relu",
    "Relu6": "relu6",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
}
_ARITHMETIC = ("Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Negative")
# More channels than a picture has are no pixels.
_MOST_PIXEL_CHANNELS = 4
_MAPS, _SEQUENCES = 4, 3
_SHARED_SETTINGS = ("strides", "padding", "data_format", "dilation_rate")


def split_layers(graph: LayerGraph) -> LayerGraph:
    """Write activations inside layers, and the two halves of separable convolutions, as layers of their own.

    `Conv2D(activation="relu")` becomes `Conv2D` and `Activation("relu")`; `SeparableConv2D` becomes
    `DepthwiseConv2D` and a 1x1 `Conv2D`; SiLU becomes a sigmoid and a `Multiply`, as the file has it; merges of more
    than two tensors become a chain of merges of two; arithmetic with a number, or one for each channel, becomes a
    `Rescaling`; a group normalisation, and the attention of an image's places, are written operator by operator; pixels
    whose channels are put in another order pass one `ChannelOrder`. A layer that is called several
    times stays one. Layers made of other layers, as keras-hub's blocks are, are laid open.

    Args:
        graph: A model's graph.

    Returns:
        The graph of a new model with the same weights, and outputs equal to the bit; all but the last one where
        something is divided by a number.

    Example:
        >>> inputs = keras.Input((4,))
        >>> model = keras.Model(inputs, keras.layers.Dense(2, activation="relu", name="dense")(inputs))
        >>> [node.kind for node in split_layers(read_graph(model)).nodes]
        ['Dense', 'Activation']
    """
    splitting = _Splitting()
    while True:  # a block may hold blocks
        splitting.shared = {id(node.operation) for node in graph.nodes if len(graph.calls_of(node.operation)) > 1}
        splitting.opened = False
        graph = read_graph(build_model(graph, splitting.call))
        if not splitting.opened:  # what was inside a block is split in the pass after it was opened
            return _sums_of_constants(graph)


def scaling_as_layers(graph: LayerGraph) -> LayerGraph:
    """Write arithmetic with a number, or with one for each channel, as `Rescaling` layers, and nothing else.

    Args:
        graph: A model's graph.

    Returns:
        The graph itself where there is no such arithmetic, else that of a new model with the same weights.
    """
    if all(_scaling_of(node) is None for node in graph.nodes):
        return graph

    def call(node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]) -> Tensor | Sequence[Tensor]:
        scaling = _scaling_of(node)
        return copy()(*args, **kwargs) if scaling is None else _rescaled(node, scaling, args)

    return read_graph(build_model(graph, call))


def _sums_of_constants(graph: LayerGraph) -> LayerGraph:
    """Make one sum of the constants that are added one behind the other, as the converter does.

    The bias of a Dense layer goes into the rows that are added right behind it, and so do other rows. In the file
    there is one addition, rounded once.
    """
    takers = {id(node.operation): taker for node in graph.nodes if (taker := _adds_rows(graph, node)) is not None}
    if not takers:
        return graph
    sums: dict[int, NDArray[np.float32]] = {}  # what has gone into the rows of a layer

    def call(node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]) -> Tensor | Sequence[Tensor]:
        layer, taker = node.operation, takers.get(id(node.operation))
        constant = sums.get(id(layer), np.float32(0))
        if taker is not None and isinstance(layer, AddPositions):
            sums[id(taker.operation)] = constant + _numbers(layer.embeddings)
            return args[0]
        if taker is not None:
            sums[id(taker.operation)] = _numbers(layer.bias)
            made = copy_layer(layer, name=node.name, use_bias=False)
            weights = [_numbers(layer.kernel)]
        elif id(layer) in sums:
            made = copy_layer(layer, name=node.name)
            weights = [constant + _numbers(layer.embeddings)]
        else:
            return copy()(*args, **kwargs)
        outputs = made(*args, **kwargs)
        give_weights(made, weights)
        return outputs

    return read_graph(build_model(graph, call))


def _adds_rows(graph: LayerGraph, node: Node) -> Node | None:
    """The `AddPositions` right behind a layer that ends in adding a constant; None for any other node."""
    layer, length = node.operation, node.output.shape[1] if len(node.output.shape) == _SEQUENCES else None
    biased = type(layer) is keras.layers.Dense and layer.use_bias and activation_name(layer) == "linear"
    if length is None or not (biased or (isinstance(layer, AddPositions) and layer.positions == length)):
        return None
    taker = graph.only_consumer(node.output)
    if taker is None or not isinstance(taker.operation, AddPositions) or taker.operation.positions != length:
        return None
    return taker if len(graph.calls_of(layer)) == len(graph.calls_of(taker.operation)) == 1 else None


def _numbers(weight: keras.Variable) -> NDArray[np.float32]:
    return np.asarray(keras.ops.convert_to_numpy(weight), np.float32)


class _Splitting:
    """What to put in each node's place; remembers the blocks that do not open, and what shared layers became."""

    def __init__(self) -> None:
        self._closed: dict[int, keras.Layer] = {}
        self._linear: dict[int, keras.Layer] = {}
        self._separated: dict[int, tuple[keras.Layer, keras.Layer]] = {}
        self.shared: set[int] = set()  # the layers of the graph that are called more than once
        self.opened = False  # whether this pass opened a block
        self._taken: dict[int, Tensor] = {}  # the tensor that each channel of pixels was taken from

    def is_block(self, layer: keras.Layer) -> bool:
        return _holds_layers(layer) and id(layer) not in self._closed

    def call(
        self, node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]
    ) -> Tensor | Sequence[Tensor]:
        layer = node.operation
        if args and id(layer) not in self.shared and (embedded := call_with_rows(node, args[0])) is not None:
            return embedded
        if not self.is_block(layer) and not _is_of_patches(node):
            return layer(*args, **kwargs) if id(layer) in self._closed else self._split(node, copy, args, kwargs)
        try:
            outputs = call_opened(node, args, kwargs)
        except Exception:  # Python code that anyone wrote, run on symbols it may not have been written for
            self._closed[id(layer)] = layer
            return layer(*args, **kwargs)  # planning refuses it by name
        self.opened = True
        return outputs

    def _split(
        self, node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]
    ) -> Tensor | Sequence[Tensor]:
        layer = node.operation
        # One set of weights for several calls would become several.
        if id(layer) not in self.shared and (opened := opened_composite(node, args, kwargs)) is not None:
            return opened
        if type(layer) in _CHAINED and (isinstance(layer, keras.layers.Average) or len(args[0]) > 2):
            return _chained(node, args[0])
        if type(layer) in _SEPARABLE:
            return _activated(node, separated(node, args[0], made=self._separated))
        if (as_layer := _AS_LAYERS.get(node.kind)) and not isinstance(layer, keras.layers.Layer):
            return as_layer(layer.get_config(), node.name)(args[0])
        if (function := _AS_ACTIVATIONS.get(node.kind)) is not None:
            return keras.layers.Activation(function, name=node.name)(args[0])
        if node.kind == "Cast" and node.output.dtype == node.inputs[0].dtype:
            return args[0]
        if node.kind == "ExtractPatches" and (cut := _cut_into_patches(node, args[0])) is not None:
            return cut
        if node.kind == "Reshape" and reshapes_examples(node):
            return keras.layers.Reshape(layer.newshape[1:], name=node.name)(args[0])
        if node.kind == "Silu":
            return _gated(args[0], name=node.name)
        if (kind := _EXTREMES.get(node.kind)) and not isinstance(layer, keras.layers.Layer) and len(node.inputs) == 2:
            return kind(name=node.name)(list(args)) if len(args) == 2 and not kwargs else copy()(*args, **kwargs)
        if (ordered := self._ordered(node, args)) is not None:
            return ordered
        if (scaling := _scaling_of(node)) is not None:
            return _rescaled(node, scaling, args)
        if isinstance(layer, keras.layers.Activation):
            return _activated(node, args[0], name=node.name)
        if (compressed_class(layer) or isinstance(layer, CompressedKernel)) and activation_name(layer) != "linear":
            return _activated(node, self._without_activation(node, args, kwargs))
        try:
            return copy()(*args, **kwargs)
        except (ValueError, TypeError, NotImplementedError):  # what Keras raises for a layer without a configuration
            return layer(*args, **kwargs)  # planning refuses it by name

    def _without_activation(self, node: Node, args: tuple[Tensor, ...], kwargs: dict[str, object]) -> Tensor:
        layer = node.operation
        known = self._linear.get(id(layer))
        if known is not None:
            return known(*args, **kwargs)
        linear = self._linear[id(layer)] = copy_layer(layer, name=node.name, activation="linear")
        outputs = linear(*args, **kwargs)
        give_weights(linear, layer.get_weights())
        return outputs

    def _ordered(self, node: Node, args: tuple[Tensor, ...]) -> Tensor | None:
        """Pixels whose channels are put in another order; None for any other node."""
        if not _is_of_pixels(node):
            return None
        if node.kind == "GetItem" and len(args) == 2 and _one_channel(node) is not None:
            self._taken[id(node.output)] = args[0]
            return None
        if node.kind == "Stack":
            parts = [value for value in node.inputs if id(value) in self._taken]
            sources = {id(self._taken[id(value)]): self._taken[id(value)] for value in parts}
            last = len(node.output.shape) - 1
            if len(parts) != len(node.inputs) or len(sources) != 1 or node.operation.axis not in (-1, last):
                return None
            channels = [_one_channel(value.node) or 0 for value in parts if value.node is not None]
            return ChannelOrder(channels, name=node.name)(next(iter(sources.values())))
        order = _order_of(node) if node.kind in _ORDERING else None
        return None if order is None else ChannelOrder(order, name=node.name)(args[0])


_ORDERING = ("GetItem", "Flip", "Take")


def _is_of_pixels(node: Node) -> bool:
    """Whether nothing that learns lies between a model input and a node, and what it takes has a picture's channels."""
    values = list(node.inputs)
    while values:
        value = values.pop()
        if len(value.shape) not in (3, 4) or (len(value.shape) == 4 and (value.shape[-1] or 0) > _MOST_PIXEL_CHANNELS):
            return False
        if value.node is None:
            continue
        if isinstance(value.node.operation, keras.layers.Layer) and value.node.operation.trainable_weights:
            return False
        values.extend(value.node.inputs)
    return bool(node.inputs)


def _one_channel(node: Node) -> int | None:
    """Which channel `x[..., channel]` takes; None for any other node."""
    value, key = node.inputs[0], node.args[1] if len(node.args) > 1 else None
    key = key if isinstance(key, tuple) else (key,)
    whole = all(part in (Ellipsis, slice(None)) for part in key[:-1])
    full = Ellipsis in key[:-1] or len(key) == len(value.shape)
    if node.kind != "GetItem" or not isinstance(key[-1], int) or not (whole and full):
        return None
    return key[-1] % int(value.shape[-1] or 1)


def _order_of(node: Node) -> list[int] | None:
    """The order that an operation puts channels in, when that is all it does."""
    value = node.inputs[0]
    if len(node.inputs) != 1 or node.output.shape != value.shape:
        return None
    # Any size will do where the model takes any.
    sizes = [size or 2 for size in value.shape[1:]]
    numbers = np.arange(math.prod(sizes), dtype=np.int32).reshape(1, *sizes)
    args, kwargs = replace_values((node.args, node.kwargs), lambda _: keras.ops.convert_to_tensor(numbers))
    found = np.asarray(keras.ops.convert_to_numpy(node.operation(*args, **kwargs)))
    order = found.reshape(-1, sizes[-1])[0].tolist()
    in_place = max(order) < sizes[-1] and np.array_equal(found, numbers[..., order])
    return order if in_place else None


def _scaling_of(node: Node) -> _Scaling | None:
    """Scale and offset of arithmetic with a number, or with one for each channel.

    The converter folds such arithmetic into the kernel before it, or rounds its numbers to eight bits: as a scaling
    it is rounded where the file rounds it. On pixels it is what a Rescaling layer there is.
    """
    if node.kind not in _ARITHMETIC or len(node.inputs) != 1 or not node.args:
        return None
    value = node.inputs[0]
    constants = [argument for argument in node.args if not isinstance(argument, Value)]
    if len(constants) + 1 != len(node.args) or node.kwargs or node.output.shape != value.shape:
        return None
    if not node.output.dtype.startswith(("float", "bfloat")) or value.dtype != node.output.dtype:
        return None
    numbers = [np.asarray(keras.ops.convert_to_numpy(constant), np.float64) for constant in constants]
    if any(constant.size not in (1, constant.shape[-1] if constant.ndim else 1) for constant in numbers):
        return None
    number = (numbers[0].item() if numbers[0].size == 1 else numbers[0].ravel().tolist()) if numbers else 0.0
    reversed_, negated = not isinstance(node.args[0], Value), np.negative(number).tolist()
    if node.kind in ("Divide", "TrueDivide"):
        return None if reversed_ or not np.all(number) else (np.divide(1.0, number).tolist(), 0.0)
    return {
        "Add": (1.0, number),
        "Subtract": (-1.0, number) if reversed_ else (1.0, negated),
        "Multiply": (number, 0.0),
        "Negative": (-1.0, 0.0),
    }[node.kind]


def _rescaled(node: Node, scaling: _Scaling, args: tuple[Tensor, ...]) -> Tensor:
    tensor = next(argument for argument in args if isinstance(argument, keras.KerasTensor))
    return keras.layers.Rescaling(*scaling, name=node.name, dtype=node.output.dtype)(tensor)


def _holds_layers(layer: keras.Layer) -> bool:
    if not isinstance(layer, keras.layers.Layer) or isinstance(
        layer, FakeQuantize | MaskedMean | QuantizedLayerNormalization
    ):
        return False
    if layer.__module__.startswith("keras.src.layers."):
        return False  # augmentations and wrappers: they are more than the layers they hold
    return any(True for _ in layer._flatten_layers(include_self=False))


def _is_of_patches(node: Node) -> bool:
    """Whether a layer of one's own cuts an image into patches and moves them, and does nothing else."""
    layer = node.operation
    if not isinstance(layer, keras.layers.Layer) or is_builtin(layer) or layer.variables or _holds_layers(layer):
        return False
    try:
        nested, _ = opened_model(node)
    except Exception:  # Python code that anyone wrote, run on symbols it may not have been written for
        return False
    kinds = [inner.kind for inner in read_graph(nested).nodes]
    return "ExtractPatches" in kinds and set(kinds) <= {"ExtractPatches", "Reshape", "Transpose"}


def _activated(node: Node, tensor: Tensor, *, name: str | None = None) -> Tensor:
    activation = activation_name(node.operation)
    name = name or f"{node.name}_{activation}"
    if activation == "linear":
        return tensor
    if activation == "silu":
        return _gated(tensor, name=name)
    return keras.layers.Activation(node.operation.activation, name=name)(tensor)


def _cut_into_patches(node: Node, tensor: Tensor) -> Tensor | None:
    """The patches of an image, each as one row of numbers, by moving them alone; None where they overlap."""
    cut, shape = node.operation, node.inputs[0].shape
    size = (cut.size, cut.size) if isinstance(cut.size, int) else tuple(cut.size)
    strides = (cut.strides, cut.strides) if isinstance(cut.strides, int) else cut.strides
    apart = strides is None or tuple(strides) == size
    if not apart or cut.dilation_rate not in (1, (1, 1)) or len(size) != 2 or len(shape) != _MAPS or None in shape[1:]:
        return None
    if cut.data_format == "channels_first" or any(whole % part for whole, part in zip(shape[1:3], size, strict=True)):
        return None
    rows, columns, channels = shape[1] // size[0], shape[2] // size[1], shape[3]
    parts = keras.layers.Reshape((rows, size[0], columns, size[1] * channels), name=f"{node.name}_parts")(tensor)
    parts = keras.layers.Permute((1, 3, 2, 4), name=f"{node.name}_together")(parts)
    return keras.layers.Reshape((rows, columns, math.prod(size) * channels), name=node.name)(parts)


def _gated(tensor: Tensor, *, name: str) -> Tensor:
    """SiLU as the file has it."""
    gate = keras.layers.Activation("sigmoid", name=f"{name}_sigmoid")(tensor)
    return keras.layers.Multiply(name=name)([tensor, gate])


def _chained(node: Node, tensors: list[Tensor]) -> Tensor:
    """A merge of many tensors as merges of two, in the order Keras goes through them."""
    averages = isinstance(node.operation, keras.layers.Average)
    merged = tensors[0]
    for number, tensor in enumerate(tensors[1:], start=2):
        last = number == len(tensors) and not averages
        name = node.name if last else f"{node.name}_{'sum' if averages else 'first'}{number}"
        merged = _CHAINED[type(node.operation)](name=name)([merged, tensor])
    # As a division the converter would draw it into a kernel behind it, and round nothing.
    return keras.layers.Rescaling(1 / len(tensors), name=node.name, dtype=merged.dtype)(merged) if averages else merged


def separated(
    node: Node,
    tensor: Tensor,
    *,
    activation: str | Callable[[Tensor], Tensor] | None = None,
    made: dict[int, tuple[keras.Layer, keras.Layer]] | None = None,
) -> Tensor:
    """Call a separable convolution as the two convolutions it is made of, with its weights.

    Args:
        node: The call of a `SeparableConv1D` or `SeparableConv2D`.
        tensor: Its new input.
        activation: Of the pointwise half; default none, whatever the layer has.
        made: The halves of layers that were called before, by the layer's `id`; added to.

    Returns:
        The output tensor, of layers called NAME_depthwise and NAME_pointwise.
    """
    layer = node.operation
    if made is not None and id(layer) in made:
        depthwise, pointwise = made[id(layer)]
        return pointwise(depthwise(tensor))
    depthwise_class, pointwise_class = _SEPARABLE[type(layer)]
    settings = {name: getattr(layer, name) for name in _SHARED_SETTINGS}
    depthwise = depthwise_class(
        layer.kernel_size,
        depth_multiplier=layer.depth_multiplier,
        use_bias=False,
        name=f"{node.name}_depthwise",
        dtype=layer.dtype_policy,
        trainable=layer.trainable,
        **settings,
    )
    pointwise = pointwise_class(
        layer.filters,
        1,
        activation=activation,
        use_bias=layer.use_bias,
        data_format=layer.data_format,
        name=f"{node.name}_pointwise",
        dtype=layer.dtype_policy,
        trainable=layer.trainable,
    )
    outputs = pointwise(depthwise(tensor))
    kernels = [keras.ops.convert_to_numpy(weight) for weight in layer.weights]
    give_weights(depthwise, kernels[:1])
    give_weights(pointwise, kernels[1:])
    if made is not None:
        made[id(layer)] = (depthwise, pointwise)
    return outputs
