"""Copy a network onto another input, with models nested in it laid open."""

from typing import Any

import keras


def flat_copy(model: keras.Model, x: Any) -> Any:
    """Copy the layers of a model, with their weights, onto a tensor; nested models are copied layer by layer.

    A call such as `base(x, training=False)` loses its argument: Keras 3.15 overrides it in the outer model anyway.

    Args:
        model: A functional or sequential model with one input and one output.
        x: A Keras tensor of the model's input shape; not necessarily an `Input`.

    Returns:
        The copy's output tensor.
    """
    graph = keras.Model(model.inputs[0], model.outputs[0])
    copies: list[tuple[keras.layers.Layer, keras.layers.Layer]] = []
    outputs: dict[str, Any] = {}

    def copy(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.Model):
            return layer
        copies.append((layer, layer.__class__.from_config(layer.get_config())))
        return copies[-1][1]

    def call(layer: keras.layers.Layer, *args: Any, **kwargs: Any) -> Any:
        nested = isinstance(layer, keras.Model)
        outputs[layer.name] = flat_copy(layer, args[0]) if nested else layer(*args, **kwargs)
        return outputs[layer.name]

    # clone_model's own result starts at an input of its own, so the tensors are taken on the way.
    keras.models.clone_model(graph, input_tensors=x, clone_function=copy, call_function=call)
    for original, copied in copies:
        if original.weights:
            copied.set_weights(original.get_weights())
    return outputs.get(graph.layers[-1].name, x)
