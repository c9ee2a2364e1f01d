"""Pixels with their channels in another order, as `keras.applications`' Caffe networks want them."""

from collections.abc import Sequence
from typing import Unpack

import keras
from keras import ops

from tfkit.keras_types import LayerConfig, LayerOptions, Tensor


@keras.saving.register_keras_serializable(package="tfkit")
class ChannelOrder(keras.layers.Layer):
    """Take the channels of the last axis in another order: (2, 1, 0) makes BGR of RGB.

    What `preprocess_input` writes as a slice for each channel and a stack of them is this one layer to a quantiser,
    which folds it into the scaling of the pixels.

    Args:
        order: For each channel of the result, which channel of the input it is.
        **kwargs: As for every Keras layer.

    Example:
        >>> ChannelOrder((2, 1, 0))(np.float32([[1, 2, 3]])).numpy().tolist()
        [[3.0, 2.0, 1.0]]
    """

    def __init__(self, order: Sequence[int], **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.order = tuple(int(channel) for channel in order)

    def call(self, inputs: Tensor) -> Tensor:
        return ops.take(inputs, list(self.order), axis=-1)

    def get_config(self) -> LayerConfig:
        config: LayerConfig = super().get_config()
        return config | {"order": list(self.order)}

    def compute_output_spec(self, inputs: Tensor) -> keras.KerasTensor:
        return keras.KerasTensor((*inputs.shape[:-1], len(self.order)), dtype=inputs.dtype)
