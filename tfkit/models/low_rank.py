"""Low-rank updates (LoRA): kernels stay as they are, and the product of two small ones is learned beside each."""

from collections.abc import Callable, Iterable

import keras
import numpy as np

from tfkit.errors import ModelError
from tfkit.graph import give_weights, refuse_difference
from tfkit.keras_types import Array, Inputs
from tfkit.models.classifier import backbone_layers
from tfkit.models.freezing import free_everything

# Where Hu et al. (arXiv:2106.09685) found a given number of parameters to do most.
_PROJECTIONS = ("query", "value")


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
            if is_low_rank(weight):
                del values[id(weight)]
            elif weight.name == "kernel":
                values[id(weight)] = inner.kernel  # Keras gives the sum
    return [np.asarray(keras.ops.convert_to_numpy(value)) for value in values.values()]


def with_low_rank(model: keras.Model, *, rank: int = 8) -> keras.Model:
    """A copy of an image classifier in which only LoRA's products on its attention, and its head, learn.

    The products stand beside the queries and the values of every `MultiHeadAttention` of the backbone, as
    `tfkit.models.text.adapt` puts them (Hu et al. 2021, arXiv:2106.09685, Keras's own `enable_lora`).

    Args:
        model: A classifier of `build_classifier`; not changed.
        rank: Of the products, 1 or more. Keras factors the last axis of a kernel (hidden, heads, width).

    Returns:
        The copy; it gives the same scores until it is trained. `merge_low_rank` brings home what it learned.

    Raises:
        ModelError: When the backbone has no attention, the rank is below 1, or it holds LoRA already.

    Example:
        >>> vit = build_classifier(build_backbone("vit_micro_8", image=ImageSpec(32, 32)), classes=3)
        >>> sum(weight.trainable for weight in with_low_rank(vit, rank=2).weights) < len(vit.weights)
        True
    """
    if rank < 1:
        raise ModelError(f"the rank of low-rank updates must be 1 or more; got {rank}")
    if low_rank_layers(model):
        raise ModelError(f"'{model.name}' holds LoRA already")
    copy = keras.models.clone_model(model)
    give_weights(copy, model.get_weights())
    free_everything(copy)  # what trained before may have frozen some
    projections = [layer for attention in _attention(copy) for layer in _projections(attention)]
    if not projections:
        raise ModelError(
            f"backbone {model.name} has no attention for low-rank updates to stand beside",
            hint="set fine_tune.method to all, or name a vision transformer: vit_tiny_16, or a ViT or DeiT preset",
        )
    for layer in projections:
        layer.enable_lora(rank)
    for layer in backbone_layers(copy):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False  # its running statistics stay too
    learn_only(copy, is_low_rank)
    return copy


def merge_low_rank(adapted: keras.Model, model: keras.Model, inputs: Inputs | None = None) -> None:
    """Give a model the weights of a copy with LoRA: the products are added to the kernels they stand beside.

    Args:
        adapted: The copy, which `with_low_rank` gave or `tfkit.models.text.adapt` changed.
        model: A model of the same layers, without LoRA; changed in place, and everything in it may learn.
        inputs: A few real inputs that the two are compared on; see `tfkit.graph.refuse_difference`.

    Raises:
        ModelError: When a layer of the model does not compute what the copy's does.
    """
    for old, new in zip(adapted.layers, model.layers, strict=True):
        give_weights(new, merged_weights(old))
    free_everything(model)
    refuse_difference(adapted, model, inputs, what="copy with merged updates")


def learn_only(model: keras.Model, learns: Callable[[keras.Variable], bool]) -> None:
    """Freeze a backbone's weights one by one but for some; a frozen layer would freeze what was added to it.

    Args:
        model: A classifier whose backbone's layers may learn; changed in place.
        learns: Tells for a weight whether it goes on learning.
    """
    for layer in backbone_layers(model):
        for weight in layer.trainable_weights:
            weight.trainable = learns(weight)


def is_low_rank(weight: keras.Variable) -> bool:
    """Whether a weight is one of LoRA's two small kernels."""
    return str(weight.name).startswith("lora_kernel_")


def _attention(model: keras.Model) -> Iterable[keras.layers.MultiHeadAttention]:
    for layer in backbone_layers(model):
        for inner in layer._flatten_layers():
            if isinstance(inner, keras.layers.MultiHeadAttention):
                yield inner


def _projections(attention: keras.layers.MultiHeadAttention) -> list[keras.layers.EinsumDense]:
    inside = attention._flatten_layers(include_self=False, recursive=False)
    return [layer for layer in inside if layer.name in _PROJECTIONS]
