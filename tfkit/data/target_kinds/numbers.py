"""A number or several: float32 (n, k), in their own units."""

import math
from collections.abc import Sequence

import numpy as np

from tfkit.data.target_kinds.kind import CELLS, Coding, TargetKind

_LEAST = 5  # examples of a bin
_BINS = 10  # numbers are split like classes: by the tenth of all that each lies in


def _fault(label: str, coding: Coding) -> str | None:
    wrong = [cell for cell in label.split(CELLS) if not _is_number(cell)]
    return f"its number is '{wrong[0][:40]}', expected one such as 3.5" if wrong else None


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and abs(float(text)) < 1e30
    except ValueError:
        return False


def _names(labels: Sequence[str], coding: Coding, wanted: Sequence[str] | None) -> tuple[str, ...]:
    return coding.columns or ("value",)


def _values(labels: Sequence[str], coding: Coding, names: tuple[str, ...]) -> np.ndarray:
    rows = [[float(cell) for cell in label.split(CELLS)] for label in labels]
    return np.array(rows, np.float32).reshape(len(labels), len(names))


def _strata(labels: np.ndarray) -> np.ndarray:
    """The tenth of all that each first number lies in."""
    ranks = labels[:, 0].argsort(kind="stable").argsort(kind="stable")
    return (ranks * min(_BINS, -(-len(labels) // _LEAST)) // len(labels)).astype(np.int32)


NUMBERS = TargetKind(
    name="numbers",
    holds=lambda labels: labels.ndim == 2 and labels.dtype.kind == "f",
    fault=_fault,
    counts=lambda labels, names: np.full(len(names), len(labels)),
    strata=_strata,
    told=lambda label, names: ", ".join(f"{number:.4g}" for number in label),
    names=_names,
    values=_values,
    keeps_names=True,
    named_by_column=True,
)
