"""A hard sigmoid that adds what the exported file adds."""

from typing import Unpack

import keras
import numpy as np
from keras import ops

from tfkit.keras_types import LayerConfig, LayerOptions, Tensor
from tfkit.layers.whole_numbers import straight_through

_SHIFT = 3.0
_ONE = 127  # the weight that stands for 1
_NARROW = 8


@keras.saving.register_keras_serializable(package="tfkit")
class SettledHardSigmoid(keras.layers.Activation):
    """`relu6(x + shift) / 6`: Keras's hard sigmoid until the shift is settled.

    A file adds the 3 as a whole number of (step of the input / 127). A hard sigmoid of zero lies half way between two
    steps of its output, so that the smallest difference turns it; where a ReLU is before it, that is half the values.

    Once settled, an 8-bit model predicts in whole numbers: the file's operator gives six times the hard sigmoid, in
    255 steps.

    Args:
        activation: Always `hard_sigmoid`; what every `Activation` has in its settings.
        shift: What is added.
        input_step: Width of a step of the input's grid of 8 bits, once settled; 0: not settled, or of 16 bits.
        **kwargs: As for every Keras layer.

    Attributes:
        enabled: False computes as Keras does.
    """

    def __init__(
        self,
        activation: str = "hard_sigmoid",
        *,
        shift: float = _SHIFT,
        input_step: float = 0.0,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(activation, **kwargs)
        self.shift, self.input_step = float(shift), float(input_step)
        self.enabled = True

    def settle(self, input_step: float, *, bits: int) -> None:
        """Predict as the file computes, from now on.

        Args:
            input_step: Width of a step of the input's grid.
            bits: Of that grid. With 16, the shift alone is put on the file's steps.
        """
        self.shift = round(_SHIFT / (input_step / _ONE)) * (input_step / _ONE)
        self.input_step = input_step if bits == _NARROW else 0.0

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if not self.enabled:
            return super().call(inputs)
        if training:
            self.shift, self.input_step = _SHIFT, 0.0  # what is trained on has other ranges
        if not self.input_step or inputs.dtype != "float32":
            return super().call(inputs) if self.shift == _SHIFT else ops.relu6(inputs + self.shift) * (1 / 6)
        counted, given = (
            np.float32(self.input_step) * (np.float32(1) / np.float32(_ONE)),
            np.float32(6) / np.float32(255),
        )
        whole = _ONE * ops.round(inputs * (1 / self.input_step)) + float(np.round(_SHIFT / counted))
        steps = ops.round(whole * ops.convert_to_tensor(counted / given))
        return straight_through(super().call(inputs), ops.clip(steps, 0.0, 255.0) * (1 / 255))

    def get_config(self) -> LayerConfig:
        config: LayerConfig = super().get_config()
        return config | {"shift": self.shift, "input_step": self.input_step}
