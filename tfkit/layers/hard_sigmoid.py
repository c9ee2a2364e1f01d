"""A hard sigmoid that adds what the exported file adds."""

from typing import Any

import keras
from keras import ops

_SHIFT = 3.0


@keras.saving.register_keras_serializable(package="tfkit")
class SettledHardSigmoid(keras.layers.Activation):
    """`relu6(x + shift) / 6`: Keras's hard sigmoid until the shift is settled.

    A file adds the 3 as a whole number of (step of the input / 127). A hard sigmoid of zero lies half way between two
    steps of its output, so that the smallest difference turns it; where a ReLU is before it, that is half the values.

    Args:
        activation: Always `hard_sigmoid`; what every `Activation` has in its settings.
        shift: What is added.
        **kwargs: As for every Keras layer.
    """

    def __init__(self, activation: Any = "hard_sigmoid", *, shift: float = _SHIFT, **kwargs: Any) -> None:
        super().__init__(activation, **kwargs)
        self.shift = float(shift)

    def settle(self, step: float) -> None:
        """Round the shift to whole steps.

        Args:
            step: Of the file's shift.
        """
        self.shift = round(_SHIFT / step) * step

    def call(self, inputs: Any) -> Any:
        if self.shift == _SHIFT:
            return super().call(inputs)
        return ops.relu6(inputs + self.shift) * (1 / 6)

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config()
        return config | {"shift": self.shift}
