"""What a quantisation-aware model is folded into: a plain one, with what its integer file must know."""

from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.keras_types import Tensor
from tfkit.layers import FakeQuantize


@dataclass(frozen=True)
class Rounding:
    """One rounding of a quantisation-aware model.

    Attributes:
        name: The quantiser's name.
        minimum, maximum: Its range.
        bits: Its bits.
    """

    name: str
    minimum: float
    maximum: float
    bits: int

    @property
    def range(self) -> tuple[float, float]:
        """Lowest and highest."""
        return self.minimum, self.maximum


def rounding_of(quantizer: FakeQuantize) -> Rounding:
    """The rounding that a quantiser stands for."""
    if quantizer.fixed_range is not None:
        return Rounding(quantizer.name, *quantizer.fixed_range, quantizer.bits)
    return Rounding(quantizer.name, *quantizer.real_range(), quantizer.result_bits)


@dataclass(frozen=True)
class TrainedKernel:
    """A kernel as it was trained.

    Attributes:
        layer: Its layer's name.
        steps: Whole numbers in the Keras layout, int8 in `-127..127` or `-7..7`; a negative BatchNorm scale has
            turned their signs. A table's are those of its file, `-128..127`.
        bits: 8 or 4.
        is_table: Whether it is a table of rows to look up.
        first_axes: Which axes may come first in the file; None: it may lie there as in Keras.
    """

    layer: str
    steps: NDArray[np.int8]
    bits: int
    is_table: bool = False
    first_axes: tuple[int | None, ...] = (-1,)


@dataclass(frozen=True)
class AnswerTable:
    """What a file looks up in place of computing a function that LiteRT has no integer kernel for.

    Attributes:
        rounding: The name of the rounding of its output.
        answers: int8 (256,): the output's steps for the inputs -128 to 127.
    """

    rounding: str
    answers: NDArray[np.int8]


@dataclass(frozen=True)
class FoldedModel:
    """A plain float32 model with everything that an integer file of it needs to know.

    Attributes:
        model: It takes scaled pixels (n, height, width, channels), the values of the file's input tensor; raw ones
            when activations have 16 bits. Or token ids and their padding mask.
        input: The rounding of that input; None for token ids, which are not rounded.
        activation_bits: 8 or 16.
        roundings: The roundings with the tensors of `model` they apply to, in running order.
        joined: Each concatenation's tensor with the tensors that go into it: they share its scale.
        kernels: The trained kernels, those left in float aside.
        four_bit: The tensors that operators with a 4-bit kernel write.
        float_layers: Layers the policy left in float, and those that run inside them.
        float_tensors: The tensors they write.
        tables: For functions without an integer kernel, in whose place `model` has a GELU.
        smaller: The roundings of what is the smaller of two tensors, in whose place `model` has the larger one.
    """

    model: keras.Model
    input: Rounding | None
    activation_bits: int
    roundings: tuple[tuple[Rounding, Tensor], ...]
    joined: tuple[tuple[Tensor, tuple[Tensor, ...]], ...]
    kernels: tuple[TrainedKernel, ...]
    four_bit: tuple[Tensor, ...]
    float_layers: tuple[str, ...]
    float_tensors: tuple[Tensor, ...]
    tables: tuple[AnswerTable, ...] = ()
    smaller: tuple[str, ...] = ()
