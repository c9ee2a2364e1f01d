"""Masks over their pictures, for people: the picture, the true classes and those that were given, side by side."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tfkit.data.masks import IGNORED

if TYPE_CHECKING:
    from tfkit.reports.findings import Evaluation
    from tfkit.reports.gallery import Misclassified

_STRENGTH = 0.55  # of a class's colour over the picture
_GAP = 4  # pixels between two pictures
_LEAST = 192  # pixels of a picture's height: smaller ones are enlarged
_GOLDEN = 0.61803398875  # of a turn: hues that follow each other are far apart, and no two are the same


def class_colours(count: int) -> NDArray[np.uint8]:
    """A colour for each class: uint8 (count, 3); neighbours differ in hue, and every second one is darker.

    Example:
        >>> class_colours(2).shape
        (2, 3)
    """
    places = np.arange(count)
    hues, values = (0.58 + places * _GOLDEN) % 1, np.where(places % 2, 0.65, 0.95)
    tones = [colorsys.hsv_to_rgb(float(hue), 0.85, float(value)) for hue, value in zip(hues, values, strict=True)]
    return (255 * np.array(tones).reshape(count, 3)).round().astype(np.uint8)


def overlaid(pixels: np.ndarray, mask: np.ndarray, colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture under the colours of a mask's classes; where nothing is asked it is left as it is.

    Args:
        pixels: (height, width, 1 or 3), 0..255.
        mask: uint8 (height, width): positions of classes, 255 for none.
        colours: uint8 (k, 3).

    Returns:
        uint8 (height, width, 3).

    Example:
        >>> overlaid(np.zeros((1, 1, 3), np.uint8), np.full((1, 1), 255, np.uint8), class_colours(2)).tolist()
        [[[0, 0, 0]]]
    """
    picture = np.repeat(pixels, 3, axis=2) if pixels.shape[-1] == 1 else pixels
    grey = picture.mean(axis=-1, keepdims=True)  # a picture's own colours would be taken for a class's
    tinted = (1 - _STRENGTH) * grey + _STRENGTH * colours[np.where(mask == IGNORED, 0, mask)]
    return np.where((mask == IGNORED)[..., None], picture, tinted).clip(0, 255).astype(np.uint8)


def with_masks(evaluation: Evaluation, shown: Misclassified) -> Misclassified:
    """What a report shows of examples: of a segmenter the picture, its true mask and the given one, side by side.

    Args:
        evaluation: The model's answers.
        shown: Gives pixels or texts for positions in the evaluation split.

    Returns:
        `shown` itself for every other task.
    """
    if not evaluation.task.answers_pixels:
        return shown
    colours = class_colours(len(evaluation.class_names))

    def together(positions: np.ndarray) -> np.ndarray:
        pictures = np.asarray(shown(positions))
        rows = zip(pictures, evaluation.labels[positions], evaluation.answers[positions], strict=True)
        return np.stack([_side_by_side(picture, (true, given), colours) for picture, true, given in rows])

    return together


def _side_by_side(picture: np.ndarray, masks: tuple[np.ndarray, ...], colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    factor = max(1, round(_LEAST / picture.shape[0]))
    plain = np.repeat(picture, 3, axis=2) if picture.shape[-1] == 1 else picture
    parts = [np.asarray(plain, np.uint8), *(overlaid(picture, mask, colours) for mask in masks)]
    tiles = [part.repeat(factor, axis=0).repeat(factor, axis=1) for part in parts]
    gap = np.full((tiles[0].shape[0], _GAP, 3), 255, np.uint8)
    return np.concatenate([tiles[0], *(piece for tile in tiles[1:] for piece in (gap, tile))], axis=1)


def legend(evaluation: Evaluation) -> tuple[tuple[str, str], ...]:
    """Of a segmenter each class and its colour, as CSS writes it; empty for every other task."""
    if not evaluation.task.answers_pixels:
        return ()
    names = evaluation.class_names
    tones = ["#{:02x}{:02x}{:02x}".format(*tone) for tone in class_colours(len(names)).tolist()]
    return tuple(zip(names, tones, strict=True))
