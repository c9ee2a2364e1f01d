"""Operators that are looked up: tables of 256 answers, where a file computes them so."""

import math
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.graph import Node, copy_layer
from tfkit.graph.layer_graph import replace_values
from tfkit.keras_types import Tensor
from tfkit.layers import AddPositions, FakeQuantize


def plain_lookup(
    layer: keras.Layer, quantizer: FakeQuantize | None, ids: Tensor
) -> tuple[Tensor, NDArray[np.int8] | None]:
    """Call an Embedding with its rows on the grid of what is looked up.

    Args:
        layer: The Embedding.
        quantizer: What rounds its output; None when it stays in float.
        ids: int32 (n, length).

    Returns:
        The rows looked up, and the table as an 8-bit file holds it, -128..127; None when it holds it otherwise.
    """
    rows = keras.ops.convert_to_tensor(layer.embeddings)
    if quantizer is None:
        return _called(layer, rows, ids), None
    rounded = keras.ops.convert_to_numpy(quantizer(rows))
    steps = _file_steps(rounded, *quantizer.real_range()) if quantizer.bits == 8 else None
    return _called(layer, rounded, ids), steps


def plain_positions(layer: AddPositions, tensor: Tensor) -> Tensor:
    """Add the rows that a sequence of this length gets, on the grid they were trained on.

    Args:
        layer: The layer.
        tensor: (n, length, hidden), its length known.

    Returns:
        The sum.
    """
    rows = keras.ops.convert_to_numpy(layer.rows(int(tensor.shape[1])))
    return _called(layer, rows, tensor, positions=len(rows), bits=None)


def _called(layer: keras.Layer, rows: Tensor | NDArray[np.float32], tensor: Tensor, **changes: object) -> Tensor:
    made = copy_layer(layer, name=layer.name, kind=None, **changes)
    outputs = made(tensor)
    made.set_weights([keras.ops.convert_to_numpy(rows)])
    return outputs


def _file_steps(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.int8]:
    scale = max(high - low, 1e-12) / 255
    zero_point = np.clip(np.floor(0.5 - low / scale), 0, 255)
    return np.asarray(np.clip(np.round(values / scale) + zero_point, 0, 255) - 128, np.int8)


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
