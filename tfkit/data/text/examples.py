"""Labelled texts of one split."""

from dataclasses import dataclass

import numpy as np

from tfkit.data.targets import target_counts


@dataclass(frozen=True, eq=False)
class TextExamples:
    """Labelled texts of one split.

    Attributes:
        texts: The n texts, clean Unicode (no NUL, no lone surrogate).
        labels: int32 (n,), positions in `class_names`; of several labels uint8 (n, k), of numbers float32 (n, k).
        names: How to call each example in reports: `train.csv:17`, the row that starts in line 17.
        class_names: The names of the classes, labels or numbers, in the order of a model's scores.

    Example:
        >>> splits = load_text_splits(source="built_in", label_column="intent")
        >>> len(splits.train.select(np.arange(3)))
        3
    """

    texts: tuple[str, ...]
    labels: np.ndarray
    names: tuple[str, ...]
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    def select(self, positions: np.ndarray) -> "TextExamples":
        """The examples at `positions` (int (m,), 0..n-1), in that order."""
        return TextExamples(
            texts=tuple(self.texts[position] for position in positions),
            labels=self.labels[positions],
            names=tuple(self.names[position] for position in positions),
            class_names=self.class_names,
        )

    def class_counts(self) -> dict[str, int]:
        """How many examples each class or label has, in the order of `class_names`; of numbers all."""
        return target_counts(self.labels, self.class_names)
