"""A hard SiLU that gives what LiteRT's integer kernel gives."""

import math
from typing import Unpack

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from tfkit.keras_types import LayerOptions, Shape, Tensor
from tfkit.layers.whole_numbers import straight_through

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
        taken_step, given_step = ((high - low) / (_STEPS - 1) for low, high in (taken, given))
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
