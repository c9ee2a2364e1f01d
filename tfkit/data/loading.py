"""A data set by name or place: read, checked, split, and accounted for."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from tfkit.arguments import takes_text
from tfkit.data.accounting import OnLeakage, account_for
from tfkit.data.assembly import Part, assemble, classes_of, refuse_odd_names, watch_files
from tfkit.data.box_folders import read_box_folder
from tfkit.data.checking import BadImages, Progress
from tfkit.data.examples import DatasetSplits, ExamplesT, ImageExamples
from tfkit.data.image_files import PartName, Reading, read_csv, read_image_folder
from tfkit.data.looking import MAX_PIXELS
from tfkit.data.lost_files import MAX_LOST_FRACTION
from tfkit.data.mask_folders import read_mask_folder
from tfkit.data.npz import read_npz
from tfkit.data.splitting import keep_per_class, stratified_holdout
from tfkit.data.targets import CLASSES, Targets, target_kind
from tfkit.errors import DataError

SourceName = Literal["image_folder", "npz", "csv", "tfds", "digits", "shapes"]
_OF_PARTS = {"masks": ("image_folder", "csv", "shapes"), "boxes": ("image_folder", "shapes")}


@takes_text
def load_image_splits(
    *,
    source: SourceName,
    channels: int = 3,
    directory: Path | None = None,
    name: str | None = None,
    train: Path | None = None,
    test: Path | None = None,
    validation: Path | None = None,
    classes: Sequence[str] | None = None,
    labels_per_class: int | None = None,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.2,
    seed: int = 0,
    bad_images: BadImages = "error",
    max_pixels: int = MAX_PIXELS,
    on_leakage: OnLeakage = "keep",
    max_lost_fraction: float = MAX_LOST_FRACTION,
    targets: Targets = CLASSES,
    least_classes: int = 2,
    progress: Progress | None = None,
) -> DatasetSplits:
    """Read a data set, look at every image once, and split what is not split already.

    A test part that is there is used as it is; with `train` and `val` only, `val` is the test split. What is
    missing is split off, stratified, copies of one image never parted: the test split from everything, then
    the validation split from the training images.

    Args:
        source: `image_folder`, `npz`, `csv` (path,label[,split]), `tfds` (a TensorFlow Datasets name),
            `digits` (scikit-learn's, no files) or `shapes` (drawn, with masks).
        channels: 1 for grey, 3 for RGB.
        directory: The image folder; for npz and csv the folder of the files (or the one file itself); for tfds
            where data sets are kept.
        name: The TFDS name, such as `beans`.
        train: The .npz or .csv of the training images (or of everything), relative to `directory`.
        test: The same for the test images.
        validation: The same for the validation images.
        classes: Keep only these, in this order.
        labels_per_class: Keep only so many training images of each class.
        validation_fraction: Share of the training images for validation, in [0, 1); 0 makes it empty.
        test_fraction: Share of all images for the test split, in (0, 1).
        seed: The same seed gives the same splits.
        bad_images: What a damaged image does: `error` stops with a list, `skip` leaves it out and says so.
        max_pixels: Height times width above which an image counts as damaged and is not decoded.
        on_leakage: What an image in two splits does: `keep` tells it, `drop` leaves it out of the training split (of
            the validation split where the test split has it), `error` stops.
        max_lost_fraction: The share of all images that may break or vanish after the check before reading stops; until
            then another image of the same split and label stands in for each.
        targets: What the labels are: one class, several labels at once, or numbers, these two of csv alone; or masks,
            of image_folder, csv (path,mask[,split]) and shapes; or boxes, of image_folder and shapes.
        least_classes: How many classes there must be; 1 for examples that are put beside others.
        progress: Called with (done, total) while images are checked.

    Returns:
        The splits and the account of how they came to be.

    Raises:
        DataError: When data is missing, damaged, of one class only, or too little to split.

    Example:
        >>> splits = load_image_splits(source="image_folder", directory=Path("photos"))
        >>> splits.class_names
        ('ants', 'bees')
    """
    check_fractions(validation_fraction=validation_fraction, test_fraction=test_fraction)
    files: dict[PartName, Path | None] = {"train": train, "validation": validation, "test": test}
    refuse_other_targets(source, targets)
    readings = _read(source, channels=channels, directory=directory, name=name, files=files, targets=targets)
    targets = _with_own_values(readings, targets)
    class_names = _names(readings, targets, classes)
    if len(class_names) < least_classes and targets.kind == "classes":
        raise DataError(
            f"only one class was found: '{class_names[0]}'", hint="a classifier needs two or more classes to tell apart"
        )
    parts, left_out = assemble(
        readings, class_names, targets=targets, bad_images=bad_images, max_pixels=max_pixels, progress=progress
    )
    everything = list(parts.values())
    parts, notes = split_parts(parts, validation_fraction, test_fraction, seed)
    if labels_per_class is not None:
        parts["train"], note = few_labels(parts["train"], labels_per_class, seed)
        notes.append(note)
    splits = account_for(parts, everything, left_out=left_out, notes=notes, on_leakage=on_leakage)
    used = (splits.train, splits.validation, splits.test)
    losses = watch_files(used, everything, max_lost_fraction=max_lost_fraction, max_pixels=max_pixels)
    return replace(splits, losses=losses)


@takes_text
def load_image_examples(
    path: Path,
    *,
    channels: int = 3,
    class_names: Sequence[str] | None = None,
    bad_images: BadImages = "error",
    prefer: Literal["test", "train"] = "test",
    targets: Targets = CLASSES,
    progress: Progress | None = None,
) -> ImageExamples:
    """Read one labelled set as it is, to judge or calibrate a model that exists already.

    Args:
        path: A folder of class folders, an .npz (x, y) or a .csv (path,label). Of a folder or file with several
            parts, the one that `prefer` names is taken, or the next best.
        channels: 1 for grey, 3 for RGB.
        class_names: The model's classes in the order of its scores; labels are mapped to them. Integer labels of
            an .npz without names are positions in them.
        bad_images: What a damaged image does: `error` or `skip`.
        prefer: `test` to judge a model, `train` to calibrate one: never calibrate on what it is judged by.
        targets: What the labels are; see `load_image_splits`.
        progress: Called with (done, total) while images are checked.

    Returns:
        The examples, in the order of the files' names or rows.

    Raises:
        DataError: When nothing is there, images are damaged, or a label is no class of the model.
    """
    readings = _read_path(path, channels=channels, targets=targets)
    order: tuple[PartName, ...] = ("all", "test", "validation", "train")
    chosen = next(part for part in (order if prefer == "test" else reversed(order)) if part in readings)
    reading = readings[chosen]
    if class_names is not None and targets.kind == "classes":
        reading = _in_classes_of_model(reading, tuple(class_names), path)
    names = tuple(class_names) if class_names is not None else _names({chosen: reading}, targets, None)
    parts, _ = assemble(
        {chosen: reading}, names, targets=targets, bad_images=bad_images, progress=progress, may_lack=True
    )
    examples = parts[chosen].examples
    watch_files([examples], list(parts.values()), max_lost_fraction=MAX_LOST_FRACTION, max_pixels=MAX_PIXELS)
    return examples


def _read(
    source: SourceName,
    *,
    channels: int,
    directory: Path | None,
    name: str | None,
    files: dict[PartName, Path | None],
    targets: Targets,
) -> dict[PartName, Reading]:
    if source == "digits":
        from tfkit.data.digits import read_digits  # scikit-learn takes a second to import

        return read_digits(channels=channels)
    if source == "tfds":
        if not name:
            raise DataError("source tfds needs the name of a data set", hint="set data.name, for example beans")
        from tfkit.data.tfds_records import read_tfds  # it starts TensorFlow

        return read_tfds(name, directory=directory, channels=channels)
    if source == "shapes":
        from tfkit.data.shapes import read_shapes

        return read_shapes(channels=channels, boxed=targets.masks is None)
    if source == "image_folder":
        if directory is None:
            raise DataError("source image_folder needs a folder", hint="set data.directory")
        return _read_folder(directory.expanduser(), channels=channels, targets=targets)
    return _read_files(source, channels=channels, directory=directory, files=files, targets=targets)


def _read_files(
    source: Literal["npz", "csv"],
    *,
    channels: int,
    directory: Path | None,
    files: dict[PartName, Path | None],
    targets: Targets,
) -> dict[PartName, Reading]:
    root = (directory or Path()).expanduser()
    given = {part: root / file.expanduser() for part, file in files.items() if file is not None}
    if not given and directory is not None and root.is_file():
        given = {"train": root}
    if "train" not in given:
        raise DataError(f"source {source} needs a file of training images", hint=f"set data.train to a .{source} file")
    read = read_npz if source == "npz" else partial(read_csv, targets=targets)
    if len(given) == 1:
        return read(given["train"], channels=channels)
    readings: dict[PartName, Reading] = {}
    for part, path in given.items():
        found = read(path, channels=channels, as_part=part)
        readings[part] = found[part] if part in found else next(iter(found.values()))
    return readings


def _read_path(path: Path, *, channels: int, targets: Targets) -> dict[PartName, Reading]:
    if path.suffix.lower() == ".npz":
        return read_npz(path, channels=channels)
    if path.suffix.lower() == ".csv":
        return read_csv(path, channels=channels, targets=targets)
    return _read_folder(path, channels=channels, targets=targets)


def _read_folder(directory: Path, *, channels: int, targets: Targets) -> dict[PartName, Reading]:
    if targets.masks is not None:
        return read_mask_folder(directory, channels=channels, coloured=targets.masks.coloured)
    if targets.kind == "boxes":
        return read_box_folder(directory, channels=channels)
    return read_image_folder(directory, channels=channels)


def refuse_other_targets(source: SourceName, targets: Targets) -> None:
    """Refuse labels of a kind that a source has not.

    Raises:
        DataError: Says which sources have them.
    """
    if (sources := _OF_PARTS.get(targets.kind)) is not None:
        if source not in sources:
            raise DataError(f"source {source} has no {targets.kind}", hint=f"those that have: {', '.join(sources)}")
        return
    if source == "shapes":
        raise DataError("source shapes has masks, or boxes, not labels", hint="task.kind: segmentation or detection")
    if targets.kind != "classes" and source != "csv":
        raise DataError(
            f"source {source} gives one class an image", hint="write a csv of paths and labels: source: csv"
        )


def _names(readings: dict[PartName, Reading], targets: Targets, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The names of the classes, labels or numbers."""
    if targets.kind == "classes":
        return classes_of(readings, wanted)
    if targets.masks is not None:
        names = targets.masks.names
        refuse_odd_names(set(names))
        return names
    names = targets.names([label for reading in readings.values() for label in reading.labels], wanted)
    refuse_odd_names(set(names))
    return names


def _with_own_values(readings: dict[PartName, Reading], targets: Targets) -> Targets:
    """Targets whose masks' values are known: as they were said, or as the data have them."""
    coding = targets.masks
    if coding is None or coding.values:
        return targets
    own = next((reading.class_names for reading in readings.values() if reading.class_names), None)
    if own is None:
        raise DataError(
            "nobody says what the values in the masks mean",
            hint="name each class with its number or its colour: task.classes: {sky: 0, road: [128, 64, 128]}",
        )
    return replace(targets, masks=replace(coding, values={name: place for place, name in enumerate(own)}))


def _in_classes_of_model(reading: Reading, class_names: tuple[str, ...], path: Path) -> Reading:
    labels = reading.labels
    distinct = set(labels)
    is_numbers = path.suffix.lower() == ".npz" and all(label.isdigit() for label in distinct)
    if is_numbers and all(int(label) < len(class_names) for label in distinct):
        labels = tuple(class_names[int(label)] for label in labels)
    unknown = set(labels) - set(class_names)
    if unknown:
        listed = ", ".join(f"'{label}'" for label in sorted(unknown)[:10])
        known = ", ".join(f"'{name}'" for name in class_names[:10]) + (", …" if len(class_names) > 10 else "")
        raise DataError(
            f"'{path}' has labels that the model does not know: {listed}; it knows {known}",
            hint="name the folders or labels as the model does",
        )
    return Reading(reading.source, reading.names, labels, reading.left_out, class_names)


def split_parts(
    parts: dict[PartName, Part[ExamplesT]],
    validation_fraction: float,
    test_fraction: float,
    seed: int,
    *,
    unit: str = "images",
) -> tuple[dict[PartName, Part[ExamplesT]], list[str]]:
    """Split off what is missing of train, validation and test, and say in sentences what was done."""
    notes: list[str] = []
    parts = {name: replace(part, looks=None) for name, part in parts.items()}  # which nobody asks for from here on
    one_class = target_kind(next(iter(parts.values())).examples.labels) == "classes"
    of = " of each class" if one_class else ""
    if "all" in parts:
        parts["train"] = parts.pop("all")
    if "test" not in parts and "validation" in parts:
        parts["test"] = parts.pop("validation")
        notes.append(f"There is no test split: the validation {unit} are the test split, on which the model is judged.")
    if "test" not in parts:
        parts["train"], parts["test"] = _hold_out(parts["train"], test_fraction, seed, "test", unit)
        notes.append(f"{len(parts['test'].examples)} {unit} ({test_fraction:.0%}{of}) were held out for testing.")
    if "validation" not in parts:
        parts["train"], parts["validation"] = _hold_out(
            parts["train"], validation_fraction, seed + 1, "validation", unit
        )
        held_out = len(parts["validation"].examples)
        notes.append(
            f"{held_out} {unit} ({validation_fraction:.0%}{of}) were held out from training for validation."
            if held_out
            else "There is no validation split."
        )
    return parts, notes


def _hold_out(
    part: Part[ExamplesT], fraction: float, seed: int, what: str, unit: str
) -> tuple[Part[ExamplesT], Part[ExamplesT]]:
    examples = part.examples
    kept, held_out = stratified_holdout(
        examples.labels,
        part.digests,
        fraction=fraction,
        seed=seed,
        class_names=examples.class_names,
        what=what,
        unit=unit,
    )
    return part.select(kept), part.select(held_out)


def few_labels(
    part: Part[ExamplesT], per_class: int, seed: int, *, unit: str = "images"
) -> tuple[Part[ExamplesT], str]:
    """Keep `per_class` random examples of each class, and say so in a sentence."""
    if per_class < 1:
        raise DataError(f"labels_per_class must be 1 or more; got {per_class}", hint="check data.labels_per_class")
    examples, count = part.examples, len(part.examples.class_names)
    if target_kind(examples.labels) != "classes":
        raise DataError("labels_per_class needs one class an example", hint="leave data.labels_per_class out")
    chosen = keep_per_class(examples.labels, per_class=per_class, class_count=count, seed=seed)
    left = len(examples) - len(chosen)
    note = f"Only {per_class} training {unit} of each class were kept; {left} were left out."
    if fewer := [f"{n} of '{name}'" for name, n in examples.class_counts().items() if n < per_class]:
        note = f"{per_class} training {unit} of each class were asked for; there were fewer, and all kept: "
        note += f"{', '.join(fewer)}. {left} of other classes were left out."
    return part.select(chosen), note


def check_fractions(*, validation_fraction: float, test_fraction: float) -> None:
    """Refuse shares that leave nothing to train or to judge on."""
    faults = []
    if not 0.0 <= validation_fraction < 1.0:
        faults.append(f"validation_fraction must be in [0, 1); got {validation_fraction}")
    if not 0.0 < test_fraction < 1.0:
        faults.append(f"test_fraction must be in (0, 1); got {test_fraction}")
    if faults:
        raise DataError("; ".join(faults))
