"""What the data looks like: examples of each class, of labels that look wrong and of twins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from tfkit.artifacts import InputSpec
from tfkit.data.suspicious_labels import SuspiciousLabels
from tfkit.data.targets import target_kind, told_target
from tfkit.inputs import input_of
from tfkit.reports.gallery import is_tiny, quoted, salvaged_thumbnail, thumbnail

if TYPE_CHECKING:
    from tfkit.data import DatasetSplits, Examples, LeftOut

MOST_CLASSES, OF_A_CLASS = 12, 4
_MOST_DOUBTS = 12
_MOST_GROUPS, _OF_A_GROUP = 6, 3
_MOST_LEFT_OUT, _MOST_TRIED = 12, 50
_SIDE = 128  # pixels: about sharp at the 80 to 150 CSS pixels they are shown at, and 5 kB as JPEG


@dataclass(frozen=True)
class Sample:
    """One example to look at.

    Attributes:
        name: What to call it.
        label: Its class, labels or numbers in words.
        picture: The image as a data URI; empty for a text.
        pixelated: Whether the picture is so small that its pixels are shown.
        quotation: The text, on one line and cut; empty for an image.
        split: Where it lies: `train`, `validation` or `test`.
        likely: The class that it looks like; empty where its own is not in doubt.
        reason: Why it was left out, as part of a sentence; empty for what is used.
    """

    name: str
    label: str
    picture: str = ""
    pixelated: bool = False
    quotation: str = ""
    split: str = "train"
    likely: str = ""
    reason: str = ""


@dataclass(frozen=True)
class DataGallery:
    """What of a data set is shown.

    Attributes:
        classes: Of some classes the name, how many training examples there are, and a few of them.
        of_classes: How many classes there are.
        doubts: The training examples whose labels look wrong the most.
        leaked: Groups of the same content, or nearly so, that lie in two splits.
        twins: The same for groups of one split.
        left_out: Files that were left out and of which something can be seen.
    """

    classes: tuple[tuple[str, int, tuple[Sample, ...]], ...] = ()
    of_classes: int = 0
    doubts: tuple[Sample, ...] = ()
    leaked: tuple[tuple[Sample, ...], ...] = ()
    twins: tuple[tuple[Sample, ...], ...] = ()
    left_out: tuple[Sample, ...] = ()


def data_gallery(splits: DatasetSplits, spec: InputSpec, looked: SuspiciousLabels | None = None) -> DataGallery:
    """Choose what of a data set is worth a look, and make it ready for the page.

    Args:
        splits: The data.
        spec: What the model takes; images are shown as it takes them.
        looked: The labels that look wrong; None where nobody looked.

    Returns:
        At most about 100 examples, about half a megabyte of pictures.

    Example:
        >>> shown = data_gallery(splits, image)
        >>> [len(samples) for name, count, samples in shown.classes]
        [4, 4]
    """
    report, show = splits.report, _Shower(splits, spec)
    leaked = [*report.leakage, *report.near_leakage]
    twins = [group for group in (*report.duplicates, *report.near_duplicates) if group not in leaked]
    names = {} if target_kind(splits.train.labels) != "classes" else dict(enumerate(splits.class_names))
    counts = np.bincount(splits.train.labels, minlength=len(names)) if names else np.zeros(0, np.int64)
    classes = []
    for number in list(names)[:MOST_CLASSES]:
        members = np.flatnonzero(splits.train.labels == number)
        spread = np.unique(np.linspace(0, len(members) - 1, min(OF_A_CLASS, len(members))).astype(np.int64))
        classes.append((names[number], int(counts[number]), show.at("train", members[spread])))
    doubts = looked.found[:_MOST_DOUBTS] if looked else ()
    likely = {one.position: one.likely for one in doubts}
    return DataGallery(
        classes=tuple(classes),
        of_classes=len(names),
        doubts=show.at("train", np.array(list(likely), np.int64), likely),
        leaked=show.groups(leaked),
        twins=show.groups(twins),
        left_out=tuple(islice(_seen_of(report.left_out[:_MOST_TRIED]), _MOST_LEFT_OUT)),
    )


def _seen_of(left_out: Iterable[LeftOut]) -> Iterator[Sample]:
    for item in left_out:
        if item.path is not None and (picture := salvaged_thumbnail(item.path, side=_SIDE)):
            yield Sample(item.name, "", picture, picture.startswith("data:image/png"), reason=item.reason)


class _Shower:
    """Makes samples of a data set's examples."""

    def __init__(self, splits: DatasetSplits, spec: InputSpec) -> None:
        self._spec = spec
        self._splits: dict[str, Examples] = {
            "train": splits.train,
            "validation": splits.validation,
            "test": splits.test,
        }

    def at(self, split: str, positions: np.ndarray, likely: dict[int, str] | None = None) -> tuple[Sample, ...]:
        """The examples at some positions of a split."""
        if not len(positions):
            return ()
        examples, samples = self._splits[split], []
        looks = input_of(self._spec).shown(examples.select(positions), self._spec)
        for position, shown in zip(positions.tolist(), looks, strict=True):
            samples.append(
                Sample(
                    examples.names[position],
                    told_target(examples.labels, position, examples.class_names),
                    picture="" if isinstance(shown, str) else thumbnail(shown, side=_SIDE),
                    pixelated=not isinstance(shown, str) and is_tiny(shown),
                    quotation=quoted(shown) if isinstance(shown, str) else "",
                    split=split,
                    likely=(likely or {}).get(position, ""),
                )
            )
        return tuple(samples)

    def groups(self, groups: Sequence[Sequence[str]]) -> tuple[tuple[Sample, ...], ...]:
        """The first examples of the first groups of names; names that are in no split are passed over."""
        shown = groups[:_MOST_GROUPS]
        places = self._places({name for group in shown for name in group})
        found = (tuple(places[name] for name in group if name in places)[:_OF_A_GROUP] for group in shown)
        return tuple(
            tuple(sample for split, position in group for sample in self.at(split, np.array([position])))
            for group in found
            if len(group) > 1
        )

    def _places(self, wanted: Iterable[str]) -> dict[str, tuple[str, int]]:
        if not (names := set(wanted)):
            return {}
        return {
            name: (split, position)
            for split, examples in self._splits.items()
            for position, name in enumerate(examples.names)
            if name in names
        }
