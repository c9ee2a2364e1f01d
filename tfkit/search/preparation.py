"""Any Keras classifier in the one form that the steps of a search share."""

from collections.abc import Sequence

import keras

from tfkit.compression import is_compressed
from tfkit.errors import ModelError
from tfkit.graph import Node, activation_name, build_model, copy_layer, give_weights, read_graph, refuse_difference
from tfkit.graph.building import Copy
from tfkit.keras_types import Inputs, Tensor
from tfkit.models import with_dtype_policy, with_float_pixels

# `tfkit.models.logits_model` finds the scores by this name.
_SCORES = "scores"
# 0.99, Keras's default, leaves the running statistics of a short training far behind.
_MOST_MOMENTUM = 0.9


def searchable_classifier(model: keras.Model, inputs: Inputs | None = None) -> keras.Model:
    """Rebuild a classifier flat, in float32, with a softmax of its own behind the logits.

    Args:
        model: A functional or sequential model from raw pixels to the scores, or the logits, of two or more classes.
            It is not changed.
        inputs: A few real inputs that the two are compared on; see `tfkit.graph.refuse_difference`.

    Returns:
        A model with the same answers, every layer trainable; its last layer is `Softmax(name="scores")`. BatchNorm
        layers follow their statistics at 0.9 or quicker when trained, so that a few hundred steps are enough.

    Raises:
        ModelError: Says why the model cannot be searched, or which layer of the copy does not compute what the
            model's does.
    """
    if faults := _faults(model):
        raise ModelError(
            f"model '{model.name}' cannot be searched: {'; '.join(faults)}",
            hint="give a trained float classifier that takes images and gives the scores of its classes",
        )
    if any(layer.compute_dtype in ("float16", "bfloat16") for layer in model._flatten_layers()):
        model = with_dtype_policy(model, "float32", inputs)
    graph = read_graph(with_float_pixels(model))
    last = graph.outputs[0].node

    def call(node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]) -> Tensor | Sequence[Tensor]:
        if node is last:
            return keras.layers.Softmax(name=_SCORES)(_logits(node, copy, args, kwargs))
        return _trainable(copy())(*args, **kwargs)

    made = build_model(graph, call)
    gives_scores = last is not None and (last.kind == "Softmax" or activation_name(last.operation) == "softmax")
    alike = made if gives_scores else keras.Model(made.inputs[0], made.get_layer(_SCORES).input, name=made.name)
    refuse_difference(model, alike, inputs, what="copy to search")
    return made


def _faults(model: keras.Model) -> list[str]:
    if not getattr(model, "inputs", None):
        return ["it is a subclassed model, which has no graph of layers"]
    faults = []
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4:
        faults.append(f"it takes {[tuple(tensor.shape) for tensor in model.inputs]}, expected one input of images")
    if len(model.outputs) != 1 or len(model.outputs[0].shape) != 2 or (model.outputs[0].shape[1] or 0) < 2:
        shapes = [tuple(tensor.shape) for tensor in model.outputs]
        faults.append(f"it gives {shapes}, expected the scores of two or more classes")
    if is_compressed(model):
        faults.append("it is pruned or quantisation-aware already")
    graph = None if faults else read_graph(model)
    last = graph.outputs[0].node if graph else None
    if graph is not None and last is not None and len(graph.calls_of(last.operation)) > 1:
        faults.append(f"its last layer '{last.name}' is called elsewhere too")
    if last is not None and activation_name(last.operation) not in ("linear", "softmax"):
        faults.append(f"its last layer '{last.name}' ends in {activation_name(last.operation)}, expected a softmax")
    return faults


def _logits(node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]) -> Tensor | Sequence[Tensor]:
    layer = node.operation
    if node.kind == "Softmax" or isinstance(layer, keras.layers.Activation):
        return args[0]
    if activation_name(layer) == "softmax":
        linear = copy_layer(layer, name=node.name, activation="linear", trainable=True)
        outputs = linear(*args, **kwargs)
        give_weights(linear, layer.get_weights())
        return outputs
    return _trainable(copy())(*args, **kwargs)


def _trainable(layer: keras.Layer) -> keras.Layer:
    if isinstance(layer, keras.layers.Layer):
        layer.trainable = True
    if isinstance(layer, keras.layers.BatchNormalization):
        layer.momentum = min(layer.momentum, _MOST_MOMENTUM)
    return layer
