"""TensorFlow Datasets by name, read record by record without holding them in memory."""

import contextlib
import os
import socket
import struct
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from tfkit.artifacts import ImageSpec
from tfkit.data.decoder import picture_pixels
from tfkit.data.examples import LeftOut
from tfkit.data.image_files import PartName, Reading, part_name
from tfkit.data.images import decode_in_process
from tfkit.data.sources import ImageSource
from tfkit.errors import DataError

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

_CATALOG = "https://www.tensorflow.org/datasets/catalog"
_LENGTH_BYTES = 8
_CHECKSUM_BYTES = 4


class TFRecordSource(ImageSource):
    """Encoded images inside TFRecord files, reached by file and offset.

    tf.data reads TFRecords only from front to back; a shuffled epoch without a buffer in memory needs any record at
    any time, and the format (length, checksum, data, checksum) gives its place.

    Args:
        files: The TFRecord files.
        places: int64 (n, 3): position in `files`, offset and length of each record's data.
        feature: The name of the image in each tf.train.Example.
        channels: 1 for grey, 3 for RGB.
    """

    is_encoded = True

    def __init__(self, files: Sequence[Path], places: np.ndarray, *, feature: str, channels: int) -> None:
        self.channels = channels
        self.files = tuple(files)
        self.places = places
        self._feature = {feature: tf.io.FixedLenFeature([], tf.string)}

    def read_pixels(self, index: tf.Tensor) -> tf.Tensor:
        record = tf.numpy_function(self._record, [index], tf.string, stateful=False)
        encoded = tf.io.parse_single_example(tf.ensure_shape(record, []), self._feature)
        return decode_in_process(next(iter(encoded.values())), channels=self.channels)

    def fitted_pixels(self, index: int, image: ImageSpec) -> np.ndarray:
        return picture_pixels(self.content(index), image)

    def content(self, index: int) -> bytes:
        (name,) = self._feature
        example = tf.train.Example.FromString(self._record(index))
        return bytes(example.features.feature[name].bytes_list.value[0])

    def encoded(self, indices: np.ndarray) -> Iterator[bytes]:
        return (self.content(int(index)) for index in indices)

    def _record(self, index: int) -> bytes:
        file, offset, length = (int(number) for number in self.places[index])
        with self.files[file].open("rb") as records:
            return os.pread(records.fileno(), length, offset)


def read_tfds(name: str, *, directory: Path | None, channels: int) -> dict[PartName, Reading]:
    """Read a data set of TensorFlow Datasets, downloading it when it is not on disk.

    Args:
        name: Its name, with config and version where wanted (`beans`, `cmaterdb/bangla:1.0.0`).
        directory: Where data sets are kept; None for TFDS's own place (`~/tensorflow_datasets`).
        channels: 1 for grey, 3 for RGB.

    Returns:
        The parts by name.

    Raises:
        DataError: When it is neither on disk nor to be had, or holds no single image with a single label.
    """
    builder = open_builder(name, directory)
    image, label = _keys(builder, name)
    readings: dict[PartName, Reading] = {}
    left_out: list[LeftOut] = []
    for split, info in builder.info.splits.items():
        part = part_name(split)
        if part is None or not info.num_examples:
            continue
        files = _record_files(info, name)
        source = TFRecordSource(files, _find_records(files), feature=image, channels=channels)
        class_names = tuple(builder.info.features[label].names)
        numbers = list(_label_numbers(files, label))
        if min(numbers) < 0:  # TFDS's sign for a test split whose labels are kept secret
            left_out.append(LeftOut(f"{name}/{split}", "its labels are not published"))
            continue
        labels = tuple(class_names[number] for number in numbers)
        names = tuple(f"{name}/{split}[{index}]" for index in range(len(labels)))
        readings[part] = Reading(source, names, labels, class_names=class_names)
    if "train" not in readings:
        raise DataError(
            f"the data set '{name}' has no train split; it has {', '.join(builder.info.splits) or 'none'}",
            hint="export it to a folder of class folders and use source image_folder",
        )
    return {**readings, "train": replace(readings["train"], left_out=tuple(left_out))}


