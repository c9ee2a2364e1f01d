"""What every reader gives back: one named part of a data set, before checking and splitting."""

from dataclasses import dataclass, field
from typing import Literal

from tfkit.data.examples import LeftOut
from tfkit.data.sources import ImageSource

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp"})
PartName = Literal["all", "train", "validation", "test"]

_PART_NAMES: dict[str, PartName] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True, eq=False)
class Reading:
    """One part of a data set as it was found.

    Attributes:
        source: Its images; position i belongs to `names[i]` and `labels[i]`.
        names: How to call each image in reports.
        labels: The class name of each image.
        left_out: What was found beside them and is no image.
        class_names: The classes in their order where the data set fixes it, else None (sorted by name).
    """

    source: ImageSource
    names: tuple[str, ...]
    labels: tuple[str, ...]
    left_out: tuple[LeftOut, ...] = field(default=())
    class_names: tuple[str, ...] | None = None


def part_name(text: str) -> PartName | None:
    """The part that a folder or a `split` column means: `val`, `valid` and `validation` are one.

    Example:
        >>> part_name("val"), part_name("holiday")
        ('validation', None)
    """
    return _PART_NAMES.get(text.strip().lower())
