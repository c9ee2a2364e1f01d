"""Masks and boxes over their pictures, for people: the picture, the true ones and those given, side by side."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tfkit.data.masks import IGNORED

if TYPE_CHECKING:
    from tfkit.reports.findings import Evaluation
    from tfkit.reports.gallery import Misclassified

_STRENGTH = 0.55  # of a class's colour over the picture
_WITH_SCORE = 6  # numbers of a box
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


def with_parts(evaluation: Evaluation, shown: Misclassified) -> Misclassified:
    """What a report shows of examples: of a segmenter or detector the picture, what is true and what was given.

    Args:
        evaluation: The model's answers.
        shown: Gives pixels or texts for positions in the evaluation split.

    Returns:
        `shown` itself for every other task.
    """
    if not evaluation.task.answers_parts:
        return shown
    colours = class_colours(len(evaluation.class_names))

    def together(positions: np.ndarray) -> np.ndarray:
        pictures = np.asarray(shown(positions))
        if evaluation.task.answers_boxes:
            answers: Any = evaluation.task.given(evaluation.scores[positions], evaluation.decision)
            over = partial(boxed, names=evaluation.class_names, colours=colours)
        else:
            answers, over = evaluation.answers[positions], partial(overlaid, colours=colours)
        rows = zip(pictures, evaluation.labels[positions], answers, strict=True)
        return np.stack([_side_by_side(picture, (true, given), over) for picture, true, given in rows])

    return together


def boxed(
    pixels: np.ndarray, boxes: np.ndarray, *, names: tuple[str, ...], colours: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """A picture with boxes drawn in their classes' colours, each with its class and score.

    Args:
        pixels: (height, width, 1 or 3), 0..255.
        boxes: float (m, 5): class, top, left, bottom and right as shares of the picture; a class of -1 is none. Or with
            a score behind the class, float (m, 6).
        names: The classes.
        colours: uint8 (k, 3).

    Returns:
        uint8 (height, width, 3).

    Example:
        >>> boxed(np.zeros((8, 8, 3), np.uint8), np.zeros((0, 5)), names=("ant",), colours=class_colours(1)).max()
        np.uint8(0)
    """
    picture = np.repeat(pixels, 3, axis=2) if pixels.shape[-1] == 1 else pixels
    drawn = Image.fromarray(np.asarray(picture).clip(0, 255).astype(np.uint8))
    pen, (height, width) = ImageDraw.Draw(drawn), picture.shape[:2]
    for row in boxes[::-1]:  # the surest last, over the others
        if row[0] < 0:
            continue
        top, left, bottom, right = (float(share) for share in row[-4:])
        corners = (left * width, top * height, max(left * width, right * width - 1), max(0, bottom * height - 1))
        colour = tuple(map(int, colours[int(row[0])]))
        pen.rectangle(corners, outline=colour, width=max(1, round(min(height, width) / 96)))
        if min(height, width) >= _LEAST:
            told = names[int(row[0])] + (f" {row[1]:.2f}" if len(row) == _WITH_SCORE else "")
            around = pen.textbbox((corners[0] + 2, corners[1] + 1), told)
            pen.rectangle(around, fill=colour)
            pen.text((corners[0] + 2, corners[1] + 1), told, fill="white")
    return np.asarray(drawn)


def _side_by_side(
    picture: np.ndarray, parts: tuple[np.ndarray, ...], over: Callable[[np.ndarray, np.ndarray], NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    factor = max(1, round(_LEAST / picture.shape[0]))
    plain = np.repeat(picture, 3, axis=2) if picture.shape[-1] == 1 else picture
    tiles = [np.asarray(plain, np.uint8), *(over(picture, part) for part in parts)]
    tiles = [part.repeat(factor, axis=0).repeat(factor, axis=1) for part in tiles]
    gap = np.full((tiles[0].shape[0], _GAP, 3), 255, np.uint8)
    return np.concatenate([tiles[0], *(piece for tile in tiles[1:] for piece in (gap, tile))], axis=1)


def legend(evaluation: Evaluation) -> tuple[tuple[str, str], ...]:
    """Of a segmenter or detector each class and its colour, as CSS writes it; empty for every other task."""
    if not evaluation.task.answers_parts:
        return ()
    names = evaluation.class_names
    tones = ["#{:02x}{:02x}{:02x}".format(*tone) for tone in class_colours(len(names)).tolist()]
    return tuple(zip(names, tones, strict=True))
