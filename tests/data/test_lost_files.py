"""Files that break or vanish after the check: another of their label stands in, and too many stop the run."""

import logging
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfkit.artifacts import ImageSpec
from tfkit.data import (
    evaluation_batches,
    host_pixel_batches,
    load_image_examples,
    load_image_splits,
    training_batches,
)
from tfkit.errors import DataError

SPEC = ImageSpec(8, 8)
COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


@pytest.fixture
def folder(tmp_path) -> Path:
    """30 pictures of each colour for training and 10 to test on, each a little different."""
    for split, count in (("train", 30), ("test", 10)):
        for name, colour in COLOURS.items():
            place = tmp_path / "photos" / split / name
            place.mkdir(parents=True)
            for number in range(count):
                pixels = np.full((8, 8, 3), colour, np.uint8)
                pixels[0, 0] = number, len(split), 100
                Image.fromarray(pixels).save(place / f"{number:02}.png")
    return tmp_path / "photos"


def _load(folder, **options):
    options = {"validation_fraction": 0.0, "max_lost_fraction": 0.1} | options
    return load_image_splits(source="image_folder", directory=folder, **options)


def _labels(pixels):
    """The class that a batch's colours speak of, 0 to 2."""
    return (2 - np.asarray(pixels)[:, 4, 4].argmax(axis=1)).tolist()


def _lose(folder, split="train"):
    """Three files: deleted, truncated, replaced by a folder."""
    paths = [folder / split / name for name in ("blue/03.png", "green/04.png", "red/05.png")]
    paths[0].unlink()
    paths[1].write_bytes(paths[1].read_bytes()[:40])
    paths[2].unlink()
    paths[2].mkdir()
    return {path.relative_to(folder).as_posix() for path in paths}


@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
def test_training_goes_on_with_others_of_the_same_label(folder, cache_bytes, caplog):
    splits = _load(folder)
    lost = _lose(folder)
    batches = training_batches(splits.train, SPEC, batch_size=16, augmentation="none", cache_bytes=cache_bytes)
    for _ in range(2):
        epoch = [(np.asarray(pixels), np.asarray(targets)) for pixels, targets in batches]
        assert [len(pixels) for pixels, _ in epoch] == [16, 16, 16, 16, 16, 10]
        for pixels, targets in epoch:
            assert _labels(pixels) == targets.argmax(axis=1).tolist()
            assert (pixels[:, 0, 0, 1] == len("train")).all()  # never a picture of another split
    assert set(splits.losses.reasons) == lost
    named = [record for record in caplog.records if record.levelno == logging.WARNING and "vanished" in record.message]
    assert len(named) == 3
    assert "3 images broke or vanished after the check" in splits.losses.note


def test_an_epoch_survives_files_that_vanish_in_its_midst(folder):
    splits = _load(folder)
    batches = iter(training_batches(splits.train, SPEC, batch_size=8, augmentation="none", cache_bytes=0))
    seen = len(next(batches)[0])
    _lose(folder)
    assert seen + sum(len(pixels) for pixels, _ in batches) == 90


def test_evaluation_calibration_and_proof_keep_their_order(folder):
    splits = _load(folder)
    _lose(folder, "test")
    expected = splits.test.labels.tolist()
    streamed = evaluation_batches(splits.test, SPEC, batch_size=7)
    assert [label for pixels, _ in streamed for label in _labels(pixels)] == expected
    hosted = host_pixel_batches(splits.test, SPEC, batch_size=7)
    assert [label for pixels in hosted for label in _labels(pixels)] == expected
    sent = (tf.io.decode_png(content).numpy()[None] for content in splits.test.source.encoded(splits.test.indices))
    assert [label for pixels in sent for label in _labels(pixels)] == expected


def test_examples_to_judge_on_are_watched_too(folder):
    examples = load_image_examples(folder)
    (folder / "test" / "red" / "00.png").unlink()
    with pytest.raises(DataError, match=r"1 of 30 images broke or vanished .* \(0.02\) allows: test/red/00.png"):
        list(host_pixel_batches(examples, SPEC, batch_size=8))


def test_too_many_lost_files_stop_the_epoch_and_are_named(folder):
    splits = _load(folder, max_lost_fraction=0.02)
    _lose(folder)
    batches = training_batches(splits.train, SPEC, batch_size=16, cache_bytes=0)
    with pytest.raises(tf.errors.OpError, match="3 of 120 images broke or vanished after the check"):
        list(batches)


def test_a_file_that_became_another_whole_picture_is_read(folder):
    splits = _load(folder, max_lost_fraction=0.0)
    Image.new("RGB", (9, 9), "red").save(folder / "train" / "red" / "00.png")
    assert len(list(host_pixel_batches(splits.train, SPEC, batch_size=90))) == 1
    assert splits.losses.note is None


def test_pictures_stay_upright_when_they_are_turned_between_two_epochs(folder, photo):
    """A file's orientation is remembered; another file in its place has its own."""

    def save(first):
        for number in range(8):
            exif = Image.Exif()
            exif[0x0112] = (number + first) % 8 + 1
            photo(number, height=8, width=12).save(folder / "train" / "red" / f"turned{number}.jpg", exif=exif)

    save(0)
    train = _load(folder).train
    batches = training_batches(train, SPEC, batch_size=98, augmentation="none", cache_bytes=0)
    seen = set()
    for first in (0, 0, 3, 3):
        save(first)
        (expected,) = host_pixel_batches(train, SPEC, batch_size=98)
        ((pixels, _),) = ((np.asarray(pixels), targets) for pixels, targets in batches)
        assert sorted(one.astype(np.uint8).tobytes() for one in pixels) == sorted(one.tobytes() for one in expected)
        seen.add(frozenset(one.tobytes() for one in pixels))
    assert len(seen) == 2


def test_a_file_that_comes_back_is_read_again(folder):
    splits = _load(folder)
    path = folder / "train" / "red" / "00.png"
    place = splits.train.names.index("train/red/00.png")
    content = path.read_bytes()
    path.unlink()
    source, index = splits.train.source, int(splits.train.indices[place])
    assert source.content(index) != content
    path.write_bytes(content)
    assert source.content(index) == content


def test_numbers_are_stood_in_for_by_the_nearest(folder):
    from tfkit.data.targets import Targets

    rows = [f"train/red/{number:02}.png,{number**2}" for number in range(30)]
    (folder / "m.csv").write_text("path,label\n" + "\n".join(rows))
    splits = load_image_splits(source="csv", train=folder / "m.csv", targets=Targets("numbers"), max_lost_fraction=0.1)
    index = int(splits.train.indices[5])
    values = {int(place): value[0] for place, value in zip(splits.train.indices, splits.train.labels, strict=True)}
    nearest = min((place for place in values if place != index), key=lambda place: abs(values[place] - values[index]))
    expected = splits.train.source.content(nearest)
    splits.train.source.path(index).unlink()
    assert splits.train.source.content(index) == expected
