"""What examples are labelled with: one class, a set of labels, numbers, or a class for each pixel.

The array says which: int32 (n,) are positions of classes; uint8 (n, k) are labels that are true (1) or not (0);
float32 (n, k) are numbers; uint8 (n, height, width) are masks, whose 255 is no class.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tfkit.data.masks import MaskCoding, classes_present
from tfkit.errors import DataError

TargetKind = Literal["classes", "labels", "numbers", "masks"]
CELLS = "\x1f"  # between the cells of several label columns; no cell of a table holds it
_TRUE, _FALSE = {"1", "1.0", "true", "yes", "y", "x"}, {"", "0", "0.0", "false", "no", "n"}
_LEAST = 5  # examples of a bin
_BINS = 10  # numbers are split like classes: by the tenth of all that each lies in
_SHOWN = 10


@dataclass(frozen=True)
class Targets:
    """How a data set's labels, as they stand in a file, become an array.

    Attributes:
        kind: `classes`: one of several; `labels`: any of several at once; `numbers`; `masks`: a class for each pixel.
        columns: Where each label or number has a column of its own: their names. Empty: one column holds all.
        separator: What stands between the labels of one column.
        masks: Of masks: what their values mean. In files each label is a mask's path then.

    Example:
        >>> Targets("labels").values(["cat; dog", ""], ("bird", "cat", "dog")).tolist()
        [[0, 1, 1], [0, 0, 0]]
    """

    kind: TargetKind = "classes"
    columns: tuple[str, ...] = ()
    separator: str = ";"
    masks: MaskCoding | None = None

    def fault(self, label: str) -> str | None:
        """What is wrong with a label as it stands in a file, as the end of a sentence; None for nothing."""
        if self.kind == "classes":
            return None if label else "its label is empty"
        if self.kind == "masks":
            return None if label else "its mask is empty"
        cells = label.split(CELLS)
        if self.kind == "numbers":
            wrong = [cell for cell in cells if not _is_number(cell)]
            return f"its number is '{wrong[0][:40]}', expected one such as 3.5" if wrong else None
        if self.columns:
            wrong = [cell for cell in cells if cell.strip().lower() not in _TRUE | _FALSE]
            return f"a label's column holds '{wrong[0][:40]}', expected 1 or 0" if wrong else None
        return None

    def names(self, labels: Sequence[str], wanted: Sequence[str] | None) -> tuple[str, ...]:
        """The names of the labels or numbers, of `labels` and `numbers` alone.

        Args:
            labels: All labels as they stand in the files.
            wanted: Keep only these labels, in this order.

        Raises:
            DataError: When a wanted label is not there, or there is none at all.
        """
        if self.kind == "numbers":
            return self.columns or ("value",)
        found = set(self.columns) or {name for label in labels for name in self._set(label)}
        if wanted is not None and (missing := [name for name in wanted if name not in found]):
            listed = ", ".join(sorted(found)[:_SHOWN]) + (", …" if len(found) > _SHOWN else "")
            raise DataError(f"there is no label {', '.join(missing)}; there are {listed}", hint="check data.classes")
        names = tuple(wanted) if wanted is not None else self.columns or tuple(sorted(found))
        if len(names) == 1:
            raise DataError(
                f"there is one label alone, '{names[0]}': that is a question of yes or no",
                hint="ask it as two classes: task.kind classification",
            )
        if not names:
            raise DataError(
                "no example has a label", hint=f"labels of one column stand with '{self.separator}' between"
            )
        return names

    def values(self, labels: Sequence[str], names: tuple[str, ...]) -> np.ndarray:
        """The array of labels as they stand in a file: uint8 (n, k) of `labels`, float32 (n, k) of `numbers`."""
        if self.kind == "numbers":
            return np.array([[float(cell) for cell in label.split(CELLS)] for label in labels], np.float32).reshape(
                len(labels), len(names)
            )
        number_of = {name: number for number, name in enumerate(names)}
        values = np.zeros((len(labels), len(names)), np.uint8)
        for row, label in enumerate(labels):
            values[row, [number_of[name] for name in self._set(label) if name in number_of]] = 1
        return values

    def _set(self, label: str) -> tuple[str, ...]:
        if self.columns:
            cells = zip(self.columns, label.split(CELLS), strict=True)
            return tuple(name for name, cell in cells if cell.strip().lower() in _TRUE)
        return tuple(name for part in label.split(self.separator) if (name := part.strip()))


CLASSES = Targets()


def target_kind(labels: np.ndarray) -> TargetKind:
    """Which kind of labels an array holds.

    Example:
        >>> target_kind(np.array([2, 0, 1]))
        'classes'
    """
    if labels.ndim == 1:
        return "classes"
    if labels.ndim == 3:
        return "masks"
    return "labels" if labels.dtype == np.uint8 else "numbers"


def dense_targets(labels: np.ndarray, width: int) -> np.ndarray:
    """What a loss compares with: one-hot rows, rows of 0 and 1, or numbers, float32 (n, width); masks as they are."""
    if target_kind(labels) == "classes":
        return np.asarray(np.eye(width, dtype=np.float32)[labels])
    if target_kind(labels) == "masks":
        return labels
    return labels.astype(np.float32)


def target_counts(labels: np.ndarray, names: Sequence[str]) -> dict[str, int]:
    """How many examples have each class, or each label; of numbers, how many have one; of masks, who show it."""
    kind = target_kind(labels)
    if kind == "masks":
        shown = classes_present(labels).sum(axis=0, dtype=np.int64)
        return dict(zip(names, map(int, np.pad(shown, (0, len(names) - len(shown)))), strict=True))
    if kind == "classes":
        counts = np.bincount(labels, minlength=len(names))
    else:
        counts = labels.sum(axis=0, dtype=np.int64) if kind == "labels" else np.full(len(names), len(labels))
    return {name: int(count) for name, count in zip(names, counts, strict=True)}


def mean_and_deviation(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each number, float32 (k,); a number that never changes has a deviation of 1.

    Example:
        >>> mean_and_deviation(np.float32([[1, 5], [3, 5]]))[1].tolist()
        [1.0, 1.0]
    """
    deviation = labels.std(axis=0)
    return labels.mean(axis=0), np.where(deviation > 1e-12, deviation, 1.0).astype(np.float32)


