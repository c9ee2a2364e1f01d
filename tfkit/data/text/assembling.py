"""From rows to examples with numbered labels."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tfkit.data.assembly import Part, refuse_odd_names, wanted_classes
from tfkit.data.examples import LeftOut
from tfkit.data.image_files import PartName
from tfkit.data.looking import DIGEST_BYTES
from tfkit.data.targets import CLASSES, Targets
from tfkit.data.text.examples import TextExamples
from tfkit.data.text.normalizing import replace_unusable
from tfkit.data.text.reading import TextRow
from tfkit.errors import DataError

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
        parts[part] = Part(examples, np.array(list(_digests(examples.texts)), f"S{DIGEST_BYTES}"))
    return parts, unknown


def _digests(texts: Iterable[str]) -> Iterable[bytes]:
    for text in texts:
        yield hashlib.blake2b(" ".join(text.casefold().split()).encode(), digest_size=DIGEST_BYTES).digest()
