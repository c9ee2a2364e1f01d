from pathlib import Path

import numpy as np
import pytest

from tfkit.artifacts import ImageSpec
from tfkit.data import load_image_examples, load_image_splits, pixel_batches
from tfkit.errors import DataError


def _arrays(count: int, *, channels: int | None = 3, classes: int = 2, seed: int = 0) -> dict[str, np.ndarray]:
    shape = (count, 8, 9) if channels is None else (count, 8, 9, channels)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return {"x": pixels, "y": (np.arange(count) % classes).astype(np.uint8)}


def _save(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


def test_two_files_are_two_splits(tmp_path):
    _save(tmp_path / "train.npz", **_arrays(20))
    _save(tmp_path / "test.npz", **_arrays(6, seed=1))
    splits = load_image_splits(source="npz", directory=tmp_path, train=Path("train.npz"), test=Path("test.npz"))
    assert splits.class_names == ("0", "1")
    assert splits.test.names[5] == "test[5]"
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (18, 2, 6)


def test_pixels_come_back_unchanged_and_in_order(tmp_path):
    arrays = _arrays(10)
    examples = load_image_examples(_save(tmp_path / "set.npz", **arrays))
    pixels = np.concatenate(list(pixel_batches(examples, ImageSpec(8, 9), batch_size=4)))
    np.testing.assert_array_equal(pixels, arrays["x"])
    np.testing.assert_array_equal(examples.labels, arrays["y"])


def test_grey_becomes_rgb_and_rgb_grey(tmp_path):
    grey = load_image_examples(_save(tmp_path / "grey.npz", **_arrays(4, channels=None)), channels=3)
    rgb = load_image_examples(_save(tmp_path / "rgb.npz", **_arrays(4)), channels=1)
    assert next(pixel_batches(grey, ImageSpec(8, 9, 3), batch_size=4)).shape == (4, 8, 9, 3)
    assert next(pixel_batches(rgb, ImageSpec(8, 9, 1), batch_size=4)).shape == (4, 8, 9, 1)


def test_one_file_in_the_way_of_keras_holds_both_splits(tmp_path):
    train, test = _arrays(20), _arrays(6, seed=1)
    path = _save(
        tmp_path / "both.npz",
        x_train=train["x"],
        y_train=train["y"][:, None],
        x_test=test["x"],
        y_test=test["y"][:, None],
    )
    splits = load_image_splits(source="npz", train=path)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (18, 2, 6)


def test_class_names_in_the_file_name_its_numbers(tmp_path):
    path = _save(tmp_path / "named.npz", **_arrays(20), class_names=np.array(["dog", "cat"]))
    splits = load_image_splits(source="npz", directory=path)
    assert splits.class_names == ("dog", "cat")


def test_class_numbers_keep_the_order_of_numbers(tmp_path):
    path = _save(tmp_path / "many.npz", **_arrays(60, classes=12))
    assert load_image_examples(path).class_names == tuple(str(number) for number in range(12))


def test_integer_labels_are_positions_in_the_classes_of_a_model(tmp_path):
    path = _save(tmp_path / "set.npz", **_arrays(6))
    examples = load_image_examples(path, class_names=["ants", "bees", "wasps"])
    assert examples.class_counts() == {"ants": 3, "bees": 3, "wasps": 0}


def test_labels_beyond_the_number_of_classes_are_names(tmp_path):
    arrays = _arrays(6)
    path = _save(tmp_path / "set.npz", x=arrays["x"], y=arrays["y"] + 5)
    assert load_image_examples(path, class_names=["5", "6"]).class_counts() == {"5": 3, "6": 3}
    with pytest.raises(DataError, match="labels that the model does not know: '5', '6'"):
        load_image_examples(path, class_names=["ants", "bees"])


def test_encoded_pixels_are_png_of_the_same_values(tmp_path):
    arrays = _arrays(3)
    examples = load_image_examples(_save(tmp_path / "set.npz", **arrays))
    (content,) = examples.source.encoded(examples.indices[1:2])
    assert content.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.zeros(3)}, "holds a, not x and y"),
        ({"x": np.zeros((3, 8, 8), np.float32), "y": np.zeros(3, int)}, "expected uint8 pixels"),
        ({"x": np.zeros((3, 64), np.uint8), "y": np.zeros(3, int)}, r"shape \(3, 64\)"),
        ({"x": np.zeros((3, 8, 8), np.uint8), "y": np.zeros((3, 2))}, "expected 3 integers or strings"),
        ({"x": np.zeros((3, 8, 8), np.uint8), "y": np.zeros(4, int)}, "expected 3 integers or strings"),
        (
            {"x": np.zeros((3, 8, 8), np.uint8), "y": np.array([0, 1, 2]), "class_names": np.array(["a", "b"])},
            "labels 0 to 2 for 2 class_names",
        ),
    ],
)
def test_arrays_that_cannot_be_used_say_why(tmp_path, arrays, message):
    with pytest.raises(DataError, match=message) as caught:
        load_image_splits(source="npz", train=_save(tmp_path / "bad.npz", **arrays))
    assert caught.value.hint


def test_a_file_that_is_no_npz_says_so(tmp_path):
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(DataError, match=r"cannot be read as \.npz"):
        load_image_splits(source="npz", train=tmp_path / "bad.npz")
    with pytest.raises(DataError, match="does not exist"):
        load_image_splits(source="npz", train=tmp_path / "none.npz")


def test_digits_are_grey_from_0_to_255_and_need_no_file():
    splits = load_image_splits(source="digits", channels=1, classes=["5", "6", "7", "8", "9"], labels_per_class=10)
    assert splits.train.class_counts() == dict.fromkeys(["5", "6", "7", "8", "9"], 10)
    pixels = next(pixel_batches(splits.test, ImageSpec(8, 8, 1), batch_size=64))
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert splits.test.names[0].startswith("digits[")
