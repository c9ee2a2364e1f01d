"""From readings to checked examples with numbered labels."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from tfkit.data.checking import BadImages, Progress, check_images, refuse_bad_images
from tfkit.data.examples import ExamplesT, ImageExamples, LeftOut
from tfkit.data.host_images import upright_size
from tfkit.data.image_files import PartName, Reading
from tfkit.data.looking import MAX_PIXELS
from tfkit.data.looks import Looks
from tfkit.data.lost_files import Losses, WatchedFiles
from tfkit.data.masks import fitted_masks
from tfkit.data.sources import FileSource
from tfkit.data.targets import CLASSES, Targets
from tfkit.errors import DataError, is_printable, printable


@dataclass(frozen=True, eq=False)
class Part(Generic[ExamplesT]):
    """Checked examples of one part, a digest of each one's content (S16), and of images what was seen of each."""

    examples: ExamplesT
    digests: NDArray[np.bytes_]
    looks: Looks | None = None

    def select(self, positions: np.ndarray) -> "Part[ExamplesT]":
        """The examples at `positions` (int (m,), ascending), with their digests."""
        if len(positions) == len(self.digests):
            return self
        looks = None if self.looks is None else self.looks.select(positions)
        digests = self.digests[positions] if looks is None else looks.digests
        return Part(self.examples.select(positions), digests, looks)


