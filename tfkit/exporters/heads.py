"""A score for each of two classes, where a model has one unit for both."""

from collections.abc import Sequence

import keras
import numpy as np

from tfkit.compression import is_compressed
from tfkit.errors import ModelError
from tfkit.graph import Head, Node, build_model, copy_layer, read_graph
from tfkit.graph.building import Copy
from tfkit.keras_types import Tensor


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

    def call(node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]) -> Tensor | Sequence[Tensor]:
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


def _both(tensor: Tensor, *, halves: tuple[float, float], bias: tuple[float, float], activation: str) -> Tensor:
    layer = keras.layers.Dense(2, activation=activation, name="both_scores")
    scores = layer(tensor)
    layer.set_weights([np.array([halves], np.float32), np.array(bias, np.float32)])
    return scores


def _is_plain_sigmoid(node: Node) -> bool:
    is_activation = isinstance(node.operation, keras.layers.Activation) or node.kind == "Sigmoid"
    return is_activation and len(node.inputs) == 1 and len(node.inputs[0].shape) == 2
