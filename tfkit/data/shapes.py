"""Pictures of shapes with masks or boxes, drawn by a seed: what segmenters and detectors learn without any download."""

import json

import numpy as np
from numpy.typing import NDArray

from tfkit.data.box_folders import Box
from tfkit.data.image_files import PartName, Reading
from tfkit.data.masks import DrawnMasks
from tfkit.data.sources import ArraySource

CLASSES = ("background", "circle", "square", "triangle")
SIDE = 48  # pixels
_COUNT = 400
_SEED = 20240917
_MOST = 3  # shapes in a picture
_CONTRAST = 45  # least distance of a shape's colour from the background's, in one channel
_NOISE = 14.0


def read_shapes(*, channels: int, boxed: bool = False) -> dict[PartName, Reading]:
    """Draw 400 pictures of one to three circles, squares and triangles over each other, on a shaded ground.

    Colours say nothing of the class, sizes and places differ, and noise lies over all: only the outline tells.

    Args:
        channels: 1 for grey, 3 for RGB.
        boxed: Whether labels are boxes, of what is seen of each shape; else there are masks.

    Returns:
        One part, `all`: pictures of 48 x 48 pixels, masks of the positions in `CLASSES`; or boxes of all but the first.

    Example:
        >>> len(read_shapes(channels=3)["all"].names)
        400
    """
    rng = np.random.default_rng(_SEED)
    pictures, masks, boxes = zip(*(_drawn(rng) for _ in range(_COUNT)), strict=True)
    names = tuple(f"shapes[{number}]" for number in range(_COUNT))
    source = ArraySource(np.stack(pictures), channels=channels)
    if boxed:
        return {"all": Reading(source, names, tuple(map(json.dumps, boxes)), class_names=CLASSES[1:])}
    return {"all": Reading(source, names, names, class_names=CLASSES, masks=DrawnMasks(np.stack(masks)))}


def _drawn(rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8], list[Box]]:
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float64)
    ground = rng.uniform(60, 190, 3)
    shade = (rows * rng.uniform(-1, 1) + columns * rng.uniform(-1, 1)) * 0.4
    pixels = ground + shade[..., None]
    mask, shapes = np.zeros((SIDE, SIDE), np.uint8), list[tuple[int, NDArray[np.bool_]]]()
    for _ in range(int(rng.integers(1, _MOST + 1))):
        kind = int(rng.integers(1, len(CLASSES)))
        inside = _inside(kind, rows, columns, rng)
        colour = ground + rng.choice([-1, 1], 3) * rng.uniform(_CONTRAST, 110, 3)
        pixels = np.where(inside[..., None], colour, pixels)
        mask[inside] = kind
        shapes = [(other, seen & ~inside) for other, seen in shapes] + [(kind, inside)]
    noisy = pixels + rng.normal(0, _NOISE, pixels.shape)
    return noisy.round().clip(0, 255).astype(np.uint8), mask, [_box(*shape) for shape in shapes if shape[1].any()]


def _box(kind: int, seen: NDArray[np.bool_]) -> Box:
    """The box of what is seen of a shape, as shares of the picture."""
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    sides = (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)
    return (CLASSES[kind], *(round(float(side) / SIDE, 6) for side in sides))  # type: ignore[return-value]


def _inside(
    kind: int, rows: NDArray[np.float64], columns: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Where a shape of random place, size and turn is."""
    radius = rng.uniform(7, 14)
    row, column = rng.uniform(radius * 0.6, SIDE - radius * 0.6, 2)
    angle = rng.uniform(0, 2 * np.pi)
    down, right = rows - row, columns - column
    if kind == CLASSES.index("circle"):
        inside: NDArray[np.bool_] = down**2 + right**2 <= radius**2
        return inside
    corners = 4 if kind == CLASSES.index("square") else 3
    # Inside of a regular polygon is within the reach of all its sides.
    reach = radius * np.cos(np.pi / corners)
    turns = angle + 2 * np.pi * np.arange(corners) / corners
    sides = [right * np.cos(turn) + down * np.sin(turn) <= reach for turn in turns]
    return np.asarray(np.logical_and.reduce(sides))
