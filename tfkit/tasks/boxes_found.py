"""Boxes that a detector found: what is left of its answers, and which true box each is."""

import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts.box_grid import corners

COVERED = 0.6  # intersection over union from which the lower of two boxes of a class is taken away
MOST = 100  # boxes of an image, as COCO counts

Found = NDArray[np.float32]  # (m, 6): class, score, top, left, bottom, right; the highest score first


def overlaps(first: np.ndarray, second: np.ndarray) -> NDArray[np.float64]:
    """Intersection over union of each of some boxes (a, 4) with each of others (b, 4): float (a, b).

    Example:
        >>> overlaps(np.array([[0, 0, 1, 1]]), np.array([[0, 0, 0.5, 1]])).tolist()
        [[0.5]]
    """
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=-1, dtype=np.float64)
    areas = [np.prod(np.maximum(one[:, 2:] - one[:, :2], 0), axis=-1, dtype=np.float64) for one in (first, second)]
    either = areas[0][:, None] + areas[1][None] - shared
    return np.asarray(np.divide(shared, either, out=np.zeros_like(shared), where=either > 0))


def found_boxes(scores: np.ndarray, least: "np.ndarray | float") -> list[Found]:
    """What a detector found in each image.

    Args:
        scores: Its answers, float32 (n, places, classes + 4).
        least: The score from which a box counts, or that of each class.

    Returns:
        For each image its boxes, at most 100.

    Example:
        >>> answer = np.float32([[[0.9, 0.5, 0.5, 1, 1], [0.8, 0.5, 0.45, 1, 0.9], [0.1, 0, 0, 0.1, 0.1]]])
        >>> found_boxes(answer, 0.5)[0].astype(float).round(1).tolist()
        [[0.0, 0.9, 0.0, 0.0, 1.0, 1.0]]
    """
    return [_found(np.asarray(answer, np.float32), least) for answer in scores]


def _found(answer: np.ndarray, least: "np.ndarray | float") -> Found:
    with np.errstate(invalid="ignore"):
        places, classes = np.nonzero(answer[:, :-4] >= least)
    score = answer[places, classes]
    order = np.argsort(-score, kind="stable")[: 10 * MOST]
    rows = np.column_stack([classes, score, corners(answer[places, -4:])])[order].astype(np.float32)
    kept: list[np.ndarray] = []
    while len(rows) and len(kept) < MOST:
        first, rows = rows[0], rows[1:]
        kept.append(first)
        covered = (overlaps(first[None, 2:], rows[:, 2:])[0] > COVERED) & (rows[:, 0] == first[0])
        rows = rows[~covered]
    return np.array(kept, np.float32).reshape(-1, 6)


def matched(given: Found, true: Found, least: float) -> NDArray[np.int64]:
    """Of each found box, the best scored first, the true one of its class that it is; -1 for none. Each is one's alone.

    Example:
        >>> box = np.float32([[0, 0.9, 0, 0, 1, 1]])
        >>> matched(box, box, 0.5).tolist()
        [0]
    """
    fits = overlaps(given[:, 2:], true[:, 2:]) * (given[:, :1] == true[None, :, 0])
    taken = np.full(len(given), -1, np.int64)
    for row in range(len(given)):
        free = np.setdiff1d(np.arange(len(true)), taken)
        if len(free) and fits[row, free].max() >= least:
            taken[row] = free[fits[row, free].argmax()]
    return taken
