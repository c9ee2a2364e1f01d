"""Keras's own LoRA layers: which there are, the same ones in a copy, and their weights merged."""

import keras
import numpy as np

from tfkit.keras_types import Array


def low_rank_layers(model: keras.Model) -> tuple[keras.Layer, ...]:
    """The layers of a model, nested ones too, in which `enable_lora` was called.

    Example:
        >>> low_rank_layers(model)
        ()
    """
    return tuple(layer for layer in model._flatten_layers() if getattr(layer, "lora_enabled", False))


def repeat_low_rank(model: keras.Model, copy: keras.Model) -> None:
    """Enable LoRA in a copy where the model has it; a copy by configuration comes without.

    Args:
        model: The model.
        copy: A model of the same layers, without LoRA; changed in place. Its weights then have the model's order.
    """
    if not low_rank_layers(model):
        return
    for old, new in zip(model._flatten_layers(), copy._flatten_layers(), strict=True):
        if getattr(old, "lora_enabled", False):
            new.enable_lora(old.lora_rank, lora_alpha=old.lora_alpha)


def merged_weights(layer: keras.Layer) -> list[Array]:
    """The weights of a layer as it would have them without LoRA: W + alpha / rank * A B in the place of W.

    Args:
        layer: A built layer, with LoRA somewhere inside or not.

    Returns:
        What `set_weights` of the same layer without LoRA takes.
    """
    values = {id(weight): weight for weight in layer.weights}
    for inner in low_rank_layers(layer):
        for weight in inner.weights:
            if weight.name.startswith("lora_kernel_"):
                del values[id(weight)]
            elif weight.name == "kernel":
                values[id(weight)] = inner.kernel  # Keras gives the sum
    return [np.asarray(keras.ops.convert_to_numpy(value)) for value in values.values()]
