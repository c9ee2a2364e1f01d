import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfkit.artifacts import ImageSpec
from tfkit.data import (
    FileSource,
    calibration_pixels,
    evaluation_batches,
    load_image_splits,
    pixel_batches,
    training_batches,
)
from tfkit.data.shares import Share

_IMAGE = ImageSpec(16, 16)


@pytest.fixture
def examples(image_folder):
    folder = image_folder({"train/a": 11, "train/b": 12, "test/a": 1, "test/b": 1})
    return load_image_splits(source="image_folder", directory=folder, validation_fraction=0.0).train


def _epochs(batches, count=1):
    return [[(pixels.numpy(), targets.numpy()) for pixels, targets in batches] for _ in range(count)]


def _same(first, second) -> bool:
    return all(np.array_equal(a[0], b[0]) and np.array_equal(a[1], b[1]) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("cache_bytes", "augmentation", "mixing"),
    [pytest.param(0, "rand_augment", "cutmix", marks=pytest.mark.slow), (1 << 20, "light", "mixup")],
)
def test_the_same_seed_gives_the_same_epochs(examples, cache_bytes, augmentation, mixing):
    options = {"batch_size": 5, "augmentation": augmentation, "mixing": mixing, "cache_bytes": cache_bytes}
    first = _epochs(training_batches(examples, _IMAGE, seed=7, **options), 2)
    again = _epochs(training_batches(examples, _IMAGE, seed=7, **options), 2)
    other = _epochs(training_batches(examples, _IMAGE, seed=8, **options), 1)
    assert _same(first[0], again[0]) and _same(first[1], again[1])
    assert not _same(first[0], first[1])
    assert not _same(first[0], other[0])


def test_cached_and_streamed_images_are_the_same(examples):
    cached = training_batches(examples, _IMAGE, batch_size=4, seed=1)
    streamed = training_batches(examples, _IMAGE, batch_size=4, seed=1, cache_bytes=0)
    assert _same(_epochs(cached)[0], _epochs(streamed)[0])


def test_a_run_can_go_on_at_a_later_epoch(examples):
    third = _epochs(training_batches(examples, _IMAGE, batch_size=4, seed=1), 3)[2]
    resumed = _epochs(training_batches(examples, _IMAGE, batch_size=4, seed=1, first_epoch=2))[0]
    assert _same(third, resumed)


class _Counting(FileSource):
    """Files, and which of them were read."""

    def __init__(self, source):
        super().__init__(source.files, channels=source.channels)
        self.read = []

    def read_pixels(self, index):
        noted = tf.numpy_function(lambda place: self.read.append(int(place)) or place, [index], tf.int64)
        return super().read_pixels(tf.ensure_shape(noted, []))


@pytest.mark.parametrize(("parts", "devices"), [(2, 2), (2, 4), (3, 3)])
@pytest.mark.parametrize("epochs", ["training", "evaluation"])
def test_processes_read_their_own_share_and_see_what_one_process_would(examples, parts, devices, epochs):
    def batches(of, share=None):
        if epochs == "evaluation":
            return evaluation_batches(of, _IMAGE, batch_size=12, share=share)
        return training_batches(of, _IMAGE, batch_size=12, seed=3, cache_bytes=0, share=share)

    whole = _epochs(batches(examples))[0]
    read = []
    for part in range(parts):
        share = Share(part=part, parts=parts, devices=devices)
        source = _Counting(examples.source)
        own = _epochs(batches(replace(examples, source=source), share))[0]
        for (pixels, targets), (all_pixels, all_targets) in zip(own, whole, strict=True):
            rows = share.rows(len(targets)).numpy()
            np.testing.assert_array_equal(pixels[rows], all_pixels[rows])
            np.testing.assert_array_equal(targets, all_targets)
        assert len(source.read) == len(set(source.read)) < len(examples)
        read += source.read
    assert set(read) == set(examples.indices)
    assert len(read) <= len(examples) + 2 * devices, "no more come twice than fill up a batch"


