"""How a model's numbers are held: mixed or float32, and which of them are no numbers."""

import json
from typing import TYPE_CHECKING

import keras
import numpy as np

from tfkit.graph import build_model, give_weights, read_graph, refuse_difference
from tfkit.keras_types import Inputs
from tfkit.models.low_rank import repeat_low_rank

if TYPE_CHECKING:
    import tf_keras


def weight_that_is_no_number(model: "keras.Model | tf_keras.Model") -> str | None:
    """Find the first weight of a model that holds NaN or infinity.

    Args:
        model: A `keras.Model`, or one of tf-keras.

    Returns:
        Its path, such as `stem/kernel`; None when all values are finite.

    Example:
        >>> weight_that_is_no_number(model)
    """
    for weight in model.weights:
        values = np.asarray(keras.ops.convert_to_numpy(weight))
        if values.dtype.kind not in "iub" and not np.isfinite(values.astype(np.float32, copy=False)).all():
            return str(getattr(weight, "path", weight.name))
    return None


_IMAGE_RANK = 4
_POLICY_CLASSES = {"DTypePolicy", "FloatDTypePolicy"}


def with_dtype_policy(model: keras.Model, policy: str, inputs: Inputs | None = None) -> keras.Model:
    """The same model with the same weights under another dtype policy.

    Mixed precision is a property of the layers, so a float32 model is rebuilt to train in it, and rebuilt in float32
    to be exported.

    Args:
        model: A functional or sequential model.
        policy: `float32`, `mixed_float16` or `mixed_bfloat16`.
        inputs: A few real inputs that the two are compared on; see `tfkit.graph.refuse_difference`.

    Returns:
        A new model with layers of the same names. A layer that turns logits into scores stays in float32.

    Raises:
        ModelError: When a layer of the new model does not compute what the model's does.

    Example:
        >>> with_dtype_policy(model, "mixed_bfloat16").get_layer("logits").compute_dtype
        'bfloat16'
    """
    config = json.loads(model.to_json())
    rebuilt = keras.models.model_from_json(json.dumps(_replace_policies(config, policy)))
    repeat_low_rank(model, rebuilt)
    give_weights(rebuilt, model.get_weights())
    for new, old in zip(rebuilt.layers, model.layers, strict=True):
        new.trainable = old.trainable
    # Weight by weight too: the layer's flag switches all of its weights, where an adapted model trains a few of them.
    for new, old in zip(rebuilt.weights, model.weights, strict=True):
        new.trainable = old.trainable
    refuse_difference(model, rebuilt, inputs, what=f"{policy} copy")
    return rebuilt


def with_float_pixels(model: keras.Model) -> keras.Model:
    """The same model with images taken as float32 where it takes whole numbers.

    A file of it takes pixels in a type of its own; the casts of a model with `Input(dtype="uint8")` would be operators
    there that compute nothing.

    Args:
        model: A functional or sequential model. It is not changed.

    Returns:
        The model itself when no input of (n, height, width, channels) is of whole numbers; else a new one with the
        same answers to the same pixels.
    """
    whole = [tensor for tensor in model.inputs if len(tensor.shape) == _IMAGE_RANK and "int" in str(tensor.dtype)]
    if not whole:
        return model
    graph = read_graph(model)
    for value in graph.inputs:
        if len(value.shape) == _IMAGE_RANK and "int" in value.dtype:
            value.dtype = "float32"
    made = build_model(graph)
    refuse_difference(model, made, what="copy that takes float32 pixels")
    return made


def _replace_policies(node: object, policy: str) -> object:
    if isinstance(node, list):
        return [_replace_policies(item, policy) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("class_name") in _POLICY_CLASSES:
        return {**node, "config": {"name": policy}}
    if policy != "float32" and node.get("class_name") in {"Softmax", "InputLayer"}:
        return node
    return {key: _replace_policies(value, policy) for key, value in node.items()}
