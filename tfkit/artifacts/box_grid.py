"""The places at which a detector looks for boxes: three maps of a square image, and what each is for.

Their number alone says how large the image is: places = (side / 8)^2 + (side / 16)^2 + (side / 32)^2.
"""

import math
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

    @property
    def reach(self) -> float:
        """How far a box may reach from its place to each side, in pixels."""
        return self.largest


LEVELS = (Level(8, 48.0), Level(16, 112.0), Level(32, float("inf")))
BOX_SIDES = 4  # top, left, bottom, right
_PER_PIXEL: float = sum(1 / level.stride**2 for level in LEVELS)


def side_of(places: int) -> int:
    """The side of the square image that has so many places, in pixels.

    Example:
        >>> side_of(84)
        64
    """
    return round(math.sqrt(places / _PER_PIXEL))


def levels(side: int) -> tuple[NDArray[np.float64], NDArray[np.float64], list[Level]]:
    """Where the places are.

    Args:
        side: Of the square image, in pixels.

    Returns:
        Their centres, float (places, 2): row and column, as shares of the side; how far a box may reach from each, as
        a share of the side, float (places,); and the level of each.
    """
    centres, reaches, of = [], [], list[Level]()
    for level in LEVELS:
        count = side // level.stride
        middles = (np.arange(count) + 0.5) / count
        rows, columns = np.meshgrid(middles, middles, indexing="ij")
        centres.append(np.stack([rows.ravel(), columns.ravel()], axis=1))
        reach = min(1.0, level.reach / side)
        reaches.append(np.full(count * count, reach))
        of += [level] * (count * count)
    return np.concatenate(centres), np.concatenate(reaches), of
