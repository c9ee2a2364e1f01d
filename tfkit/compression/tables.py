"""The answers of a function of one number, for each number that its 8-bit input can be."""

import math
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.graph import Node
from tfkit.graph.layer_graph import replace_values
from tfkit.layers import FakeQuantize

_INPUTS = 256


@dataclass(frozen=True)
class AnswerTable:
    """What a file looks up in place of computing a function that LiteRT has no integer kernel for.

    Attributes:
        rounding: The name of the rounding of its output.
        answers: int8 (256,): the output's steps for the inputs -128 to 127.
    """

    rounding: str
    answers: NDArray[np.int8]


def answer_table(node: Node, taken: tuple[float, float], quantizer: FakeQuantize) -> AnswerTable:
    """Ask a layer for its answers.

    Args:
        node: Its call; each output depends on one input alone.
        taken: Range of the 8-bit input, which holds 0.
        quantizer: What rounds the output, to 8 bits.

    Returns:
        The table, equal to the bit to what the Keras model computes.
    """
    step, zero = _grid(*taken)
    numbers = keras.ops.convert_to_tensor(((np.arange(_INPUTS) - zero) * step).astype(np.float32)[np.newaxis])
    args, kwargs = replace_values((node.args, node.kwargs), lambda _: numbers)
    answers = keras.ops.convert_to_numpy(quantizer(node.operation(*args, **kwargs)))[0]
    given_step, given_zero = _grid(*quantizer.real_range())
    steps = np.clip(np.round(answers / given_step) + given_zero, 0, _INPUTS - 1) - _INPUTS // 2
    return AnswerTable(quantizer.name, steps.astype(np.int8))


def _grid(low: float, high: float) -> tuple[float, int]:
    """Width of a step, and which of the 256 is zero."""
    step = (high - low) / (_INPUTS - 1)
    return step, min(_INPUTS - 1, max(0, math.floor(0.5 - low / step)))
