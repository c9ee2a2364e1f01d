"""Users of one split: what they took, and what they took next."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tfkit.data.histories.catalogue import Catalogue

if TYPE_CHECKING:
    from scipy import sparse


@dataclass(frozen=True, eq=False)
class UserExamples:
    """Users, each with a history and with what is to be found.

    Attributes:
        histories: For each of n users the ids of items, from 1, oldest first.
        wanted: The ids of what each took next; of users to learn from the whole history again.
        names: What the users are called.
        catalogue: The items.

    Example:
        >>> items = Catalogue(("a", "b"), ("Tea", "Milk"), ("", ""))
        >>> users = UserExamples((np.array([1]),), (np.array([2]),), ("Ann",), items)
        >>> users.texts, users.labels.tolist()
        (('Tea',), [[0, 0, 1]])
    """

    histories: tuple[NDArray[np.int32], ...]
    wanted: tuple[NDArray[np.int32], ...]
    names: tuple[str, ...]
    catalogue: Catalogue

    def __len__(self) -> int:
        return len(self.histories)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The items' names in the order of a model's scores: id 0 is no item."""
        return self.catalogue.outputs

    @cached_property
    def labels(self) -> np.ndarray:
        """uint8 (n, items + 1): 1 for each wanted item, in the column of its id."""
        labels = np.zeros((len(self), len(self.catalogue) + 1), np.uint8)
        for row, ids in zip(labels, self.wanted, strict=True):
            row[ids] = 1
        return labels

    @property
    def texts(self) -> tuple[str, ...]:
        """Each history in words, oldest first."""
        names = self.class_names
        return tuple("; ".join(names[item] for item in history) for history in self.histories)

    def select(self, positions: np.ndarray) -> "UserExamples":
        """The users at `positions` (int (m,), 0..n-1), in that order."""
        chosen = [int(position) for position in positions]
        return UserExamples(
            tuple(self.histories[place] for place in chosen),
            tuple(self.wanted[place] for place in chosen),
            tuple(self.names[place] for place in chosen),
            self.catalogue,
        )

    def latest(self, length: int) -> "UserExamples":
        """The same users with the latest `length` items of each history alone, as a model of that length sees them."""
        return replace(self, histories=tuple(history[-length:] for history in self.histories))

    def class_counts(self) -> dict[str, int]:
        """How many there are."""
        return {"users": len(self)}

    def taken(self) -> "sparse.csr_array":
        """Which items each user's history holds: float64 (n, items), the column of id 1 first."""
        from scipy import sparse  # it takes a moment to import

        lengths = [len(history) for history in self.histories]
        rows = np.repeat(np.arange(len(self)), lengths)
        columns = np.concatenate([*self.histories, np.zeros(0, np.int32)]) - 1
        return sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(self), len(self.catalogue)))

    def ids(self, length: int) -> NDArray[np.int32]:
        """What a model takes: the latest `length` items of each history, int32 (n, length), 0 behind them."""
        ids = np.zeros((len(self), length), np.int32)
        for row, history in zip(ids, self.latest(length).histories, strict=True):
            row[: len(history)] = history
        return ids
