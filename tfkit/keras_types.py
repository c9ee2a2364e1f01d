"""Names for what goes into Keras models and layers, for annotations.

Keras and TensorFlow publish no types: mypy takes theirs for anything, and they tell a reader alone what a value is.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias, TypedDict, Union

import keras
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import tensorflow as tf

# Symbolic while a model is built, a tensor of the backend while it runs: under JAX a `jax.Array`.
Tensor: TypeAlias = Union[keras.KerasTensor, "tf.Tensor"]

# What a model is called with: one tensor, or several by the names of its inputs.
Tensors: TypeAlias = Tensor | dict[str, Tensor]

# A tensor's shape, the batch first; None where a size is not known. Of a saved model's layers a list.
Shape: TypeAlias = Sequence[int | None]

# A NumPy array of any type of element.
Array: TypeAlias = NDArray[np.generic]

# What a model takes: (n, ...), or by the names of its inputs.
Inputs: TypeAlias = Array | Mapping[str, Array]

# What a layer's `get_config` gives and its `from_config` takes: its arguments by name, as JSON holds them.
LayerConfig: TypeAlias = dict[str, object]

# What Keras tells a callback: the loss and the metrics by name.
Logs: TypeAlias = dict[str, float]


class LayerOptions(TypedDict, total=False):
    """The arguments that every Keras layer takes, as in `keras.layers.Layer`."""

    name: str | None
    dtype: str | keras.DTypePolicy | None
    trainable: bool
    autocast: bool
