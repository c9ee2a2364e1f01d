"""The tables of rows of a transformer, on the grids that its integer file holds them on."""

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.graph import copy_layer
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
