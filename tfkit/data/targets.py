"""What examples are labelled with, and what is asked of an array of labels, whatever its kind.

The array says its kind: int32 (n,) are places of classes; uint8 (n, k) are labels that are true (1) or not (0); float32
(n, k) are numbers; uint8 (n, height, width) are masks, whose 255 is no class. See `tfkit.data.target_kinds`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfkit.data.masks import MaskCoding
from tfkit.data.target_kinds import TargetKind, kind_named, kind_of


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

    kind: str = "classes"
    columns: tuple[str, ...] = ()
    separator: str = ";"
    masks: MaskCoding | None = None

    @property
    def _kind(self) -> TargetKind:
        return kind_named(self.kind)

    def fault(self, label: str) -> str | None:
        """What is wrong with a label as it stands in a file, as the end of a sentence; None for nothing."""
        return self._kind.fault(label, self)

    def cell(self, value: object) -> object:
        """A value of a JSON line as a cell of a table holds it."""
        return self._kind.cell(value, self)

    def names(self, labels: Sequence[str], wanted: Sequence[str] | None) -> tuple[str, ...]:
        """The names of the labels or numbers; those of classes and masks come from their source.

        Args:
            labels: All labels as they stand in the files.
            wanted: Keep only these labels, in this order.

        Raises:
            DataError: When a wanted label is not there, or there is none at all.
        """
        assert self._kind.names is not None
        return self._kind.names(labels, self, wanted)

    def values(self, labels: Sequence[str], names: tuple[str, ...]) -> np.ndarray:
        """The array of labels as they stand in a file: uint8 (n, k) of `labels`, float32 (n, k) of `numbers`."""
        assert self._kind.values is not None
        return self._kind.values(labels, self, names)


CLASSES = Targets()


def target_kind(labels: np.ndarray) -> str:
    """The name of the kind of labels that an array holds.

    Example:
        >>> target_kind(np.array([2, 0, 1]))
        'classes'
    """
    return kind_of(labels).name


def dense_targets(labels: np.ndarray, width: int) -> np.ndarray:
    """What a loss compares with: one-hot rows, rows of 0 and 1, or numbers, float32 (n, width); masks as they are."""
    return kind_of(labels).dense(labels, width)


def target_counts(labels: np.ndarray, names: Sequence[str]) -> dict[str, int]:
    """How many examples have each class, or each label; of numbers, how many have one; of masks, who show it."""
    return {name: int(count) for name, count in zip(names, kind_of(labels).counts(labels, names), strict=True)}


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
    return kind_of(labels).strata(labels) if len(labels) else np.zeros(0, np.int32)


def told_target(labels: np.ndarray, position: int, names: Sequence[str]) -> str:
    """An example's class, labels or numbers in words; of a mask the classes that it shows."""
    return kind_of(labels).told(labels[position], names)
