"""Texts of TensorFlow Datasets by name."""

from pathlib import Path
from typing import TYPE_CHECKING

from tfkit.data.examples import LeftOut
from tfkit.data.reading import PartName, part_name
from tfkit.data.text.reading import TextReading, TextRow, add_row
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