def strata(labels: np.ndarray) -> np.ndarray:
    """Groups by which examples are split and drawn, int (n,) from 0: classes; the rarest label; tenths of numbers.

    Of masks the rarest class that each shows.
    """
    kind = target_kind(labels)
    if kind == "masks" and len(labels):
        return strata(classes_present(labels))
    if kind == "classes" or not len(labels):
        return labels if kind == "classes" else np.zeros(0, np.int32)
    if kind == "numbers":
        ranks = labels[:, 0].argsort(kind="stable").argsort(kind="stable")
        return (ranks * min(_BINS, -(-len(labels) // _LEAST)) // len(labels)).astype(np.int32)
    rarity = np.where(labels > 0, labels.sum(axis=0, dtype=np.int64), np.iinfo(np.int64).max)
    groups = np.where(labels.any(axis=1), rarity.argmin(axis=1), labels.shape[1])
    numbers, counts = np.unique(groups, return_counts=True)
    groups = np.where(np.isin(groups, numbers[counts < 3]), labels.shape[1], groups)  # too few to be shared out
    return np.unique(groups, return_inverse=True)[1].astype(np.int32)


def told_target(labels: np.ndarray, position: int, names: Sequence[str]) -> str:
    """An example's class, labels or numbers in words; of a mask the classes that it shows."""
    label, kind = labels[position], target_kind(labels)
    if kind == "masks":
        return ", ".join(names[int(place)] for place in np.flatnonzero(classes_present(label[None])[0])) or "none"
    if kind == "classes":
        return names[int(label)]
    if kind == "labels":
        return ", ".join(name for name, true in zip(names, label, strict=True) if true) or "none"
    return ", ".join(f"{number:.4g}" for number in label)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and abs(float(text)) < 1e30
    except ValueError:
        return False
