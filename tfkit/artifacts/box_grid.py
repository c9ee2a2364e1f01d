"""The places at which a detector looks for boxes: three maps of a square image, and what each is for.

Their number alone says how large the image is: places = (side / 8)^2 + (side / 16)^2 + (side / 32)^2.

A box is written as MediaPipe's detectors write it: middle row, middle column, height, width, as shares of the image.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Level:
    """One map.

    Attributes:
        stride: Pixels of the image for each of its places.
        largest: Longer side of the largest box that is learned there, in pixels.
    """

    stride: int
    largest: float


LEVELS = (Level(8, 48.0), Level(16, 112.0), Level(32, float("inf")))
BOX_NUMBERS = 4
SCORE, LOCATION = "score", "location"  # what a detector's .tflite and .onnx files call their outputs
_ROOM = 1.25  # of the largest box: a sigmoid comes near 1 and never gets there
_AWAY = 2.0  # strides that a box's middle may lie from its place; 1.5 are asked for
_PER_PIXEL: float = sum(1 / level.stride**2 for level in LEVELS)


def side_of(places: int) -> int:
    """The side of the square image that has so many places, in pixels.

    Example:
        >>> side_of(84)
        64
    """
    return round(math.sqrt(places / _PER_PIXEL))


def levels(side: int) -> tuple[NDArray[np.float64], list[Level]]:
    """Where the places are.

    Args:
        side: Of the square image, in pixels.

    Returns:
        Their centres, float (places, 2): row and column, as shares of the side; and the level of each.

    Example:
        >>> centres, _ = levels(32)
        >>> centres[:2].tolist()
        [[0.125, 0.125], [0.125, 0.375]]
    """
    centres, of = [], list[Level]()
    for level in LEVELS:
        count = side // level.stride
        middles = (np.arange(count) + 0.5) / count
        rows, columns = np.meshgrid(middles, middles, indexing="ij")
        centres.append(np.stack([rows.ravel(), columns.ravel()], axis=1))
        of += [level] * (count * count)
    return np.concatenate(centres), of


def geometry(side: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The boxes that each place can give: the smallest numbers of one, and how far they go up to the largest.

    Args:
        side: Of the square image, in pixels.

    Returns:
        Float (places, 4) each, as shares of the side. A box's middle lies within two strides of its place, and inside
        of the image; its sides are between nothing and 1.25 times the largest of its level.
    """
    centres, of = levels(side)
    away = np.array([[_AWAY * level.stride / side] for level in of])
    lowest, highest = np.maximum(centres - away, 0), np.minimum(centres + away, 1)
    largest = np.array([[min(1.0, level.largest / side) * _ROOM] * 2 for level in of])
    return np.concatenate([lowest, np.zeros_like(largest)], axis=1), np.concatenate([highest - lowest, largest], axis=1)


def joined(outputs: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """A detector's answers from its file's outputs: the scores, and behind them the boxes; an only output as it is."""
    if set(outputs) == {SCORE, LOCATION}:
        return np.concatenate([outputs[SCORE], outputs[LOCATION]], axis=-1)
    return next(iter(outputs.values()))


def corners(boxes: NDArray[np.floating]) -> NDArray[np.floating]:
    """Top, left, bottom and right of boxes inside of the image, from their middles and sides; float (..., 4).

    Example:
        >>> corners(np.array([0.5, 0.5, 0.5, 1.5])).tolist()
        [0.25, 0.0, 0.75, 1.0]
    """
    middle, half = boxes[..., :2], boxes[..., 2:] / 2
    return np.asarray(np.clip(np.concatenate([middle - half, middle + half], axis=-1), 0, 1))
