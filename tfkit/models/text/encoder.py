"""Where things are in a text model: its blocks, its token table, and the layers inside a layer."""

import keras

from tfkit.errors import ModelError

_BLOCK_PART = "feedforward_output_dense"  # keras-hub's name of it in every encoder of the BERT family


def inner_layers(layer: keras.Layer) -> tuple[keras.Layer, ...]:
    """The layers inside a layer or model, at any depth."""
    return tuple(layer._flatten_layers(include_self=False))


def encoder_blocks(model: keras.Model) -> tuple[keras.Layer, ...]:
    """The encoder's blocks (attention and feed-forward), in running order.

    Args:
        model: A text classifier of `build_text_classifier`, or its logits model.

    Returns:
        The blocks; ALBERT's one shared block counts once.

    Raises:
        ModelError: When there are none: an image model, or one that `open_transformer` laid open.

    Example:
        >>> len(encoder_blocks(text_classifier))
        2
    """
    blocks = tuple(
        layer
        for layer in model.layers
        if not isinstance(layer, keras.Model) and any(part.name == _BLOCK_PART for part in inner_layers(layer))
    )
    if not blocks:
        raise ModelError(
            f"model '{model.name}' has no encoder blocks",
            hint="name a classifier of build_text_classifier, before open_transformer lays its blocks open",
        )
    return blocks


def token_embedding(model: keras.Model) -> keras.layers.Embedding:
    """The layer that looks tokens up in a table.

    Args:
        model: A text model over an encoder, plain, opened or quantisation-aware.

    Returns:
        Its Embedding layer; where none is named so, the one with the most rows.

    Raises:
        ModelError: When there is none.
    """
    found = [layer for layer in inner_layers(model) if isinstance(layer, keras.layers.Embedding)]
    if not found:
        raise ModelError(f"model '{model.name}' has no Embedding layer", hint="name a text model")
    named = [layer for layer in found if "token_embedding" in layer.name]
    return named[0] if named else max(found, key=lambda layer: layer.input_dim)
