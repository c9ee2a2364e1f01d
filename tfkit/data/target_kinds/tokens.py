"""The next token at each place of a text: int32 (n, length), -1 where none is asked for."""

from collections.abc import Sequence

import numpy as np

from tfkit.data.target_kinds.kind import Coding, TargetKind, unchanged


def _fault(label: str, coding: Coding) -> str | None:
    return None if label else "its answer is empty"


def _counts(labels: np.ndarray, names: Sequence[str]) -> np.ndarray:
    return np.zeros(len(names), np.int64)


def _strata(labels: np.ndarray) -> np.ndarray:
    """One: no answer is of a kind with another."""
    return np.zeros(len(labels), np.int32)


def _told(label: np.ndarray, names: Sequence[str]) -> str:
    return f"{int((label >= 0).sum())} tokens"


TOKENS = TargetKind(
    name="tokens",
    holds=lambda labels: labels.ndim == 2 and labels.dtype == np.int32,
    fault=_fault,
    counts=_counts,
    strata=_strata,
    told=_told,
    dense=lambda labels, width: unchanged(labels),
)
