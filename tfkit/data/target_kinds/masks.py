"""A class for each pixel: uint8 (n, height, width), whose 255 is no class."""

from collections.abc import Sequence

import numpy as np

from tfkit.data.masks import classes_present
from tfkit.data.target_kinds.kind import Coding, TargetKind, rarest, unchanged


def _fault(label: str, coding: Coding) -> str | None:
    return None if label else "its mask is empty"


def _counts(labels: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """How many examples show each class."""
    shown = classes_present(labels).sum(axis=0, dtype=np.int64)
    return np.pad(shown, (0, len(names) - len(shown)))


def _told(label: np.ndarray, names: Sequence[str]) -> str:
    return ", ".join(names[int(place)] for place in np.flatnonzero(classes_present(label[None])[0])) or "none"


MASKS = TargetKind(
    name="masks",
    holds=lambda labels: labels.ndim == 3 and labels.dtype == np.uint8,
    fault=_fault,
    counts=_counts,
    strata=lambda labels: rarest(classes_present(labels)),
    told=_told,
    dense=lambda labels, width: unchanged(labels),
    keeps_names=True,
)
