"""Boxes with a class each: float32 (n, most, 5), the class, then top, left, bottom and right as shares of the image.

A row of an image with fewer boxes than the most has the class -1. As it stands in a reading, an image's label is a JSON
list of rows: the class's name and the four shares.
"""

import json
from collections import Counter
from collections.abc import Sequence

import numpy as np

from tfkit.data.target_kinds.kind import Coding, TargetKind, rarest, unchanged
from tfkit.errors import DataError

NOTHING = -1.0  # the class of a row that is no box
_SHOWN = 10


def _fault(label: str, coding: Coding) -> str | None:
    return None


def _names(labels: Sequence[str], coding: Coding, wanted: Sequence[str] | None) -> tuple[str, ...]:
    found = {str(row[0]) for label in labels for row in json.loads(label)}
    if wanted is not None and (missing := [name for name in wanted if name not in found]):
        listed = ", ".join(sorted(found)[:_SHOWN]) + (", …" if len(found) > _SHOWN else "")
        raise DataError(f"no box is of {', '.join(missing)}; there are {listed}", hint="check data.classes")
    if not found:
        raise DataError("no image has a box", hint="check data.directory")
    return tuple(wanted) if wanted is not None else tuple(sorted(found))


def _values(labels: Sequence[str], coding: Coding, names: tuple[str, ...]) -> np.ndarray:
    number_of = {name: number for number, name in enumerate(names)}
    rows = [[(number_of[row[0]], *row[1:]) for row in json.loads(label) if row[0] in number_of] for label in labels]
    boxes = np.zeros((len(rows), max(1, *map(len, rows)) if rows else 1, 5), np.float32)
    boxes[..., 0] = NOTHING
    for place, row in enumerate(rows):
        if row:
            boxes[place, : len(row)] = row
    return boxes


def classes_shown(boxes: np.ndarray, count: int) -> np.ndarray:
    """Which classes each image shows: uint8 (n, count)."""
    shown = np.zeros((len(boxes), count), np.uint8)
    images, rows = np.nonzero(boxes[..., 0] >= 0)
    shown[images, boxes[images, rows, 0].astype(np.int64)] = 1
    return shown


def _counts(labels: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """How many images show each class."""
    return np.asarray(classes_shown(labels, len(names)).sum(axis=0, dtype=np.int64))


def _strata(labels: np.ndarray) -> np.ndarray:
    return rarest(classes_shown(labels, max(1, int(labels[..., 0].max(initial=0)) + 1)))


def _told(label: np.ndarray, names: Sequence[str]) -> str:
    counts = Counter(names[int(number)] for number in label[:, 0] if number >= 0)
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"


BOXES = TargetKind(
    name="boxes",
    holds=lambda labels: labels.ndim == 3 and labels.dtype != np.uint8,
    fault=_fault,
    counts=_counts,
    strata=_strata,
    told=_told,
    dense=lambda labels, width: unchanged(labels),
    names=_names,
    values=_values,
    keeps_names=True,
)
