"""What a kind of labels is: how a file writes them, and what is asked of an array of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

_FEWEST = 3  # of a stratum: fewer cannot be shared out to three splits
CELLS = "\x1f"  # between the cells of several label columns; no cell of a table holds it


class Coding(Protocol):
    """How a data set writes its labels; see `tfkit.data.targets.Targets`."""

    @property
    def columns(self) -> tuple[str, ...]:
        """A name for each column, where each label or number has one of its own."""

    @property
    def separator(self) -> str:
        """What stands between the labels of one column."""


def as_it_is(value: object, coding: Coding) -> object:
    """A cell that needs no other form."""
    return value


def as_numbers(labels: np.ndarray, width: int) -> np.ndarray:
    """Labels that are rows of numbers already."""
    return labels.astype(np.float32)


def unchanged(labels: np.ndarray) -> np.ndarray:
    """Targets that are labels already."""
    return labels


def as_they_stand(labels: np.ndarray, places: np.ndarray, width: int) -> np.ndarray:
    """Labels whose names never grow."""
    return labels


def rarest(labels: np.ndarray) -> np.ndarray:
    """Strata of rows of several names, int32 (n,) from 0: the rarest that each has; those of one or two in one."""
    rarity = np.where(labels > 0, labels.sum(axis=0, dtype=np.int64), np.iinfo(np.int64).max)
    groups = np.where(labels.any(axis=1), rarity.argmin(axis=1), labels.shape[1])
    numbers, counts = np.unique(groups, return_counts=True)
    groups = np.where(np.isin(groups, numbers[counts < _FEWEST]), labels.shape[1], groups)
    return np.unique(groups, return_inverse=True)[1].astype(np.int32)


@dataclass(frozen=True)
class TargetKind:
    """A kind of labels.

    Attributes:
        name: What they are: "classes".
        holds: Whether an array is of this kind.
        fault: From a label as it stands in a file, and the coding, to what is wrong with it, as the end of a sentence;
            None for nothing.
        counts: From labels (n, ...) and names to how many examples have each, int (k,).
        strata: From labels, n of them and at least one, to groups by which they are split and drawn, int (n,) from 0.
        told: From one label and the names to its words.
        dense: From labels and how many names there are to what a loss compares with, float32 (n, k).
        of_dense: The reverse.
        names: From all labels as they stand, the coding and the names that are wanted, to the names, in their order;
            None where the source itself names them.
        values: From labels as they stand, the coding and the names to the array; None where the source makes it.
        cell: From a value of a JSON line and the coding to what a cell of a table would hold.
        renamed: From labels, the place of each of their names among others, and how many others there are, to the same
            labels in those names.
        keeps_names: Whether a run that goes on from another must have the same names.
        named_by_column: Whether a single column names what it holds.
    """

    name: str
    holds: Callable[[np.ndarray], bool]
    fault: Callable[[str, Coding], str | None]
    counts: Callable[[np.ndarray, Sequence[str]], np.ndarray]
    strata: Callable[[np.ndarray], np.ndarray]
    told: Callable[[np.ndarray, Sequence[str]], str]
    dense: Callable[[np.ndarray, int], np.ndarray] = as_numbers
    of_dense: Callable[[np.ndarray], np.ndarray] = unchanged
    names: Callable[[Sequence[str], Coding, Sequence[str] | None], tuple[str, ...]] | None = None
    values: Callable[[Sequence[str], Coding, tuple[str, ...]], np.ndarray] | None = None
    cell: Callable[[object, Coding], object] = as_it_is
    renamed: Callable[[np.ndarray, np.ndarray, int], np.ndarray] = as_they_stand
    keeps_names: bool = False
    named_by_column: bool = False
