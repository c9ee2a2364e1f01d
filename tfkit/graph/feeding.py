"""Feed a Keras model with arrays or tensors by name."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras

Value = TypeVar("Value")
_Array = NDArray[np.generic]


def fed(model: "keras.Model", feed: Mapping[str, Value] | Value) -> dict[str, Value] | Value:
    """What a Keras model is called with: one value where it has one unnamed input, else the values by name.

    Args:
        model: A built `keras.Model`.
        feed: Arrays or tensors by name; the value of an only input may come bare.

    Returns:
        The bare value, or the values by the names of the model's inputs.

    Example:
        >>> fed(model, {"pixels": pixels[:2]}).shape
        (2, 16, 16, 1)
    """
    if not isinstance(feed, Mapping):
        return feed
    named = getattr(model, "input", None)  # a Sequential that was never called has none
    if isinstance(named, dict):
        return {str(name): feed[name] for name in named}
    inputs = getattr(model, "inputs", ())  # a model written as a class has none, and takes what it asks for by name
    return next(iter(feed.values())) if len(inputs) == 1 else dict(feed)


@overload
def float_pixels(feed: Mapping[str, _Array]) -> Mapping[str, _Array]: ...
@overload
def float_pixels(feed: _Array) -> _Array: ...
@overload
def float_pixels(feed: Mapping[str, _Array] | _Array) -> Mapping[str, _Array] | _Array: ...
def float_pixels(feed: Mapping[str, _Array] | _Array) -> Mapping[str, _Array] | _Array:
    """What a Keras model computes on: bare arrays, and bytes by name, as float32; token ids stay whole numbers.

    Example:
        >>> float_pixels({"pixels": pixels[:2]})["pixels"].dtype
        dtype('float32')
    """
    if not isinstance(feed, Mapping):
        return feed.astype(np.float32)
    return {name: values.astype(np.float32) if values.dtype == np.uint8 else values for name, values in feed.items()}
