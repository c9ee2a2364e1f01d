"""Additions that round as integer files do, and channels put into another order."""

import math
from collections.abc import Sequence
from typing import Unpack

import keras
import numpy as np
from keras import ops

from tfkit.keras_types import LayerConfig, LayerOptions, Tensor
from tfkit.layers.whole_numbers import PRECISE, half_away, straight_through, sum_of_wide


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


_BITS = 20  # of the larger multiplier, at least


class _Settled:
    """What both share: two inputs of 8 bits, each multiplied by a whole number, added, and shifted back.

    The whole number has 21 bits, so that one result in ten thousand is a step from what real numbers give. Inputs of
    16 bits are added as `sum_of_wide` says.

    Source: `xnn_init_qs8_add_minmax_scalar_params` of XNNPACK's `src/microparams-init.c`.

    Args:
        settled: Widths of a step of both inputs and of the result, once settled; default Keras's own sum.
        wide: Whether they are of 16 bits.
        **kwargs: As for every Keras layer.

    Attributes:
        enabled: False computes as Keras does.
    """

    sign: int

    def __init__(self, *, settled: list[float] | None = None, wide: bool = False, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.settled, self.wide = settled, wide
        self.enabled = True

    def settle(self, first: float, second: float, result: float) -> None:
        """Predict as the file computes, from now on, until it is trained again.

        Args:
            first, second: Widths of a step of the inputs' grids.
            result: That of the grid that the result is rounded to.
        """
        self.settled = [first, second, result]

    def call(self, inputs: Sequence[Tensor], training: bool | None = None) -> Tensor:
        if training:
            self.settled = None  # what is trained on has other ranges
        plain = super().call(inputs)  # type: ignore[misc]
        if self.settled is None or not self.enabled or inputs[0].dtype != "float32":
            return plain
        *given, result = self.settled
        if self.wide:
            first, second = (
                half_away(ops.cast(tensor, PRECISE) / step) for tensor, step in zip(inputs, given, strict=True)
            )
            exact = sum_of_wide(first, second, steps=(given[0], given[1], result), sign=self.sign) * result
            return straight_through(plain, ops.cast(exact, "float32"))
        ratios = [float(np.float32(step) / np.float32(result)) for step in given]
        shift = _BITS - (math.frexp(max(ratios))[1] - 1)
        multipliers = [
            sign * round(math.ldexp(ratio, shift)) for sign, ratio in zip((1, self.sign), ratios, strict=True)
        ]
        total: Tensor = 2 ** (shift - 1)
        for tensor, step, multiplier in zip(inputs, given, multipliers, strict=True):
            total = total + ops.cast(ops.round(tensor * (1 / step)), "int32") * multiplier
        return straight_through(plain, ops.cast(ops.right_shift(total, shift), "float32") * result)

    def get_config(self) -> LayerConfig:
        config: LayerConfig = super().get_config()  # type: ignore[misc]
        return config | {"settled": self.settled, "wide": self.wide}


@keras.saving.register_keras_serializable(package="tfkit")
class Add(_Settled, keras.layers.Add):
    """`keras.layers.Add` of two tensors.

    Example:
        >>> Add()([np.ones((1, 2), np.float32), np.ones((1, 2), np.float32)]).numpy().tolist()
        [[2.0, 2.0]]
    """

    stands_for = keras.layers.Add

    sign = 1


@keras.saving.register_keras_serializable(package="tfkit")
class Subtract(_Settled, keras.layers.Subtract):
    """`keras.layers.Subtract`.

    Example:
        >>> Subtract()([np.ones((1, 2), np.float32), np.ones((1, 2), np.float32)]).numpy().tolist()
        [[0.0, 0.0]]
    """

    stands_for = keras.layers.Subtract

    sign = -1
