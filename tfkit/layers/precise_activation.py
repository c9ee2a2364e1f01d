"""Sigmoid and tanh to the last bit of float32."""

from typing import Unpack

import keras
from keras import ops

from tfkit.keras_types import LayerOptions, Tensor
from tfkit.layers.whole_numbers import PRECISE


@keras.saving.register_keras_serializable(package="tfkit")
class PreciseActivation(keras.layers.Activation):
    """A sigmoid or tanh whose predictions are computed in float64 and rounded to float32 once.

    XNNPACK's int8 kernels look up tables made so. TensorFlow's own functions are some last bits off, which is another
    step where a result lies half way between two: for one network in a hundred, up to one value in a hundred.

    Args:
        *args, **kwargs: As for `keras.layers.Activation`.

    Attributes:
        enabled: False computes as Keras does.
    """

    def __init__(self, *args: object, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(*args, **kwargs)
        self.enabled = True

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if training or not self.enabled or inputs.dtype != "float32":
            return super().call(inputs)
        return ops.cast(super().call(ops.cast(inputs, PRECISE)), "float32")
