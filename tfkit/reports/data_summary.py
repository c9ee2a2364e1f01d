"""The data a run used, in words and rows: read from `DataReport.to_json()`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfkit.reports.quantities import counted

_TITLES = {"train": "Training", "validation": "Validation", "test": "Evaluation"}


@dataclass(frozen=True)
class SplitSummary:
    """One split: its name, its name for people, the number of examples of each class, and of all.

    Of several labels, and of masks, an example counts for each class that it shows: the sum is more.
    """

    name: str
    title: str
    counts: Mapping[str, int]
    total: int


@dataclass(frozen=True)
class DataSummary:
    """What the data was.

    Attributes:
        class_names: The classes, in the order of the scores.
        splits: The splits that hold examples.
        left_out: What was not used, each with its reason.
        duplicates: Groups of examples of one split with the same content, one text for each group.
        leakage: The same for groups that lie in more than one split.
        near_duplicates: Groups of pictures of one split that look the same, one text for each group.
        near_leakage: The same for groups that lie in more than one split.
        notes: What was decided about the data.
        noun: What one example is called.
    """

    class_names: tuple[str, ...]
    splits: tuple[SplitSummary, ...]
    left_out: tuple[str, ...]
    duplicates: tuple[str, ...]
    leakage: tuple[str, ...]
    near_duplicates: tuple[str, ...]
    near_leakage: tuple[str, ...]
    notes: tuple[str, ...]
    noun: str

    @property
    def sentence(self) -> str:
        """Examples by split and class, in one sentence."""
        parts = [f"{counted(split.total, self.noun)} for {split.title.lower()}" for split in self.splits]
        listed = f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else "".join(parts)
        many = f", in {counted(len(self.class_names), 'class', 'classes')}" if len(self.class_names) > 1 else ""
        return f"{listed}{many}."


def summarize_data(data: Mapping[str, Any], *, noun: str) -> DataSummary:
    """Read the data report for people.

    Args:
        data: `DataReport.to_json()`.
        noun: What one example is called.

    Returns:
        The same as values ready to print.
    """
    kept, counted_in_all = data["kept"], data.get("examples", {})  # older runs have no sums
    near, near_leakage = data.get("near_duplicates", ()), data.get("near_leakage", ())  # older runs have none
    splits = tuple(
        SplitSummary(name, title, kept[name], counted_in_all.get(name, sum(kept[name].values())))
        for name, title in _TITLES.items()
        if name in kept and sum(kept[name].values())
    )
    return DataSummary(
        class_names=tuple(splits[0].counts),
        splits=splits,
        left_out=tuple(f"{entry['name']}: {entry['reason']}" for entry in data["left_out"]),
        duplicates=tuple(_group(names) for names in data["duplicates"] if names not in data["leakage"]),
        leakage=tuple(_group(names) for names in data["leakage"]),
        near_duplicates=tuple(_group(names) for names in near if names not in near_leakage),
        near_leakage=tuple(_group(names) for names in near_leakage),
        notes=tuple(data["notes"]),
        noun=noun,
    )


def _group(names: Sequence[str]) -> str:
    return " = ".join(names)
