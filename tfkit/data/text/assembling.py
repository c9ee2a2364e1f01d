"""From rows to examples with numbered labels."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfkit.data.assembly import Part, refuse_odd_names, wanted_classes
from tfkit.data.examples import LeftOut
from tfkit.data.image_files import PartName
from tfkit.data.targets import CLASSES, Targets, target_counts
from tfkit.data.text.normalizing import replace_unusable
from tfkit.data.text.reading import TextRow
from tfkit.errors import DataError


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


_SHOWN = 10


def clean(
    rows: dict[PartName, list[TextRow]], label_names: Mapping[str, str]
) -> tuple[dict[PartName, list[TextRow]], list[str]]:
    """Texts without NUL and lone surrogates, labels by the names that the caller gave, and a sentence on the former.

    Raises:
        DataError: When a label that is to be renamed does not occur.
    """
    present = {row.label for part in rows.values() for row in part}
    unused = [label for label in label_names if label not in present]
    if unused:
        found = ", ".join(f"'{label}'" for label in sorted(present)[:_SHOWN])
        raise DataError(
            f"label_names renames what is not there: {', '.join(map(repr, unused))}; the labels are {found}",
            hint="check data.label_names; its keys are the labels as they stand in the file",
        )
    cleaned = {
        part: [TextRow(row.name, replace_unusable(row.text), label_names.get(row.label, row.label)) for row in found]
        for part, found in rows.items()
    }
    changed = [
        after.name
        for part in rows
        for before, after in zip(rows[part], cleaned[part], strict=True)
        if before.text != after.text
    ]
    if not changed:
        return cleaned, []
    more = ", …" if len(changed) > 3 else ""
    return cleaned, [
        f"{len(changed)} texts held NUL or lone surrogates, which were replaced: {', '.join(changed[:3])}{more}."
    ]


def class_names_of(
    rows: dict[PartName, list[TextRow]],
    ordered: Sequence[str] | None,
    wanted: Sequence[str] | None,
    targets: Targets = CLASSES,
) -> tuple[str, ...]:
    """The classes of the training texts: those wanted, or in the data's own order, or sorted (numbers by value).

    Raises:
        DataError: When a wanted class is not there, or a name is no line of text.
    """
    learned = rows.get("train") or rows.get("all") or []
    if targets.kind != "classes":
        names = targets.names([row.label for row in learned], wanted)
        refuse_odd_names(set(names))
        return names
    found = {row.label for row in learned}
    refuse_odd_names(found)
    if wanted is not None:
        return wanted_classes(wanted, found)
    if ordered:
        return tuple(name for name in ordered if name in found)
    return tuple(sorted(found, key=lambda name: (0, int(name), name) if name.isdecimal() else (1, 0, name)))


def parts_of(
    rows: dict[PartName, list[TextRow]],
    class_names: tuple[str, ...],
    *,
    passes_others: bool,
    targets: Targets = CLASSES,
) -> tuple[dict[PartName, Part[TextExamples]], list[LeftOut]]:
    """Number the labels; rows of other labels are passed over, or given back with a reason each."""
    number_of = {name: number for number, name in enumerate(class_names)}
    parts: dict[PartName, Part[TextExamples]] = {}
    unknown: list[LeftOut] = []
    for part, found in rows.items():
        all_kept = targets.kind != "classes"
        known = [row for row in found if all_kept or row.label in number_of]
        if not passes_others and not all_kept:
            unknown += [
                LeftOut(row.name, f"its label '{row.label}' is none of the {len(class_names)} classes")
                for row in found
                if row.label not in number_of
            ]
        examples = TextExamples(
            texts=tuple(row.text for row in known),
            labels=targets.values([row.label for row in known], class_names)
            if all_kept
            else np.array([number_of[row.label] for row in known], np.int32),
            names=tuple(row.name for row in known),
            class_names=class_names,
        )
        parts[part] = Part(examples, tuple(_digests(examples.texts)))
    return parts, unknown


def _digests(texts: Iterable[str]) -> Iterable[bytes]:
    for text in texts:
        yield hashlib.blake2b(" ".join(text.casefold().split()).encode(), digest_size=16).digest()
