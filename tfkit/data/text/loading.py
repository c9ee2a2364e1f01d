"""A set of labelled texts by name or place: read, checked, split, and accounted for."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tfkit.arguments import takes_text
from tfkit.data.accounting import OnLeakage, account_for
from tfkit.data.assembly import Part
from tfkit.data.examples import DatasetSplits, LeftOut
from tfkit.data.image_files import PartName, part_name
from tfkit.data.loading import check_fractions, few_labels, split_parts
from tfkit.data.targets import CLASSES, Targets
from tfkit.data.text.assembling import class_names_of, clean, parts_of
from tfkit.data.text.examples import TextExamples
from tfkit.data.text.reading import TextFormat, TextReading, TextRow, add_row, read_file
from tfkit.data.tfds_records import open_builder
from tfkit.errors import DataError

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


def read_tfds_texts(
    name: str, *, directory: Path | None, text_column: str | None, label_column: str | None
) -> dict[PartName, TextReading]:
    """Read a text classification set of TensorFlow Datasets, downloading it when it is not on disk.

    Args:
        name: Its name, with config and version where wanted (`imdb_reviews`, `glue/sst2`).
        directory: Where data sets are kept; None for TFDS's own place.
        text_column: The feature that holds the text; None when there is only one.
        label_column: The feature that holds the class; None when there is only one.

    Returns:
        The parts by name.

    Raises:
        DataError: When it is neither on disk nor to be had, or its features are not as above.
    """
    import tensorflow_datasets as tfds  # here: it takes seconds, and only this source needs it

    builder = open_builder(name, directory)
    text, label = _keys(builder, name, text_column, label_column)
    class_names = tuple(builder.info.features[label].names)
    in_order = tfds.ReadConfig(interleave_cycle_length=1)
    readings: dict[PartName, TextReading] = {}
    secret: list[LeftOut] = []
    for split, info in builder.info.splits.items():
        part = part_name(split)
        if part is None or not info.num_examples:
            continue
        reading = TextReading(class_names=class_names)
        records = builder.as_dataset(split=split, shuffle_files=False, read_config=in_order)
        for index, record in enumerate(records.as_numpy_iterator()):
            if record[label] < 0:  # TFDS's sign for a test split whose labels are kept secret
                secret.append(LeftOut(f"{name}/{split}", "its labels are not published"))
                break
            content = record[text].decode("utf-8", "replace").strip()
            add_row(reading, TextRow(f"{name}/{split}[{index}]", content, class_names[record[label]]))
        else:
            readings[part] = reading
    if "train" not in readings:
        raise DataError(
            f"the data set '{name}' has no train split; it has {', '.join(builder.info.splits) or 'none'}",
            hint="export it to a CSV file and use source csv",
        )
    readings["train"].left_out.extend(secret)
    return readings


def _keys(
    builder: "tfds.core.DatasetBuilder", name: str, text_column: str | None, label_column: str | None
) -> tuple[str, str]:
    kinds = {key: type(feature).__name__ for key, feature in builder.info.features.items()}
    chosen = []
    for wanted, kind in ((text_column, "Text"), (label_column, "ClassLabel")):
        candidates = [key for key, found in kinds.items() if found == kind and wanted in (None, key)]
        if len(candidates) != 1:
            holds = ", ".join(f"{key}: {found}" for key, found in kinds.items())
            what = f"no {kind} named '{wanted}'" if wanted else f"{len(candidates)} features of kind {kind}"
            raise DataError(
                f"the data set '{name}' holds {what}; it holds {holds}",
                hint="name them in data.text_column and data.label_column",
            )
        chosen.append(candidates[0])
    return chosen[0], chosen[1]


TextSourceName = Literal["csv", "tsv", "jsonl", "tfds", "built_in"]
BadRows = Literal["error", "skip"]

_SHOWN = 10
_BUILT_IN = Path(__file__).parent / "built_in" / "intents_small.csv"


@takes_text
def load_text_splits(
    *,
    source: TextSourceName,
    directory: Path | None = None,
    name: str | None = None,
    train: Path | None = None,
    validation: Path | None = None,
    test: Path | None = None,
    text_column: str | int | None = None,
    label_column: str | int | None = None,
    split_column: str | int | None = None,
    header: bool = True,
    separator: str | None = None,
    encoding: str = "utf-8",
    label_names: Mapping[str, str] | None = None,
    classes: Sequence[str] | None = None,
    labels_per_class: int | None = None,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.2,
    seed: int = 0,
    bad_rows: BadRows = "error",
    on_leakage: OnLeakage = "keep",
    targets: Targets = CLASSES,
    least_classes: int = 2,
) -> DatasetSplits[TextExamples]:
    """Read a table of texts and labels, look at every row, and split what is not split already.

    A test part that is there is used as it is; with `train` and `validation` only, `validation` is the test split.
    What is missing is split off, stratified, copies of one text never parted. Two texts are the same when they
    differ in case and white space only.

    Args:
        source: `csv` (RFC 4180 quoting), `tsv` (no quoting: for `text<TAB>label`, and `sentence@label` with
            separator `@`), `jsonl` (one object a line), `tfds` (a TensorFlow Datasets name) or `built_in`
            (330 customer-service sentences of 10 intents, written for tfkit).
        directory: Folder of the files, or the one file itself; for tfds where data sets are kept.
        name: The TFDS name, such as `imdb_reviews`.
        train: The file of the training texts (or of everything), relative to `directory`.
        validation: The same for the validation texts.
        test: The same for the test texts.
        text_column: Name of the text's column, or its number from 0; `text`, or 0 without a header.
        label_column: The same of the label's; `label`, or 1 without a header.
        split_column: The same of a column that says train, val or test; None when there is none.
        header: Whether the first line of a csv or tsv names the columns.
        separator: One character; None for `,` in csv and a tab in tsv.
        encoding: Of the files: `utf-8` (with or without BOM), `latin-1`, `cp1252`, ...
        label_names: What to call labels, for files with numbers: `{"0": "negative", "1": "positive"}`.
        classes: Keep only these, in this order. None keeps all, sorted by name (numbers by value).
        labels_per_class: Keep only so many training texts of each class.
        validation_fraction: Share of the training texts for validation, in [0, 1); 0 makes it empty.
        test_fraction: Share of all texts for the test split, in (0, 1).
        seed: The same seed gives the same splits.
        bad_rows: What a row that cannot be used does (empty text or label, wrong number of fields, a label that
            the training split does not have): `error` stops with a list of all, `skip` leaves it out and says so.
        on_leakage: What a text in two splits does: `keep` tells it, `drop` leaves it out of the training split (of the
            validation split where the test split has it), `error` stops.
        targets: What the labels are: one class, several labels at once, or numbers; of files alone but for classes.
        least_classes: How many classes there must be; 1 for examples that are put beside others.

    Returns:
        The splits and the account of how they came to be.

    Raises:
        DataError: When data is missing, damaged, of one class only, or too little to split.

    Example:
        >>> splits = load_text_splits(source="csv", train=Path("train.csv"), label_column="category")
        >>> splits.class_names
        ('parcel', 'refund')
    """
    check_fractions(validation_fraction=validation_fraction, test_fraction=test_fraction)
    files: dict[PartName, Path | None] = {"train": train, "validation": validation, "test": test}
    if targets.kind != "classes" and source in ("tfds", "built_in"):
        raise DataError(f"source {source} gives one class a text", hint="write a table: source: csv")
    layout = TextFormat(text_column, label_column, split_column, header, separator, encoding, targets)
    readings = _read(source, directory=directory, name=name, files=files, layout=layout)
    bad = [item for reading in readings.values() for item in reading.bad]
    total = sum(len(reading.rows) + len(reading.bad) for reading in readings.values())
    ordered = next((reading.class_names for reading in readings.values() if reading.class_names), None)
    rows, notes = clean({part: reading.rows for part, reading in readings.items()}, label_names or {})
    class_names = class_names_of(rows, ordered, classes, targets)
    parts, unknown = parts_of(rows, class_names, passes_others=classes is not None, targets=targets)
    bad += unknown
    if bad_rows == "error":
        _refuse_bad_rows(bad, total)
    _refuse_too_little(parts, class_names, targets, least_classes)
    everything = list(parts.values())
    parts, split_notes = split_parts(parts, validation_fraction, test_fraction, seed, unit="texts")
    notes += [*split_notes, *_note_missing({split: part.examples for split, part in parts.items()})]
    if labels_per_class is not None:
        parts["train"], note = few_labels(parts["train"], labels_per_class, seed, unit="texts")
        notes.append(note)
    left_out = (*(item for reading in readings.values() for item in reading.left_out), *bad)
    return account_for(parts, everything, left_out=left_out, notes=notes, on_leakage=on_leakage, unit="texts")


@takes_text
def load_text_examples(
    path: Path,
    *,
    class_names: Sequence[str] | None = None,
    text_column: str | int | None = None,
    label_column: str | int | None = None,
    header: bool = True,
    separator: str | None = None,
    encoding: str = "utf-8",
    label_names: Mapping[str, str] | None = None,
    bad_rows: BadRows = "error",
    targets: Targets = CLASSES,
) -> TextExamples:
    """Read one labelled file as it is, to judge or calibrate a model that exists already.

    Args:
        path: A .jsonl, a .csv, or any other file, which is read as tsv is.
        class_names: The model's classes in the order of its scores; None takes those of the file.
        text_column: As for `load_text_splits`, and so are the options that follow.
        label_column: See there.
        header: See there.
        separator: See there.
        encoding: See there.
        label_names: See there; those that do not occur in the file are passed over.
        bad_rows: See there; a label that is no class of the model is such a row.
        targets: See there.

    Returns:
        The examples in the order of the rows.

    Raises:
        DataError: When rows cannot be used, or none is left.
    """
    sources: dict[str, Literal["csv", "jsonl"]] = {".csv": "csv", ".jsonl": "jsonl"}
    layout = TextFormat(text_column, label_column, None, header, separator, encoding, targets)
    reading = read_file(path, sources.get(path.suffix.lower(), "tsv"), layout, as_part="all")["all"]
    present = {row.label for row in reading.rows}
    renamed = {label: name for label, name in (label_names or {}).items() if label in present}
    rows, _ = clean({"all": reading.rows}, renamed)
    names = tuple(class_names) if class_names is not None else class_names_of(rows, None, None, targets)
    parts, unknown = parts_of(rows, names, passes_others=False, targets=targets)
    if bad_rows == "error":
        _refuse_bad_rows([*reading.bad, *unknown], len(reading.rows) + len(reading.bad))
    _refuse_too_little(parts, names, targets)
    return parts["all"].examples


def _read(
    source: TextSourceName,
    *,
    directory: Path | None,
    name: str | None,
    files: dict[PartName, Path | None],
    layout: TextFormat,
) -> dict[PartName, TextReading]:
    if source == "built_in":
        return read_file(_BUILT_IN, "csv", TextFormat(label_column="intent"), as_part="all")
    if source == "tfds":
        if not name:
            raise DataError("source tfds needs the name of a data set", hint="set data.name, for example imdb_reviews")
        columns = (layout.text_column, layout.label_column)
        text, label = (str(column) if column is not None else None for column in columns)
        return read_tfds_texts(name, directory=directory, text_column=text, label_column=label)
    root = (directory or Path()).expanduser()
    given = {part: root / file.expanduser() for part, file in files.items() if file is not None}
    if not given and directory is not None and root.is_file():
        given = {"train": root}
    if "train" not in given:
        raise DataError(f"source {source} needs a file of training texts", hint=f"set data.train to a .{source} file")
    readings: dict[PartName, TextReading] = {}
    faults: list[DataError] = []
    shown = _short_names(list(given.values()), root)
    for part, path in given.items():
        try:
            found = read_file(path, source, layout, as_part="all" if len(given) == 1 else part, shown=shown[path])
        except DataError as fault:
            faults.append(fault)
            continue
        for found_part, reading in found.items():
            into = readings.setdefault(found_part, TextReading())
            into.rows += reading.rows
            into.bad += reading.bad
    if faults:
        raise DataError("\n".join(str(fault) for fault in faults), hint=faults[0].hint)
    return {part: reading for part, reading in readings.items() if reading.rows or reading.bad}


def _short_names(paths: Sequence[Path], root: Path) -> dict[Path, str]:
    """The files' names; their paths where two have the same name, for an example's name must be its own."""
    if len({path.name for path in paths}) == len(set(paths)):
        return {path: path.name for path in paths}
    return {path: str(path.relative_to(root) if path.is_relative_to(root) else path) for path in paths}


def _refuse_bad_rows(bad: Sequence[LeftOut], total: int) -> None:
    if not bad:
        return
    lines = [f"  {item.name}: {item.reason}" for item in bad[:_SHOWN]]
    if len(bad) > _SHOWN:
        lines.append(f"  and {len(bad) - _SHOWN} more")
    count = "1 row" if len(bad) == 1 else f"{len(bad)} rows"
    raise DataError(
        f"{count} of {total} cannot be used:\n" + "\n".join(lines),
        hint="mend or remove them, or leave them out with data.bad_rows=skip",
    )


def _refuse_too_little(
    parts: dict[PartName, Part[TextExamples]], class_names: tuple[str, ...], targets: Targets, least_classes: int = 2
) -> None:
    if not class_names or not ({"train", "all"} & set(parts)):
        raise DataError("no usable text is left to train on", hint="check the file's rows and its split column")
    if len(class_names) < least_classes and targets.kind == "classes":
        raise DataError(
            f"only one class was found: '{class_names[0]}'", hint="a classifier needs two or more classes to tell apart"
        )
    empty = [part for part, content in parts.items() if len(content.examples) == 0]
    if empty:
        raise DataError(f"no usable text is left of {', '.join(empty)}", hint="check the file's rows and data.classes")


def _note_missing(kept: Mapping[str, TextExamples]) -> list[str]:
    notes = []
    for split, examples in kept.items():
        lacking = [name for name, count in examples.class_counts().items() if count == 0]
        if lacking and len(examples):
            listed = ", ".join(lacking[:_SHOWN]) + (", …" if len(lacking) > _SHOWN else "")
            notes.append(f"The {split} split has no text of {len(lacking)} classes: {listed}.")
    return notes
