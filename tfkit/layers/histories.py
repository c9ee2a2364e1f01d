"""The layer that recommenders begin with."""

from typing import Unpack

import keras
from keras import ops

from tfkit.keras_types import LayerConfig, LayerOptions, Shape, Tensor


@keras.saving.register_keras_serializable(package="tfkit")
class TakenItems(keras.layers.Layer):
    """Which ids a row holds, as zeros and ones; `keras.layers.CategoryEncoding` has no TFLite operator for it.

    Args:
        width: How many ids there are, 0 among them.
        **kwargs: As for every Keras layer.

    Example:
        >>> TakenItems(4)(np.int32([[2, 0, 0]])).numpy().tolist()
        [[1.0, 0.0, 1.0, 0.0]]
    """

    def __init__(self, width: int, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.width = width

    def call(self, inputs: Tensor) -> Tensor:
        return ops.max(ops.one_hot(inputs, self.width, dtype=self.compute_dtype), axis=1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.width)

    def get_config(self) -> LayerConfig:
        config: LayerConfig = super().get_config()
        return config | {"width": self.width}
