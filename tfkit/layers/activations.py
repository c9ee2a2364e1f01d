"""Activations as integer files compute them: hard sigmoid, hard SiLU, and float32 whatever the policy says."""

import math
from typing import Unpack

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from tfkit.keras_types import LayerConfig, LayerOptions, Shape, Tensor
from tfkit.layers.whole_numbers import PRECISE, step_width, straight_through

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

    stands_for = keras.layers.Activation

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
        self.shift = _whole_shift(input_step) * (input_step / _ONE)
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
        whole = _ONE * ops.round(inputs * (1 / self.input_step)) + float(_whole_shift(self.input_step))
        steps = ops.round(whole * ops.convert_to_tensor(counted / given))
        return straight_through(super().call(inputs), ops.clip(steps, 0.0, 255.0) * (1 / 255))

    def get_config(self) -> LayerConfig:
        config: LayerConfig = super().get_config()
        return config | {"shift": self.shift, "input_step": self.input_step}


def _whole_shift(input_step: float) -> int:
    """What is added, in what the file's sums count in."""
    return round(_SHIFT / (input_step / _ONE))


_STEPS = 256
_MOST = 2**15 - 1


@keras.saving.register_keras_serializable(package="tfkit")
class SettledHardSilu(keras.layers.Activation):
    """Keras's hard SiLU until it is settled; then a table of what LiteRT's int8 kernel answers to each of 256 inputs.

    The kernel computes with numbers of 16 bits and is up to a step from the function, for one value in a hundred.

    Args:
        activation: Always `hard_silu`; what every `Activation` has in its settings.
        **kwargs: As for every Keras layer.

    Attributes:
        table: float32 (256,): the answers.
        grid: float32 (2,): the lowest input and the step between inputs; a step of 0 until settled.
        enabled: False computes as Keras does.
    """

    stands_for = keras.layers.Activation

    def __init__(self, activation: str = "hard_silu", **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(activation, **kwargs)
        self.enabled = True

    def build(self, input_shape: Shape) -> None:
        still = {"trainable": False, "dtype": "float32", "autocast": False, "initializer": "zeros"}
        self.table = self.add_weight(name="table", shape=(_STEPS,), **still)
        self.grid = self.add_weight(name="grid", shape=(2,), **still)
        self.built = True

    def settle(self, taken: tuple[float, float], given: tuple[float, float]) -> None:
        """Compute the table; ranges must not change any more.

        Args:
            taken: Range of the 8-bit input, which holds 0.
            given: Range of the 8-bit output.
        """
        taken_step, given_step = (step_width(*grid, bits=8) for grid in (taken, given))
        zero, given_zero = (
            math.floor(-low / step + 0.5) for (low, _), step in ((taken, taken_step), (given, given_step))
        )
        answers = kernel_answers(np.arange(_STEPS) - zero, taken_step, given_step)
        self.table.assign(np.clip(answers, -given_zero, _STEPS - 1 - given_zero) * given_step)
        self.grid.assign([-zero * taken_step, taken_step])

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        outputs = super().call(inputs)
        if training or not self.enabled:
            return outputs
        lowest, step = self.grid[0], self.grid[1]
        places = ops.round((ops.cast(inputs, "float32") - lowest) / ops.where(step > 0, step, 1.0))
        answers = ops.take(self.table, ops.cast(ops.clip(places, 0, _STEPS - 1), "int32"), axis=0)
        return straight_through(outputs, ops.where(step > 0, ops.cast(answers, outputs.dtype), outputs))


def kernel_answers(inputs: NDArray[np.int64], input_step: float, output_step: float) -> NDArray[np.int64]:
    """LiteRT's int8 HARD_SWISH, bit by bit (`reference_ops::HardSwish`), before the output's zero point is added.

    Args:
        inputs: Whole numbers (n,), less the input's zero point.
        input_step, output_step: Steps of both grids.

    Returns:
        Whole numbers (n,).
    """
    fine_step = np.float32(1 / 128) * np.float32(input_step)
    output_factor, output_shift = _fixed_point(float(fine_step / np.float32(output_step)))
    gate_factor, gate_shift = _fixed_point(float(fine_step / np.float32(3.0 / 32768.0)))
    fine = np.asarray(inputs, np.int64) * 128
    gate = _product(_clipped(fine << max(gate_shift - 1, 0)), gate_factor)
    if gate_shift > 0:
        gate = _clipped(gate << 1)
    gate = _rounded_shift(gate, -gate_shift) if gate_shift < 0 else gate
    gate = (gate + 2**15) >> 1
    product = gate * _product(fine, output_factor)
    towards_zero = np.sign(product) * (np.abs(product) >> 15)
    return _rounded_shift(towards_zero, -output_shift)


def _fixed_point(factor: float) -> tuple[int, int]:
    """A factor as a number of 16 bits and a power of two."""
    mantissa, shift = math.frexp(factor)
    whole = math.floor(mantissa * 2**31 + 0.5)
    if whole == 2**31:
        whole, shift = whole // 2, shift + 1
    return (_MOST if whole >= 2**31 - 1 - 2**15 else (whole + 2**15) >> 16), shift


def _clipped(values: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.clip(values, -_MOST - 1, _MOST)


def _product(values: NDArray[np.int64], factor: int) -> NDArray[np.int64]:
    """The upper half of twice a product, rounded up: what x86 (PMULHRSW) and ARM (VQRDMULH) have an instruction for."""
    return _clipped((values * factor + 2**14) >> 15)


def _rounded_shift(values: NDArray[np.int64], places: int) -> NDArray[np.int64]:
    """Division by a power of two, half a step going away from zero."""
    mask = (1 << places) - 1
    return (values >> places) + ((values & mask) > (mask >> 1) + (values < 0))


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

    stands_for = keras.layers.Activation

    def __init__(self, *args: object, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(*args, **kwargs)
        self.enabled = True

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if training or not self.enabled or inputs.dtype != "float32":
            return super().call(inputs)
        return ops.cast(super().call(ops.cast(inputs, PRECISE)), "float32")
