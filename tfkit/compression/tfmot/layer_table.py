"""Keras 3 layer -> tf-keras layer, and which of them tensorflow-model-optimization takes."""

import inspect
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import keras

from tfkit.compression.tfmot.twin import load_tf_keras, load_tfmot
from tfkit.graph import LayerGraph, Node
from tfkit.keras_types import LayerConfig

if TYPE_CHECKING:
    import tf_keras

Technique = Literal["quantization", "pruning", "clustering"]

DEPTHWISE_SUFFIX = "_tfmot_depthwise"

# Keras 3 name of an argument -> tf-keras name.
_RENAMED = {"LeakyReLU": {"negative_slope": "alpha"}}
# tfmot folds a BatchNormalization only into one of these.
_FOLDABLE = {"Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Dense"}
# From tfmot's QuantizeAwareActivation and Default8BitActivationQuantizeConfig, which have no public form.
_FUSED_ACTIVATIONS = {"linear", "relu", "swish", "gelu", "softmax", "sigmoid", "tanh"}
_LONE_ACTIVATIONS = _FUSED_ACTIVATIONS | {"relu6"}


@dataclass(frozen=True)
class TfmotRefusal:
    """A layer that this engine cannot take.

    Attributes:
        layer: Its name in the flat graph.
        kind: Its class.
        reason: Why, in words.
    """

    layer: str
    kind: str
    reason: str

    def __str__(self) -> str:
        return f"'{self.layer}' ({self.kind}): {self.reason}"


class _RefusedError(Exception):
    pass


def twin_layers(node: Node) -> tuple["tf_keras.layers.Layer", ...]:
    """Build the tf-keras layers that do together what a node does, without their weights.

    Args:
        node: A node of the flat graph.

    Returns:
        Layers of `tf_keras`, not built, to be called one after the other: one with the node's name, or two for a
        SeparableConv2D, the first with `DEPTHWISE_SUFFIX` after the name. They hold the node's weights, in its order.

    Raises:
        ValueError: When tf-keras has none; the message says why.
    """
    try:
        return _twin_layers(node)
    except (_RefusedError, TypeError, ValueError) as fault:
        raise ValueError(str(fault)) from None


def find_refusals(
    graph: LayerGraph, nodes: Collection[Node], *, techniques: Collection[Technique]
) -> list[TfmotRefusal]:
    """Find every layer that tf-keras does not have or tensorflow-model-optimization does not take.

    Args:
        graph: The flat graph.
        nodes: Those of its nodes that the twin shall have.
        techniques: What is to be done with the twin.

    Returns:
        The refused layers in running order; empty when all can be taken.
    """
    refusals = []
    for node in nodes:
        try:
            layer = _twin_layers(node)[-1]
            _refuse_structure(graph, node)
            for technique in techniques:
                _CHECKS[technique](graph, node, layer)
        except (_RefusedError, TypeError, ValueError) as fault:
            refusals.append(TfmotRefusal(node.name, node.kind, str(fault).strip().splitlines()[0]))
    return refusals


def _twin_layers(node: Node) -> tuple["tf_keras.layers.Layer", ...]:
    layers = load_tf_keras().layers
    operation = node.operation
    if not isinstance(operation, keras.layers.Layer):
        # `x + y` in a functional model is an operation; everything else is written as a layer there.
        if node.kind == "Add" and len(node.inputs) == 2:
            return (layers.Add(name=node.name),)
        raise _RefusedError("it is an operation, not a layer; tf-keras models are rebuilt from layers")
    if type(operation) is not getattr(keras.layers, node.kind, None):
        raise _RefusedError(f"it is no layer of Keras itself but of {type(operation).__module__}")
    if getattr(layers, node.kind, None) is None:
        raise _RefusedError("tf-keras has no such layer")
    renamed = _RENAMED.get(node.kind, {})
    config = {renamed.get(key, key): _in_tf_keras(key, value) for key, value in operation.get_config().items()}
    if node.kind == "SeparableConv2D":
        return _split_separable(node.name, config)
    return (_layer(node.kind, config, name=node.name),)


