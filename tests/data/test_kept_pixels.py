"""Images are decoded once for all who ask: in memory, or on a disk that keeps nothing of it."""

import resource
import shutil

import numpy as np
import pytest

from tfkit.artifacts import ImageSpec
from tfkit.data import (
    evaluation_batches,
    host_pixel_batches,
    keep_pixels,
    load_image_splits,
    pixel_batches,
    training_batches,
)

_IMAGE = ImageSpec(16, 12)


@pytest.fixture
def splits(image_folder):
    folder = image_folder({"train/a": 7, "train/b": 6, "test/a": 3, "test/b": 2})
    return load_image_splits(source="image_folder", directory=folder, validation_fraction=0.2), folder


def _parts(splits):
    return splits.train, splits.validation, splits.test


def _all(batches):
    return np.concatenate([pixels.numpy() for pixels, _ in batches])


def test_every_way_gives_the_same_pixels_after_the_files_are_gone(splits, tmp_path):
    splits, folder = splits
    wanted = [np.concatenate(list(host_pixel_batches(part, _IMAGE, batch_size=4))) for part in _parts(splits)]
    trained = _all(training_batches(splits.train, _IMAGE, batch_size=4, seed=3))
    assert keep_pixels(_parts(splits), _IMAGE, memory_bytes=1 << 20, folder=tmp_path) is None

    _all(evaluation_batches(splits.train, _IMAGE, batch_size=4))
    list(pixel_batches(splits.validation, _IMAGE, batch_size=4))
    list(host_pixel_batches(splits.test, _IMAGE, batch_size=4))
    shutil.rmtree(folder)

    for part, pixels in zip(_parts(splits), wanted, strict=True):
        assert np.array_equal(np.concatenate(list(pixel_batches(part, _IMAGE, batch_size=3))), pixels)
        assert np.array_equal(np.concatenate(list(host_pixel_batches(part, _IMAGE, batch_size=3))), pixels)
    assert np.array_equal(_all(evaluation_batches(splits.test, _IMAGE, batch_size=4)), wanted[-1])
    assert np.array_equal(_all(training_batches(splits.train, _IMAGE, batch_size=4, seed=3)), trained)
    assert splits.losses.note is None


def test_what_memory_may_not_hold_is_kept_in_a_file_that_nobody_sees(splits, tmp_path):
    (splits, folder), run = splits, tmp_path / "run"
    run.mkdir()
    wanted = next(host_pixel_batches(splits.test, _IMAGE, batch_size=9))
    assert "kept on the disk" in keep_pixels(_parts(splits), _IMAGE, memory_bytes=1, folder=run)
    list(host_pixel_batches(splits.test, _IMAGE, batch_size=4))
    shutil.rmtree(folder)
    assert np.array_equal(next(host_pixel_batches(splits.test, _IMAGE, batch_size=9)), wanted)
    assert not list(run.iterdir())


def test_what_is_half_decoded_is_decoded_to_the_end(splits, tmp_path):
    splits, folder = splits
    wanted = _all(training_batches(splits.train, _IMAGE, batch_size=4))
    keep_pixels(_parts(splits), _IMAGE, memory_bytes=1 << 20, folder=tmp_path)
    next(host_pixel_batches(splits.train, _IMAGE, batch_size=4))
    batches = training_batches(splits.train, _IMAGE, batch_size=4)
    shutil.rmtree(folder)
    assert np.array_equal(_all(batches), wanted)


def test_a_disk_without_room_is_told_and_images_are_decoded_as_before(splits, tmp_path):
    splits, _ = splits
    huge = ImageSpec(2**20, 2**20)
    assert "free; they are decoded again in every epoch" in keep_pixels(
        _parts(splits), huge, memory_bytes=1, folder=tmp_path
    )
    assert keep_pixels(_parts(splits), _IMAGE, memory_bytes=0, folder=tmp_path) is None
    assert splits.train.source.kept is None


def test_a_disk_that_takes_no_more_is_told(splits, tmp_path):
    (splits, _), limits = splits, resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        note = keep_pixels(_parts(splits), _IMAGE, memory_bytes=1, folder=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "(File too large); they are decoded again" in note
    assert _all(evaluation_batches(splits.train, _IMAGE, batch_size=4)).shape == (len(splits.train), 16, 12, 3)


def test_what_is_kept_stays_until_another_size_or_image_is_asked_for(splits, tmp_path):
    splits, _ = splits
    keep_pixels([splits.test], _IMAGE, memory_bytes=1 << 20, folder=tmp_path)
    first = splits.test.source.kept
    keep_pixels([splits.test.select(np.arange(2))], _IMAGE, memory_bytes=1 << 20, folder=tmp_path)
    assert splits.test.source.kept is first
    keep_pixels(_parts(splits), _IMAGE, memory_bytes=1 << 20, folder=tmp_path)
    second = splits.test.source.kept
    keep_pixels(_parts(splits), ImageSpec(8, 8), memory_bytes=1 << 20, folder=tmp_path)
    assert first is not second and splits.test.source.kept.image == ImageSpec(8, 8)
