"""Any of several labels at once: uint8 (n, k), 1 where one is true."""

from collections.abc import Sequence

import numpy as np

from tfkit.data.target_kinds.kind import CELLS, Coding, TargetKind, rarest
from tfkit.errors import DataError

_TRUE, _FALSE = {"1", "1.0", "true", "yes", "y", "x"}, {"", "0", "0.0", "false", "no", "n"}
_SHOWN = 10


def _fault(label: str, coding: Coding) -> str | None:
    wrong = [cell for cell in label.split(CELLS) if cell.strip().lower() not in _TRUE | _FALSE]
    return f"a label's column holds '{wrong[0][:40]}', expected 1 or 0" if coding.columns and wrong else None


def _set(label: str, coding: Coding) -> tuple[str, ...]:
    if coding.columns:
        cells = zip(coding.columns, label.split(CELLS), strict=True)
        return tuple(name for name, cell in cells if cell.strip().lower() in _TRUE)
    return tuple(name for part in label.split(coding.separator) if (name := part.strip()))


def _names(labels: Sequence[str], coding: Coding, wanted: Sequence[str] | None) -> tuple[str, ...]:
    found = set(coding.columns) or {name for label in labels for name in _set(label, coding)}
    if wanted is not None and (missing := [name for name in wanted if name not in found]):
        listed = ", ".join(sorted(found)[:_SHOWN]) + (", …" if len(found) > _SHOWN else "")
        raise DataError(f"there is no label {', '.join(missing)}; there are {listed}", hint="check data.classes")
    names = tuple(wanted) if wanted is not None else coding.columns or tuple(sorted(found))
    if len(names) == 1:
        raise DataError(
            f"there is one label alone, '{names[0]}': that is a question of yes or no",
            hint="ask it as two classes: task.kind classification",
        )
    if not names:
        raise DataError("no example has a label", hint=f"labels of one column stand with '{coding.separator}' between")
    return names


def _values(labels: Sequence[str], coding: Coding, names: tuple[str, ...]) -> np.ndarray:
    number_of = {name: number for number, name in enumerate(names)}
    values = np.zeros((len(labels), len(names)), np.uint8)
    for row, label in enumerate(labels):
        values[row, [number_of[name] for name in _set(label, coding) if name in number_of]] = 1
    return values


def _cell(value: object, coding: Coding) -> object:
    """A JSON list of labels as a cell of a table holds them."""
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return coding.separator.join(value)
    return value


def _told(label: np.ndarray, names: Sequence[str]) -> str:
    return ", ".join(name for name, true in zip(names, label, strict=True) if true) or "none"


def _renamed(labels: np.ndarray, places: np.ndarray, width: int) -> np.ndarray:
    wide = np.zeros((len(labels), width), np.uint8)
    wide[:, places] = labels
    return wide


LABELS = TargetKind(
    name="labels",
    holds=lambda labels: labels.ndim == 2 and labels.dtype == np.uint8,
    fault=_fault,
    counts=lambda labels, names: labels.sum(axis=0, dtype=np.int64),
    strata=rarest,
    told=_told,
    of_dense=lambda targets: (targets > 0.5).astype(np.uint8),
    names=_names,
    values=_values,
    cell=_cell,
    renamed=_renamed,
)
