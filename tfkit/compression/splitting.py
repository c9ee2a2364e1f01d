"""Bring a layer graph into the form that quantisation works on: one operation for each layer."""

from collections.abc import Callable
from typing import Any

import keras

from tfkit.graph import LayerGraph, Node, build_model, copy_layer, read_graph
from tfkit.layers import CompressedKernel, compressed_class

_SEPARABLE = {
    keras.layers.SeparableConv1D: (keras.layers.DepthwiseConv1D, keras.layers.Conv1D),
    keras.layers.SeparableConv2D: (keras.layers.DepthwiseConv2D, keras.layers.Conv2D),
}
_SHARED_SETTINGS = ("strides", "padding", "data_format", "dilation_rate")


def split_layers(graph: LayerGraph) -> LayerGraph:
    """Write activations inside layers, and the two halves of separable convolutions, as layers of their own.

    `Conv2D(activation="relu")` becomes `Conv2D` and `Activation("relu")`; `SeparableConv2D` becomes
    `DepthwiseConv2D` and a 1x1 `Conv2D`; SiLU becomes a sigmoid and a `Multiply`, as the file has it.

    Args:
        graph: A model's graph.

    Returns:
        The graph of a new model with the same weights, and outputs equal to the bit.
    """
    return read_graph(build_model(graph, _split))


def activation_name(layer: Any) -> str:
    """The name of a layer's activation function: `linear` for none, `custom` for a function Keras has no name for."""
    function = getattr(layer, "activation", None)
    if function is None:
        return "linear"
    name = keras.activations.serialize(function)
    return {"swish": "silu", "hard_swish": "hard_silu"}.get(name, name) if isinstance(name, str) else "custom"


def _split(node: Node, copy: Callable[[], Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    layer = node.operation
    if type(layer) in _SEPARABLE:
        return _activated(node, separated(node, args[0]))
    if isinstance(layer, keras.layers.Activation):
        return _activated(node, args[0], name=node.name)
    if (compressed_class(layer) or isinstance(layer, CompressedKernel)) and activation_name(layer) != "linear":
        linear = copy_layer(layer, name=node.name, activation="linear")
        outputs = linear(*args, **kwargs)
        linear.set_weights(layer.get_weights())
        return _activated(node, outputs)
    return copy()(*args, **kwargs)


def _activated(node: Node, tensor: Any, *, name: str | None = None) -> Any:
    activation = activation_name(node.operation)
    name = name or f"{node.name}_{activation}"
    if activation == "linear":
        return tensor
    if activation == "silu":
        gate = keras.layers.Activation("sigmoid", name=f"{name}_sigmoid")(tensor)
        return keras.layers.Multiply(name=name)([tensor, gate])
    return keras.layers.Activation(node.operation.activation, name=name)(tensor)


def separated(node: Node, tensor: Any, *, activation: Any = None) -> Any:
    """Call a separable convolution as the two convolutions it is made of, with its weights.

    Args:
        node: The call of a `SeparableConv1D` or `SeparableConv2D`.
        tensor: Its new input.
        activation: Of the pointwise half; default none, whatever the layer has.

    Returns:
        The output tensor, of layers called NAME_depthwise and NAME_pointwise.
    """
    layer = node.operation
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
    depthwise.set_weights(kernels[:1])
    pointwise.set_weights(kernels[1:])
    return outputs