def open_builder(name: str, directory: Path | None) -> "tfds.core.DatasetBuilder":
    """The TFDS builder of a data set that is on disk, downloaded first when it is not.

    Raises:
        DataError: When it is neither on disk nor to be had.
    """
    # Imported here: it takes seconds, and only this source needs it.
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.read_only_builder import builder_from_files

    place = str(directory.expanduser()) if directory is not None else None
    try:
        with contextlib.suppress(tfds.core.DatasetNotFoundError):
            # What is on disk needs neither the data set's own code nor a network.
            return builder_from_files(name, data_dir=place)
        builder = tfds.builder(name, data_dir=place, file_format="tfrecord")
        _require_network()
        builder.download_and_prepare()
    except Exception as fault:  # each data set brings code of its own, which may raise anything
        where = place or "~/tensorflow_datasets"
        raise DataError(
            f"the data set '{name}' is not in '{where}' and could not be fetched: {_first_line(fault)}",
            hint=f"check data.name ({_CATALOG}), or fetch it where there is a network "
            f"(`tfds build {name.split(':')[0]}`), copy its folder, and name the folder above it in data.directory",
        ) from None
    return builder


def _require_network() -> None:
    """Fail at once without a network: TFDS would try each address ten times, for minutes."""
    if not urllib.request.getproxies():
        try:
            socket.getaddrinfo("storage.googleapis.com", 443)
        except OSError:
            raise OSError("there is no network") from None


def _keys(builder: "tfds.core.DatasetBuilder", name: str) -> tuple[str, str]:
    features = builder.info.features
    kinds = {key: type(feature).__name__ for key, feature in features.items()}
    keys = builder.info.supervised_keys
    if keys is None:
        images = [key for key, kind in kinds.items() if kind == "Image"]
        labels = [key for key, kind in kinds.items() if kind == "ClassLabel"]
        keys = (images[0], labels[0]) if len(images) == len(labels) == 1 else None
    if keys is None or kinds.get(keys[0]) != "Image" or kinds.get(keys[1]) != "ClassLabel":
        holds = ", ".join(f"{key}: {kind}" for key, kind in kinds.items())
        raise DataError(
            f"the data set '{name}' holds {holds}; expected one Image with one ClassLabel",
            hint="choose an image classification data set",
        )
    return keys[0], keys[1]


def _record_files(split: "tfds.core.SplitInfo", name: str) -> list[Path]:
    files = [Path(path) for path in split.filepaths]
    if any("tfrecord" not in file.name for file in files):
        raise DataError(
            f"the data set '{name}' is stored as {files[0].name}, expected TFRecord files",
            hint="build it again with `tfds build --file_format=tfrecord`",
        )
    return files


def _find_records(files: Sequence[Path]) -> np.ndarray:
    places = []
    for number, path in enumerate(files):
        end = path.stat().st_size
        offset = 0
        with path.open("rb") as records:
            while offset + _LENGTH_BYTES <= end:
                (length,) = struct.unpack("<Q", os.pread(records.fileno(), _LENGTH_BYTES, offset))
                offset += _LENGTH_BYTES + _CHECKSUM_BYTES
                places.append((number, offset, length))
                offset += length + _CHECKSUM_BYTES
    return np.array(places, np.int64).reshape(-1, 3)


def _label_numbers(files: Sequence[Path], label: str) -> Iterator[int]:
    wanted = {label: tf.io.FixedLenFeature([], tf.int64)}
    records = tf.data.TFRecordDataset([str(path) for path in files]).batch(256)
    for batch in records.map(lambda serialized: tf.io.parse_example(serialized, wanted)[label]).as_numpy_iterator():
        yield from (int(number) for number in batch)


def _first_line(fault: Exception) -> str:
    lines = str(fault).strip().splitlines()
    return (lines[0] if lines else type(fault).__name__)[:300]
