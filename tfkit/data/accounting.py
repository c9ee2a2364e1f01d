"""The account of a data set: what is there twice or nearly so, what lies in two splits, what is odd about it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tfkit.data.assembly import Part
from tfkit.data.examples import DataReport, DatasetSplits, ExamplesT, LeftOut
from tfkit.data.image_files import PartName
from tfkit.data.targets import target_kind
from tfkit.errors import DataError

OnLeakage = Literal["keep", "drop", "error"]
Group = tuple[str, ...]

_SHOWN = 3
_TITLES: dict[PartName, str] = {"train": "training", "validation": "validation", "test": "test"}
_FEW = 10  # training examples of a class
_UNEVEN = 10  # times as many of the largest class as of the smallest
_NEAR_BITS = 32  # of the 256 of a fingerprint; different X-rays of one kind differ in 50 and more, photos in 88
_BAND_BYTES = 2  # two prints so near agree in one of the four bands of their lowest frequencies, but for rare ones
_BANDS = 4
_NEIGHBOURS = 8
_COMPARED = 1 << 14


def account_for(
    parts: Mapping[PartName, Part[ExamplesT]],
    everything: Sequence[Part[ExamplesT]],
    *,
    left_out: Iterable[LeftOut],
    notes: Iterable[str],
    on_leakage: OnLeakage = "keep",
    unit: str = "images",
) -> DatasetSplits[ExamplesT]:
    """The splits, and the account of how they came to be.

    Args:
        parts: `train`, `validation` and `test`, as they are to be used.
        everything: What they were made of, with what was left out to keep few labels.
        left_out: What was found and not used.
        notes: What was decided so far, in sentences.
        on_leakage: What content in two splits does: `keep` tells it, `drop` leaves it out of the split that is learned
            from, `error` stops.
        unit: What examples are called.

    Raises:
        DataError: When content lies in two splits and `on_leakage` is `error`, or nothing is left of a split.
    """
    groups = same_content(everything)
    dropped: list[LeftOut] = []
    if on_leakage == "error":
        _refuse_leakage([groups[digest] for digest in _shared(parts) if digest in groups], unit)
    elif on_leakage == "drop":
        parts, dropped = _without_leaks(parts)
        if dropped:
            told = f"{len(dropped)} {unit} that lie in a split to judge on too were left out of what is learned from."
            notes = (*notes, told)
    near = near_groups(everything)
    splits = {name: parts[name].examples for name in _TITLES}
    report = DataReport(
        kept={split: examples.class_counts() for split, examples in splits.items()},
        left_out=(*left_out, *dropped),
        duplicates=tuple(groups.values()),
        leakage=tuple(groups[digest] for digest in _shared(parts) if digest in groups),
        notes=(*notes, *_conflicts(everything, groups, unit), *_balance(splits["train"], unit), *_pictures(everything)),
        examples={split: len(examples) for split, examples in splits.items()},
        near_duplicates=near,
        near_leakage=_in_two_splits(near, parts),
    )
    return DatasetSplits(train=splits["train"], validation=splits["validation"], test=splits["test"], report=report)


def same_content(parts: Iterable[Part[ExamplesT]]) -> dict[bytes, Group]:
    """The names of two or more examples with the same content, by its digest, in order of first appearance."""
    parts = list(parts)
    digests = np.concatenate([part.digests for part in parts])
    _, first, counts = np.unique(digests, return_index=True, return_counts=True)
    twice = digests[np.sort(first[counts > 1])]
    groups: dict[bytes, list[str]] = {digest: [] for digest in twice.tolist()}
    for part in parts:
        for place in _lying_in(part, twice):
            groups[part.digests[place]].append(part.examples.names[place])
    return {digest: tuple(group) for digest, group in groups.items()}


def _lying_in(part: Part[ExamplesT], digests: NDArray[np.bytes_]) -> list[int]:
    """The places of a part's examples that have one of these digests, ascending."""
    return np.flatnonzero(np.isin(part.digests, digests)).tolist() if len(digests) else []