def _split_separable(name: str, config: LayerConfig) -> tuple["tf_keras.layers.Layer", ...]:
    """A depthwise and a pointwise convolution: tfmot's own way to split hangs on Xception's residual branches."""
    bare = {"use_bias": False, "activation": None, "bias_regularizer": None, "activity_regularizer": None}
    point = {"kernel_size": 1, "strides": 1, "dilation_rate": 1, "padding": "valid"}
    for part, kernel in (("regularizer", "kernel_regularizer"), ("constraint", "kernel_constraint")):
        point[kernel] = config[f"pointwise_{part}"]
    return (
        _layer("DepthwiseConv2D", config | bare, name=name + DEPTHWISE_SUFFIX),
        _layer("Conv2D", config | point, name=name),
    )


def _layer(kind: str, config: LayerConfig, *, name: str) -> "tf_keras.layers.Layer":
    made = getattr(load_tf_keras().layers, kind)
    known = inspect.signature(made.__init__).parameters
    return made(**{key: value for key, value in config.items() if key in known}, name=name)


def _in_tf_keras(key: str, value: object) -> object:
    if key.endswith("_initializer"):
        return "zeros"  # the weights are copied, and initialisers are written differently
    if isinstance(value, dict) and key.endswith(("_regularizer", "_constraint")):
        module = getattr(load_tf_keras(), "regularizers" if key.endswith("_regularizer") else "constraints")
        return module.deserialize({"class_name": value["class_name"], "config": value["config"]})
    return value


def _refuse_structure(graph: LayerGraph, node: Node) -> None:
    if getattr(node.operation, "weights", None) and len(graph.calls_of(node.operation)) > 1:
        raise _RefusedError("it is called more than once; tensorflow-model-optimization takes no shared layers")
    if len(node.outputs) != 1:
        raise _RefusedError("it has several outputs")


def _check_quantization(graph: LayerGraph, node: Node, layer: "tf_keras.layers.Layer") -> None:
    registry = load_tfmot().quantization.keras.default_8bit.Default8BitQuantizeRegistry()
    if node.kind == "BatchNormalization":
        before = node.inputs[0].node
        if before is None or not _is_foldable(before) or graph.only_consumer(before.output) is not node:
            raise _RefusedError(
                "tfmot folds it into a linear Conv2D, DepthwiseConv2D or Dense before it, and there is none"
            )
    elif not registry.supports(layer):
        raise _RefusedError("it is not in tfmot's 8-bit registry")
    known = _LONE_ACTIVATIONS if node.kind == "Activation" else _FUSED_ACTIVATIONS
    activation = getattr(layer, "activation", None)
    if activation is not None and (name := getattr(activation, "__name__", str(activation))) not in known:
        raise _RefusedError(f"tfmot cannot quantise the activation '{name}' there")


def _is_foldable(node: Node) -> bool:
    activation = getattr(node.operation, "activation", None)
    return node.kind in _FOLDABLE and (activation is None or activation is keras.activations.linear)


def _check_pruning(graph: LayerGraph, node: Node, layer: "tf_keras.layers.Layer") -> None:
    load_tfmot().sparsity.keras.prune_low_magnitude(layer)  # raises ValueError for a class it does not know


def _check_clustering(graph: LayerGraph, node: Node, layer: "tf_keras.layers.Layer") -> None:
    names = load_tfmot().clustering.keras
    # These are asked for weights, which they have only once built; tfmot takes them.
    if not isinstance(layer, load_tf_keras().layers.Conv2D):
        names.cluster_weights(layer, 2, names.CentroidInitialization.LINEAR)


_CHECKS = {"quantization": _check_quantization, "pruning": _check_pruning, "clustering": _check_clustering}
