"""What a model's outputs are: one softmax score a class, one sigmoid unit, several labels, logits or numbers."""

from dataclasses import dataclass

import keras

from tfkit.errors import ModelError
from tfkit.graph.layer_graph import LayerGraph, Node
from tfkit.graph.reading import read_graph

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
_MAPS = 4
# They sum or move what the layers before them gave: no activation is behind them.
_LINEAR = ("Add", "Subtract", "Multiply", "Average", "GlobalAveragePooling2D", "BatchNormalization", "Rescaling")


@dataclass(frozen=True)
class Head:
    """The end of a model.

    Attributes:
        activation: The function behind the last weights: `softmax`, `sigmoid`, `linear`, another of Keras's, or
            `unknown`, where code of one's own or a layer of several inputs ends the model.
        units: How many numbers it gives for one input; of a segmenter for one pixel.
    """

    activation: str
    units: int


def read_head(model: keras.Model) -> Head:
    """Read what a model's one output is, for an input or each of its pixels, through reshapes and nested models.

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
    shown = ", ".join(f"'{name}' {shape}" for name, shape in _named_outputs(model))
    if len(model.outputs) != 1:
        raise ModelError(
            f"model '{model.name}' has {len(model.outputs)} outputs: {shown}; expected one, a score a class",
            hint="save a model of one of them: keras.Model(model.inputs, model.outputs[0])",
        )
    shape = tuple(model.outputs[0].shape)
    if len(shape) not in (2, _MAPS) or not shape[-1]:
        raise ModelError(
            f"model '{model.name}' gives {shown}; expected a row of scores, (n, classes)",
            hint="tfkit takes classifiers: one score for each of two or more classes, or one sigmoid unit",
        )
    node = _last_function(read_graph(model))
    return Head("unknown" if node is None else _function_of(node), int(shape[-1]))


def _named_outputs(model: keras.Model) -> list[tuple[str, tuple[int | None, ...]]]:
    """Each output's name, as the user gave it, and its shape."""
    names = getattr(model, "output_names", None) or [tensor.name for tensor in model.outputs]
    return [(str(name), tuple(tensor.shape)) for name, tensor in zip(names, model.outputs, strict=True)]


def activation_name(layer: keras.Layer) -> str:
    """The name of a layer's activation function: `linear` for none, `custom` for a function Keras has no name for.

    Example:
        >>> activation_name(keras.layers.Dense(2, activation="softmax"))
        'softmax'
    """
    function = getattr(layer, "activation", None)
    if function is None:
        return "linear"
    name = keras.activations.serialize(function)
    return {"swish": "silu", "hard_swish": "hard_silu"}.get(name, name) if isinstance(name, str) else "custom"


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