def near_groups(parts: Iterable[Part[ExamplesT]]) -> tuple[Group, ...]:
    """The names of two or more pictures that look the same and are not the same file, in order of appearance.

    Pictures whose fingerprints differ in few bits, found among those that agree in a band of their lowest frequencies.
    A part cut out of a picture, a mirrored or a turned one has another fingerprint and is not found.
    """
    seen = [(part.examples.names, part.looks) for part in parts if part.looks is not None]
    if not seen:
        return ()
    prints = np.concatenate([looks.prints for _, looks in seen])
    printed = np.flatnonzero(prints.any(axis=1))
    digests = np.concatenate([looks.digests for _, looks in seen])[printed]
    places = printed[np.sort(np.unique(digests, return_index=True)[1])]
    if len(places) < 2:
        return ()
    prints = prints[places]
    pairs = np.concatenate([_near_pairs(prints, band) for band in range(_BANDS)])
    if not len(pairs):
        return ()
    from scipy.sparse import coo_array  # it takes a moment to import
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(pairs), np.int8), pairs.T), shape=(len(places),) * 2)
    number = connected_components(links, directed=False)[1]
    members: dict[int, list[str]] = defaultdict(list)
    names = list(chain.from_iterable(names for names, _ in seen))
    for place in np.unique(pairs):
        members[int(number[place])].append(names[places[place]])
    return tuple(map(tuple, members.values()))


def _near_pairs(prints: NDArray[np.uint8], band: int) -> NDArray[np.int64]:
    """int (n, 2): pairs that agree in one band and differ in few bits, of neighbours in the order of their prints."""
    columns = np.roll(prints, -band * _BAND_BYTES, axis=1)
    order = np.argsort(columns.view(f"S{prints.shape[1]}").ravel(), kind="stable")
    ordered, keys = prints[order], columns[order, :_BAND_BYTES]
    found = [np.zeros((0, 2), np.int64)]
    for start in range(0, len(order), _COMPARED):  # a few at a time, for a million pictures take 100 MB a step
        for step in range(1, _NEIGHBOURS + 1):
            low = np.arange(start, min(start + _COMPARED, len(order) - step))
            alike = low[(keys[low] == keys[low + step]).all(axis=1)]
            bits = np.bitwise_count(ordered[alike] ^ ordered[alike + step]).sum(axis=1, dtype=np.int64)
            near = alike[bits <= _NEAR_BITS]
            found.append(np.stack([order[near], order[near + step]], axis=1))
    return np.concatenate(found)


def _shared(parts: Mapping[PartName, Part[ExamplesT]]) -> list[bytes]:
    """The digests that lie in more than one split, in order of appearance."""
    digests = [part.digests for part in parts.values()]
    every, counts = np.unique(np.concatenate(list(map(np.unique, digests))), return_counts=True)
    shared = every[counts > 1]
    return list(
        dict.fromkeys(part.digests[place].item() for part in parts.values() for place in _lying_in(part, shared))
    )


def _in_two_splits(groups: Sequence[Group], parts: Mapping[PartName, Part[ExamplesT]]) -> tuple[Group, ...]:
    if not groups:
        return ()
    split_of = {name: split for split, part in parts.items() for name in part.examples.names}
    return tuple(group for group in groups if len({split_of[name] for name in group if name in split_of}) > 1)


def _without_leaks(parts: Mapping[PartName, Part[ExamplesT]]) -> tuple[dict[PartName, Part[ExamplesT]], list[LeftOut]]:
    """The splits without what a split to judge on holds too: the test split stays whole."""
    kept, dropped = dict(parts), []
    judged: list[PartName] = []
    for split in reversed(_TITLES):
        part = parts[split]
        held: dict[bytes, tuple[PartName, str]] = {}
        for other in judged:
            for place in _lying_in(parts[other], part.digests):
                held.setdefault(parts[other].digests[place], (other, parts[other].examples.names[place]))
        lost = _lying_in(part, np.array(list(held), part.digests.dtype))
        for place in lost:
            other, name = held[part.digests[place]]
            told = f"its content is in the {_TITLES[other]} split too ({name})"
            dropped.append(LeftOut(part.examples.names[place], told))
        kept[split] = part.select(np.setdiff1d(np.arange(len(part.digests)), lost))
        judged.append(split)
    if gone := [f"'{name}'" for name, count in kept["train"].examples.class_counts().items() if count == 0]:
        raise DataError(
            f"nothing is left to learn from of {', '.join(gone)}: all of it lies in the test or validation split too",
            hint="mend the splits, or tell it only with data.on_leakage=keep",
        )
    return kept, dropped


