"""The kinds of labels that examples have; a new one is a module here, and a name in this list."""

import numpy as np

from tfkit.data.target_kinds.boxes import BOXES
from tfkit.data.target_kinds.classes import CLASSES
from tfkit.data.target_kinds.kind import Coding, TargetKind
from tfkit.data.target_kinds.labels import LABELS
from tfkit.data.target_kinds.masks import MASKS
from tfkit.data.target_kinds.numbers import NUMBERS
from tfkit.data.target_kinds.tokens import TOKENS

KINDS = (CLASSES, LABELS, NUMBERS, MASKS, BOXES, TOKENS)

__all__ = ["KINDS", "Coding", "TargetKind", "kind_named", "kind_of"]


def kind_named(name: str) -> TargetKind:
    """The kind of a recipe's task.

    Example:
        >>> kind_named("numbers").keeps_names
        True
    """
    return next(kind for kind in KINDS if kind.name == name)


def kind_of(labels: np.ndarray) -> TargetKind:
    """Which kind of labels an array holds.

    Example:
        >>> kind_of(np.array([2, 0, 1])).name
        'classes'
    """
    return next(kind for kind in KINDS if kind.holds(labels))
