"""Weights from one model to another, with what layers derive from them."""

from collections.abc import Sequence

import keras

from tfkit.keras_types import Array


def give_weights(owner: keras.Layer, weights: Sequence[Array]) -> None:
    """Set the weights of a layer or model as `set_weights` does, and what its layers compute from them.

    A `Normalization` layer computes with a mean and a variance that it derives from its weights in `finalize_state`,
    which `set_weights` does not call: without it a copy of an adapted layer is the identity.

    Args:
        owner: A built layer or model; changed in place.
        weights: Arrays of the shapes of its weights, in their order.

    Raises:
        ValueError: When their number or shapes differ.

    Example:
        >>> give_weights(copy, model.get_weights())  # doctest: +SKIP
    """
    owner.set_weights(weights)
    for layer in owner._flatten_layers():
        if layer.weights and hasattr(layer, "finalize_state"):  # Discretization has none, and would forget its bins
            layer.finalize_state()