def _refuse_leakage(groups: Sequence[Group], unit: str) -> None:
    if groups:
        shown = "".join(f"\n  {' = '.join(group)}" for group in groups[:_SHOWN])
        more = f"\n  and {len(groups) - _SHOWN} more" if len(groups) > _SHOWN else ""
        lie = f"1 {unit[:-1]} lies" if len(groups) == 1 else f"{len(groups)} {unit} lie"
        raise DataError(
            f"{lie} in two splits at once:{shown}{more}",
            hint="mend the splits, or leave them out of what is learned from with data.on_leakage=drop",
        )


def _conflicts(parts: Iterable[Part[ExamplesT]], groups: Mapping[bytes, Group], unit: str) -> list[str]:
    """A sentence when examples with the same content have different labels, else nothing."""
    labels: dict[bytes, set[tuple[float, ...]]] = defaultdict(set)
    twice = np.array(list(groups), np.bytes_)
    for part in parts:
        for place in _lying_in(part, twice):
            labels[part.digests[place]].add(tuple(np.ravel(part.examples.labels[place]).tolist()))
    conflicts = [groups[digest] for digest, found in labels.items() if len(found) > 1]
    if not conflicts:
        return []
    shown = "; ".join(" = ".join(group) for group in conflicts[:_SHOWN])
    appear = f"1 {unit[:-1]} appears" if len(conflicts) == 1 else f"{len(conflicts)} {unit} appear"
    return [f"{appear} under more than one class, so one label must be wrong: {shown}."]


def _balance(train: ExamplesT, unit: str) -> list[str]:
    """Sentences on classes that are few or far apart in size."""
    if target_kind(train.labels) != "classes":
        return []
    counts = train.class_counts()
    few = [f"'{name}' ({count})" for name, count in counts.items() if count < _FEW]
    told = []
    if few:
        more = ", …" if len(few) > _SHOWN else ""
        have = "1 class has" if len(few) == 1 else f"{len(few)} classes have"
        told.append(f"{have} fewer than {_FEW} training {unit}: {', '.join(few[:_SHOWN])}{more}.")
    largest, smallest = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    if counts[largest] >= _UNEVEN * max(1, counts[smallest]):
        told.append(
            f"The classes are uneven: {counts[largest]} training {unit} of '{largest}', {counts[smallest]} of "
            f"'{smallest}'; class_weights: balanced makes up for it."
        )
    return told


def _pictures(parts: Iterable[Part[ExamplesT]]) -> list[str]:
    """Sentences on sizes that are far apart, and on animations."""
    seen = [(part.examples.names, part.looks) for part in parts if part.looks is not None]
    told = []
    sizes = np.concatenate([np.zeros((0, 2), np.int64), *(looks.sizes for _, looks in seen)]).astype(np.int64)
    sizes = sizes[sizes[:, 0] > 0]
    if len(sizes):
        order = np.argsort(sizes.prod(axis=1), kind="stable")
        small, middle, large = (sizes[order[place]] for place in (0, len(order) // 2, -1))
        if large.prod() >= _UNEVEN * small.prod():
            shown = [f"{width} x {height}" for height, width in (small, large, middle)]
            told.append(f"The images are of {shown[0]} to {shown[1]} pixels, half of them {shown[2]} or larger.")
    if animated := [names[place] for names, looks in seen for place in np.flatnonzero(looks.frames)]:
        more = ", …" if len(animated) > _SHOWN else ""
        told.append(f"Of {len(animated)} animations the first frame is used: {', '.join(animated[:_SHOWN])}{more}.")
    return told
