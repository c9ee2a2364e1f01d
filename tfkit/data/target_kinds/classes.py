"""One class of several: int32 (n,), the places of their names."""

from collections.abc import Sequence

import numpy as np

from tfkit.data.target_kinds.kind import Coding, TargetKind


def _fault(label: str, coding: Coding) -> str | None:
    return None if label else "its label is empty"


def _counts(labels: np.ndarray, names: Sequence[str]) -> np.ndarray:
    return np.bincount(labels, minlength=len(names))


def _dense(labels: np.ndarray, width: int) -> np.ndarray:
    return np.asarray(np.eye(width, dtype=np.float32)[labels])


def _of_dense(targets: np.ndarray) -> np.ndarray:
    """The larger of two classes that were mixed."""
    return np.asarray(targets.argmax(axis=1), np.int32)


CLASSES = TargetKind(
    name="classes",
    holds=lambda labels: labels.ndim == 1,
    fault=_fault,
    counts=_counts,
    strata=lambda labels: labels,
    told=lambda label, names: names[int(label)],
    dense=_dense,
    of_dense=_of_dense,
    renamed=lambda labels, places, width: np.asarray(places[labels]),
)