def test_mixing_needs_the_images_of_all_processes(examples):
    options = {"batch_size": 12, "seed": 3, "cache_bytes": 0, "mixing": "mixup"}
    shared = training_batches(examples, _IMAGE, share=Share(0, 2, 2), **options)
    assert _same(_epochs(shared)[0], _epochs(training_batches(examples, _IMAGE, **options))[0])


def test_an_epoch_holds_every_example_once_with_its_label(examples):
    stored = np.concatenate(list(pixel_batches(examples, _IMAGE, batch_size=64)))
    label_of = {pixels.tobytes(): label for pixels, label in zip(stored, examples.labels, strict=True)}
    batches = training_batches(examples, _IMAGE, batch_size=5, augmentation="none")
    (epoch,) = _epochs(batches)
    assert [len(pixels) for pixels, _ in epoch] == [5, 5, 5, 5, 3]
    assert len(batches) == 5
    seen = [
        (image.astype(np.uint8).tobytes(), target.argmax())
        for pixels, targets in epoch
        for image, target in zip(pixels, targets, strict=True)
    ]
    assert dict(seen) == label_of and len(seen) == 23


def test_batches_are_float_pixels_and_one_hot_targets(examples):
    for batches in (
        training_batches(examples, _IMAGE, batch_size=4),
        evaluation_batches(examples, _IMAGE, batch_size=4),
    ):
        pixels, targets = batches.element_spec
        assert pixels.shape.as_list() == [None, 16, 16, 3] and pixels.dtype == "float32"
        assert targets.shape.as_list() == [None, 2] and targets.dtype == "float32"


@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
def test_evaluation_keeps_the_order(examples, cache_bytes):
    batches = evaluation_batches(examples, _IMAGE, batch_size=4, cache_bytes=cache_bytes)
    assert len(batches) == 6
    for _ in range(2):
        (epoch,) = _epochs(batches)
        pixels = np.concatenate([pixels for pixels, _ in epoch])
        labels = np.concatenate([targets.argmax(axis=1) for _, targets in epoch])
        np.testing.assert_array_equal(labels, examples.labels)
        np.testing.assert_array_equal(pixels, np.concatenate(list(pixel_batches(examples, _IMAGE, batch_size=9))))


def test_keras_trains_on_the_batches(examples):
    import keras

    model = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")])
    model.compile("sgd", "categorical_crossentropy")
    history = model.fit(training_batches(examples, _IMAGE, batch_size=5, mixing="mixup"), epochs=2, verbose=0)
    assert len(history.history["loss"]) == 2


def test_calibration_takes_the_classes_in_turn(examples):
    pixels = calibration_pixels(examples, _IMAGE, count=6, seed=2)
    stored = np.concatenate(list(pixel_batches(examples, _IMAGE, batch_size=64)))
    label_of = {image.tobytes(): int(label) for image, label in zip(stored, examples.labels, strict=True)}
    assert sorted(label_of[image.tobytes()] for image in pixels) == [0, 0, 0, 1, 1, 1]
    np.testing.assert_array_equal(pixels, calibration_pixels(examples, _IMAGE, count=6, seed=2))
    assert len(calibration_pixels(examples, _IMAGE, count=500)) == 23


@pytest.mark.real_data
def test_real_photos_are_read_split_and_batched():
    root = Path(os.environ["TFKIT_REAL_DATA"])
    splits = load_image_splits(source="image_folder", directory=root / "hymenoptera")
    assert splits.class_names == ("ants", "bees")
    assert (len(splits.train) + len(splits.validation), len(splits.test)) == (244, 153)
    (epoch,) = _epochs(training_batches(splits.train, ImageSpec(224, 224), batch_size=32))
    assert sum(len(pixels) for pixels, _ in epoch) == len(splits.train)


@pytest.mark.real_data
def test_real_arrays_are_read():
    root = Path(os.environ["TFKIT_REAL_DATA"]) / "cifar10"
    splits = load_image_splits(source="npz", directory=root, train=Path("train10k.npz"), test=Path("test2k.npz"))
    assert set(splits.test.class_counts().values()) == {200}
    assert splits.report.leakage == ()