def classes_of(readings: dict[PartName, Reading], wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The classes all parts agree on, in the data's own order or sorted by name; or those wanted.

    Raises:
        DataError: When parts have different classes, or a wanted class is not there.
    """
    found = {part: set(reading.labels) for part, reading in readings.items()}
    union = set().union(*found.values())
    refuse_odd_names(union)
    if wanted is not None:
        return wanted_classes(wanted, union)
    faults = [
        f"{part} has no image of {', '.join(sorted(repr(name) for name in union - classes))}"
        for part, classes in found.items()
        if classes != union
    ]
    if faults:
        raise DataError(
            "the splits do not have the same classes: " + "; ".join(faults),
            hint="mend the folders' names or labels, or keep only some classes with data.classes",
        )
    ordered = next((reading.class_names for reading in readings.values() if reading.class_names), None)
    return tuple(name for name in ordered if name in union) if ordered else tuple(sorted(union))


def assemble(
    readings: dict[PartName, Reading],
    class_names: tuple[str, ...],
    *,
    targets: Targets = CLASSES,
    bad_images: BadImages,
    progress: Progress | None,
    max_pixels: int = MAX_PIXELS,
    may_lack: bool = False,
) -> tuple[dict[PartName, Part], list[LeftOut]]:
    """Check the images of the classes named, number their labels, and leave out what cannot be used.

    Args:
        readings: The parts as found.
        class_names: The classes to keep; images of others are passed over. Or the names of labels or numbers.
        targets: What the labels are.
        bad_images: `error` or `skip`.
        progress: Called with (done, total) over all parts.
        max_pixels: Height times width above which an image is not decoded.
        may_lack: Whether a part may have no image of a class.

    Returns:
        The checked parts, and what was left out with the reasons.

    Raises:
        DataError: When images are damaged and `bad_images` is `error`, or a class has none left.
    """
    number_of = {name: number for number, name in enumerate(class_names)}
    all_kept = targets.kind != "classes"
    chosen = {
        part: np.array(
            [place for place, label in enumerate(reading.labels) if all_kept or label in number_of], np.int64
        )
        for part, reading in readings.items()
    }
    total = sum(map(len, chosen.values()))
    parts: dict[PartName, Part] = {}
    ignored: list[LeftOut] = []
    damaged: list[LeftOut] = []
    done = 0
    for part, reading in readings.items():
        positions = chosen[part]
        names = tuple(reading.names[position] for position in positions)
        told = _shifted(progress, done, total)
        looks = check_images(reading.source, positions, max_pixels=max_pixels, progress=told)
        done += len(positions)
        ignored.extend(reading.left_out)
        damaged.extend(
            LeftOut(names[place], why, reading.source.path(int(positions[place])))
            for place, why in sorted(looks.reasons.items())
        )
        labels, odd = _numbered(reading, positions, looks.is_whole, targets, class_names)
        damaged.extend(
            LeftOut(names[place], why, reading.source.path(int(positions[place]))) for place, why in odd.items()
        )
        examples = ImageExamples(reading.source, positions, labels, names, class_names)
        good = looks.is_whole
        good[list(odd)] = False
        parts[part] = Part(examples, looks.digests, looks).select(np.flatnonzero(good))
    if bad_images == "error":
        refuse_bad_images(damaged, total)
    _refuse_empty_classes(parts, may_lack=may_lack or all_kept)
    return parts, ignored + damaged


def _numbered(
    reading: Reading,
    positions: np.ndarray,
    whole: NDArray[np.bool_],
    targets: Targets,
    class_names: tuple[str, ...],
) -> tuple[np.ndarray, dict[int, str]]:
    """The array of some images' labels, and by its place why a mask cannot be used."""
    words = [reading.labels[position] for position in positions]
    if targets.kind == "classes":
        number_of = {name: number for number, name in enumerate(class_names)}
        return np.array([number_of[label] for label in words], np.int32), {}
    if targets.masks is None or reading.masks is None:
        return targets.values(words, class_names), {}
    sizes = [(0, 0)] * len(positions)
    if isinstance(reading.source, FileSource):
        sizes = [
            upright_size(reading.source.content(int(position))) if good else (0, 0)
            for position, good in zip(positions, whole, strict=True)
        ]
    masks, reasons = fitted_masks(reading.masks, positions, targets.masks, sizes)
    return masks, {place: why for place, why in enumerate(reasons) if why and whole[place]}


def watch_files(
    splits: Sequence[ImageExamples], parts: Sequence[Part], *, max_lost_fraction: float, max_pixels: int
) -> Losses:
    """Let the files of checked splits stand in for each other when some break or vanish later.

    Args:
        splits: The examples as they are used.
        parts: What was checked, of which these are made.
        max_lost_fraction: The share of all examples that may be lost before reading stops.
        max_pixels: Height times width above which an image is not decoded.

    Returns:
        Where losses are counted.
    """
    losses = Losses(sum(map(len, splits)), max_lost_fraction)
    for source in {id(part.examples.source): part.examples.source for part in parts}.values():
        if not isinstance(source, FileSource):
            continue
        count, names = len(source.files), [""] * len(source.files)
        states = np.full((count, 2), -1, np.int64)
        for part in parts:
            if part.examples.source is source and part.looks is not None:
                states[part.examples.indices] = part.looks.states
        is_masked = splits[0].labels.ndim == 3
        width = 1 if is_masked or splits[0].labels.ndim == 1 else splits[0].labels.shape[1]
        of, labels = np.full(count, -1), np.zeros((count, width), np.float32)
        for number, split in enumerate(splits):
            if split.source is source:
                # No image has another one's mask: each is of a split of its own, and none stands in.
                of[split.indices] = split.indices if is_masked else number
                if not is_masked:
                    labels[split.indices] = split.labels.reshape(len(split), width)
                for index, name in zip(split.indices, split.names, strict=True):
                    names[index] = name
        source.watched = WatchedFiles(source.files, names, states, of, labels, losses, max_pixels)
    return losses


def refuse_odd_names(names: set[str]) -> None:
    """Refuse names of classes that a file with one label a line, as phones read it, cannot hold.

    Raises:
        DataError: When a name is empty, begins or ends with a blank, or holds a line break, a control character or
            bytes that are not UTF-8; all of them at once.
    """
    odd = sorted(name for name in names if not name or name != name.strip() or not is_printable(name))
    if odd:
        listed = ", ".join(f"'{printable(name)}'" for name in odd[:10]) + (", …" if len(odd) > 10 else "")
        raise DataError(
            f"{len(odd)} of {len(names)} class names cannot be written as one line of text: {listed}",
            hint="rename the folders or labels: no line breaks, control characters or outer blanks, and UTF-8",
        )


def wanted_classes(wanted: Sequence[str], found: set[str]) -> tuple[str, ...]:
    """The classes asked for, in that order.

    Raises:
        DataError: When one is not there, with the nearest name that is, or is named twice.
    """
    faults = []
    for name in wanted:
        if name not in found:
            near = difflib.get_close_matches(name, sorted(found), n=1)
            faults.append(f"'{name}'" + (f" (is '{near[0]}' meant?)" if near else ""))
    if len(set(wanted)) != len(wanted):
        raise DataError(f"a class is named twice: {', '.join(wanted)}", hint="check data.classes")
    if faults:
        listed = ", ".join(sorted(found)[:20]) + (", …" if len(found) > 20 else "")
        raise DataError(f"there is no class {', '.join(faults)}; there are {listed}", hint="check data.classes")
    return tuple(wanted)


def _refuse_empty_classes(parts: dict[PartName, Part], *, may_lack: bool) -> None:
    empty = [
        f"'{name}' ({part})"
        for part, content in parts.items()
        for name, count in content.examples.class_counts().items()
        if count == 0
    ]
    nothing = any(len(content.examples) == 0 for content in parts.values())
    if nothing or (empty and not may_lack):
        raise DataError(f"no usable image is left of {', '.join(empty)}", hint="add images, or keep other classes")


def _shifted(progress: Progress | None, before: int, total: int) -> Progress | None:
    return None if progress is None else (lambda done, _: progress(before + done, total))
