"""What a model's outputs are: one softmax score a class, one sigmoid unit, several labels, logits or numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tfkit.compression import is_compressed
from tfkit.compression.splitting import activation_name
from tfkit.errors import ModelError
from tfkit.graph import LayerGraph, Node, build_model, copy_layer, read_graph

# What hands its input on, in another shape or as it is.
_PASSING = (
    "Reshape",
    "Flatten",
    "Squeeze",
    "ExpandDims",
    "Permute",
    "Transpose",
    "Cast",
    "Dropout",
    "Identity",
    "GaussianNoise",
    "ActivityRegularization",
)
_FUNCTIONS = {"Softmax": "softmax", "Sigmoid": "sigmoid", "LogSoftmax": "log_softmax", "Tanh": "tanh", "Relu": "relu"}
# They sum or move what the layers before them gave: no activation is behind them.
_LINEAR = ("Add", "Subtract", "Multiply", "Average", "GlobalAveragePooling2D", "BatchNormalization", "Rescaling")


@dataclass(frozen=True)
class Head:
    """The end of a model.

    Attributes:
        activation: The function behind the last weights: `softmax`, `sigmoid`, `linear`, another of Keras's, or
            `unknown`, where code of one's own or a layer of several inputs ends the model.
        units: How many numbers it gives for one input.
    """

    activation: str
    units: int


def read_head(model: keras.Model) -> Head:
    """Read what a model's one output is, through reshapes, separate activations and nested models.

    Args:
        model: A functional or sequential model.

    Returns:
        Its end.

    Raises:
        ModelError: Names the outputs, when there are several or it is no row of numbers.

    Example:
        >>> read_head(keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Softmax()]))
        Head(activation='softmax', units=3)
    """
    shown = ", ".join(f"'{name}' {shape}" for name, shape in named_outputs(model))
    if len(model.outputs) != 1:
        raise ModelError(
            f"model '{model.name}' has {len(model.outputs)} outputs: {shown}; expected one, a score a class",
            hint="save a model of one of them: keras.Model(model.inputs, model.outputs[0])",
        )
    shape = tuple(model.outputs[0].shape)
    if len(shape) != 2 or not shape[1]:
        raise ModelError(
            f"model '{model.name}' gives {shown}; expected a row of scores, (n, classes)",
            hint="tfkit takes classifiers: one score for each of two or more classes, or one sigmoid unit",
        )
    node = _last_function(read_graph(model))
    return Head("unknown" if node is None else _function_of(node), int(shape[1]))


def named_outputs(model: keras.Model) -> list[tuple[str, tuple[int | None, ...]]]:
    """Each output's name, as the user gave it, and its shape."""
    names = getattr(model, "output_names", None) or [tensor.name for tensor in model.outputs]
    return [(str(name), tuple(tensor.shape)) for name, tensor in zip(names, model.outputs, strict=True)]


def with_two_scores(model: keras.Model, head: Head) -> keras.Model:
    """Make of one unit, the probability or the logit of the second class, a score for each of the two.

    A Dense layer of one sigmoid unit becomes one of two softmax units with half its weights, which is the same
    function: softmax(-z/2, z/2) = (1 - sigmoid(z), sigmoid(z)). Behind anything else two units are added.

    Args:
        model: It is not changed.
        head: What `read_head` gave: one unit, sigmoid or linear.

    Returns:
        A flat copy of two outputs, probabilities; over .5 in the one unit is the second class.

    Raises:
        ModelError: When the model is quantisation-aware or pruned already.
    """
    if is_compressed(model):
        raise ModelError(
            f"model '{model.name}' ends in one unit and is pruned or quantisation-aware",
            hint="give it two softmax units before it is compressed: over .5 is then the second class",
        )
    graph = read_graph(model)
    last = graph.outputs[0].node

    def call(node: Node, copy: Callable[[], Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if node is not last:
            return copy()(*args, **kwargs)
        layer = node.operation
        if type(layer) is keras.layers.Dense:
            both = copy_layer(layer, name=node.name, units=2, activation="softmax")
            scores = both(*args, **kwargs)
            both.set_weights([np.concatenate([-weights / 2, weights / 2], axis=-1) for weights in layer.get_weights()])
            return scores
        if head.activation == "sigmoid" and _is_plain_sigmoid(node):
            return _both(args[0], halves=(-0.5, 0.5), bias=(0.0, 0.0), activation="softmax")
        found = copy()(*args, **kwargs)
        if head.activation == "linear":
            return _both(found, halves=(-0.5, 0.5), bias=(0.0, 0.0), activation="softmax")
        return _both(found, halves=(-1.0, 1.0), bias=(1.0, 0.0), activation="linear")

    return build_model(graph, call)


def _both(tensor: Any, *, halves: tuple[float, float], bias: tuple[float, float], activation: str) -> Any:
    layer = keras.layers.Dense(2, activation=activation, name="both_scores")
    scores = layer(tensor)
    layer.set_weights([np.array([halves], np.float32), np.array(bias, np.float32)])
    return scores


def _is_plain_sigmoid(node: Node) -> bool:
    is_activation = isinstance(node.operation, keras.layers.Activation) or node.kind == "Sigmoid"
    return is_activation and len(node.inputs) == 1 and len(node.inputs[0].shape) == 2


def _last_function(graph: LayerGraph) -> Node | None:
    """The last node that changes values; None where it cannot be followed."""
    node = graph.outputs[0].node
    while node is not None and (node.kind in _PASSING or _is_nothing(node)):
        node = node.inputs[0].node if len(node.inputs) == 1 else None
    return node


def _is_nothing(node: Node) -> bool:
    """Whether it is an activation that does nothing, or a fake quantiser."""
    layer = node.operation
    if isinstance(layer, keras.layers.Activation):
        return activation_name(layer) == "linear"
    return type(layer).__module__.startswith("tfkit.layers") and not hasattr(layer, "activation")


def _function_of(node: Node) -> str:
    if node.kind in _FUNCTIONS:
        return _FUNCTIONS[node.kind]
    if hasattr(node.operation, "activation"):
        return activation_name(node.operation)
    has_kernel = getattr(node.operation, "kernel", None) is not None
    return "linear" if has_kernel or node.kind in _LINEAR else "unknown"
