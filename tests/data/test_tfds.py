from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfkit.artifacts import ImageSpec
from tfkit.data import decode_image, load_image_splits, pixel_batches, training_batches
from tfkit.errors import DataError


def _write_dataset(directory: Path, photo, sizes: dict[str, int], *, secret: str | None = None) -> None:
    """Write a TFDS data set `tiny` by hand, as `tfds build` leaves one on disk."""
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(names=["red", "blue"]),
            "id": tfds.features.Text(),
        }
    )
    folder = directory / "tiny" / "1.0.0"
    folder.mkdir(parents=True)
    splits = []
    for number, (split, count) in enumerate(sizes.items()):
        template = tfds.core.ShardedFileTemplate(
            data_dir=folder, dataset_name="tiny", split=split, filetype_suffix="tfrecord"
        )
        for shard in range(2):
            with tf.io.TFRecordWriter(str(folder / f"tiny-{split}.tfrecord-{shard:05}-of-00002")) as writer:
                for index in range(shard * count // 2, (shard + 1) * count // 2):
                    pixels = np.asarray(photo(100 * number + index, height=20 + index))
                    label = -1 if split == secret else index % 2
                    example = {"image": pixels, "label": label, "id": str(index)}
                    writer.write(features.serialize_example(features.encode_example(example)))
        splits.append(
            tfds.core.SplitInfo(
                name=split, shard_lengths=[count // 2, count - count // 2], num_bytes=0, filename_template=template
            )
        )
    tfds.folder_dataset.write_metadata(
        data_dir=folder, features=features, split_infos=splits, supervised_keys=("image", "label")
    )


def test_a_dataset_on_disk_is_read_without_a_network(tmp_path, photo):
    _write_dataset(tmp_path, photo, {"train": 20, "validation": 4, "test": 6})
    splits = load_image_splits(source="tfds", name="tiny", directory=tmp_path)
    assert splits.class_names == ("red", "blue")
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (20, 4, 6)
    assert splits.test.names[5] == "tiny/test[5]"
    assert splits.test.labels.tolist() == [0, 1, 0, 1, 0, 1]


def test_records_are_reached_in_any_order(tmp_path, photo):
    _write_dataset(tmp_path, photo, {"train": 12, "test": 8})
    examples = load_image_splits(source="tfds", name="tiny", directory=tmp_path).test
    image = ImageSpec(16, 16)
    forward = np.concatenate(list(pixel_batches(examples, image, batch_size=8)))
    backward = np.concatenate(list(pixel_batches(examples.select(np.arange(8)[::-1]), image, batch_size=8)))
    np.testing.assert_array_equal(forward[::-1], backward)
    first = decode_image(tf.constant(next(examples.source.encoded(examples.indices))), channels=3)
    np.testing.assert_array_equal(first, np.asarray(photo(100, height=20)))


def test_records_stream_into_shuffled_batches(tmp_path, photo):
    _write_dataset(tmp_path, photo, {"train": 12, "test": 4})
    splits = load_image_splits(source="tfds", name="tiny", directory=tmp_path, validation_fraction=0.0)
    batches = training_batches(splits.train, ImageSpec(16, 16), batch_size=5, cache_bytes=0)
    assert [pixels.shape[0] for pixels, _ in batches] == [5, 5, 2]


def test_a_split_with_secret_labels_is_left_out(tmp_path, photo):
    _write_dataset(tmp_path, photo, {"train": 20, "test": 4}, secret="test")
    splits = load_image_splits(source="tfds", name="tiny", directory=tmp_path)
    assert all(name.startswith("tiny/train") for name in splits.test.names)
    assert splits.report.left_out[0].name == "tiny/test"


def test_a_dataset_that_is_nowhere_names_itself_and_the_way_out(tmp_path):
    with pytest.raises(DataError, match="the data set 'no_such_set' is not in") as caught:
        load_image_splits(source="tfds", name="no_such_set", directory=tmp_path)
    assert "data.directory" in caught.value.hint
    with pytest.raises(DataError, match="needs the name"):
        load_image_splits(source="tfds")
