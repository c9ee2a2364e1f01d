from pathlib import Path

import numpy as np
import pytest

from tfkit.data import load_image_examples, load_image_splits
from tfkit.errors import DataError


def _load(directory, **options):
    return load_image_splits(source="image_folder", directory=directory, **options)


def test_flat_folder_is_split_by_class(image_folder):
    splits = _load(image_folder({"bees": 20, "ants": 10}), validation_fraction=0.25, test_fraction=0.2)
    assert splits.class_names == ("ants", "bees")
    assert splits.test.class_counts() == {"ants": 2, "bees": 4}
    assert splits.validation.class_counts() == {"ants": 2, "bees": 4}
    assert splits.train.class_counts() == {"ants": 6, "bees": 12}


def test_the_same_seed_gives_the_same_splits_and_another_gives_others(image_folder):
    folder = image_folder({"ants": 20, "bees": 20})
    first, again, other = _load(folder, seed=1), _load(folder, seed=1), _load(folder, seed=2)
    assert first.test.names == again.test.names
    assert first.validation.names == again.validation.names
    assert first.test.names != other.test.names


def test_no_example_is_lost_or_in_two_splits(image_folder):
    splits = _load(image_folder({"ants": 13, "bees": 17}))
    names = [name for part in (splits.train, splits.validation, splits.test) for name in part.names]
    assert len(names) == len(set(names)) == 30


@pytest.mark.parametrize("called", ["val", "valid", "validation"])
def test_val_without_test_is_the_test_split_and_validation_comes_from_train(image_folder, called):
    folder = image_folder({"train/a": 10, "train/b": 10, f"{called}/a": 3, f"{called}/b": 4})
    splits = _load(folder, validation_fraction=0.2)
    assert splits.test.class_counts() == {"a": 3, "b": 4}
    assert all(name.startswith("train/") for name in splits.validation.names)
    assert len(splits.validation) == 4
    assert any("test split" in note for note in splits.report.notes)


def test_three_folders_are_used_as_they_are(image_folder):
    folder = image_folder({"train/a": 5, "train/b": 5, "val/a": 2, "val/b": 2, "test/a": 3, "test/b": 3})
    splits = _load(folder)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [10, 4, 6]
    assert splits.test.names[0] == "test/a/000.jpg"


def test_no_validation_is_empty_not_missing(image_folder):
    splits = _load(image_folder({"a": 5, "b": 5}), validation_fraction=0.0)
    assert len(splits.validation) == 0
    assert splits.validation.class_names == ("a", "b")


def test_classes_are_kept_in_the_order_asked(image_folder):
    splits = _load(image_folder({"a": 6, "b": 7, "c": 8}), classes=["c", "a"])
    assert splits.class_names == ("c", "a")
    assert sum(splits.train.class_counts().values()) + len(splits.test) + len(splits.validation) == 14
    assert splits.train.names[int(np.flatnonzero(splits.train.labels == 0)[0])].startswith("c/")


def test_few_labels_leave_the_other_splits_alone(image_folder):
    folder = image_folder({"a": 20, "b": 20})
    whole, few = _load(folder), _load(folder, labels_per_class=3)
    assert few.train.class_counts() == {"a": 3, "b": 3}
    assert few.test.names == whole.test.names
    assert set(few.train.names) <= set(whole.train.names)


def test_other_files_are_left_out_with_a_reason(image_folder):
    folder = image_folder({"a": 5, "b": 5})
    (folder / "a" / "notes.txt").write_text("hello")
    (folder / "b" / "phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    (folder / "README").write_text("hello")
    (folder / "a" / ".DS_Store").write_bytes(b"\0")
    left_out = {item.name: item.reason for item in _load(folder).report.left_out}
    assert set(left_out) == {"a/notes.txt", "b/phone.HEIC", "README"}
    assert "HEIC" in left_out["b/phone.HEIC"] and "convert" in left_out["b/phone.HEIC"]


def test_an_image_is_known_by_its_content_not_its_name(image_folder):
    folder = image_folder({"a": 5, "b": 5})
    (folder / "a" / "000.jpg").rename(folder / "a" / "no-suffix")
    assert _load(folder).report.left_out == ()


def test_damaged_images_are_listed_all_at_once(image_folder):
    folder = image_folder({"a": 20, "b": 5})
    for index in range(12):
        (folder / "a" / f"{index:03}.jpg").write_bytes(b"\xff\xd8\xff" + bytes([index]))
    (folder / "b" / "000.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="13 images of 25 cannot be used") as caught:
        _load(folder)
    assert "a/000.jpg" in str(caught.value)
    assert "and 3 more" in str(caught.value)
    assert "bad_images=skip" in caught.value.hint


def test_damaged_images_can_be_skipped_and_are_reported(image_folder):
    folder = image_folder({"a": 8, "b": 8})
    content = (folder / "a" / "003.jpg").read_bytes()
    (folder / "a" / "003.jpg").write_bytes(content[:-200])
    splits = _load(folder, bad_images="skip")
    assert [item.name for item in splits.report.left_out] == ["a/003.jpg"]
    assert "damaged" in splits.report.left_out[0].reason
    kept = [name for part in (splits.train, splits.validation, splits.test) for name in part.names]
    assert len(kept) == 15 and "a/003.jpg" not in kept


def test_copies_are_found_and_never_parted_by_our_own_split(image_folder):
    folder = image_folder({"a": 10, "b": 10})
    content = (folder / "a" / "000.jpg").read_bytes()
    for index in range(5):
        (folder / "a" / f"copy{index}.jpg").write_bytes(content)
    splits = _load(folder)
    assert len(splits.report.duplicates) == 1 and len(splits.report.duplicates[0]) == 6
    assert splits.report.leakage == ()


def test_content_in_two_splits_is_leakage(image_folder):
    folder = image_folder({"train/a": 5, "train/b": 5, "test/a": 2, "test/b": 2})
    (folder / "test" / "a" / "stolen.jpg").write_bytes((folder / "train" / "a" / "002.jpg").read_bytes())
    assert _load(folder).report.leakage == (("train/a/002.jpg", "test/a/stolen.jpg"),)


def test_one_picture_under_two_labels_is_noted(image_folder):
    folder = image_folder({"a": 6, "b": 6})
    (folder / "b" / "same.jpg").write_bytes((folder / "a" / "000.jpg").read_bytes())
    assert any("more than one class" in note for note in _load(folder).report.notes)


def test_progress_reaches_the_total(image_folder):
    seen = []
    _load(image_folder({"a": 40, "b": 40}), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (80, 80)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def _folder_of_one_class(image_folder) -> Path:
    return image_folder({"ants": 5})


def _empty_class(image_folder) -> Path:
    folder = image_folder({"ants": 5, "bees": 5})
    (folder / "wasps").mkdir()
    return folder


def _different_classes(image_folder) -> Path:
    return image_folder({"train/a": 5, "train/b": 5, "test/a": 2, "test/c": 2})


def _too_few(image_folder) -> Path:
    return image_folder({"a": 1, "b": 8})


def _no_class_folder(image_folder) -> Path:
    folder = image_folder({"a": 3})
    for file in (folder / "a").iterdir():
        file.rename(folder / file.name)
    (folder / "a").rmdir()
    return folder


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda image_folder: image_folder({}), "does not exist"),
        (_folder_of_one_class, "only one class was found: 'ants'"),
        (_empty_class, "no image in 'wasps'"),
        (_different_classes, "test has no image of 'b'; .*train has no image of 'c'|train has no image of 'c'; test"),
        (_too_few, "too few different images to split off a test part: 'a' \\(1\\)"),
        (_no_class_folder, "no class folder"),
    ],
)
def test_folders_that_cannot_be_used_say_why(image_folder, prepare, message):
    with pytest.raises(DataError, match=message) as caught:
        _load(prepare(image_folder))
    assert caught.value.hint


def test_unknown_class_gets_the_nearest_name(image_folder):
    with pytest.raises(DataError, match="'bee' \\(is 'bees' meant\\?\\)"):
        _load(image_folder({"ants": 3, "bees": 3}), classes=["ants", "bee"])


def test_wrong_fractions_are_told_together(image_folder):
    with pytest.raises(DataError, match=r"validation_fraction .*1\.0.*test_fraction .*0\.0"):
        _load(image_folder({"a": 3, "b": 3}), validation_fraction=1.0, test_fraction=0.0)


def test_a_labelled_set_is_mapped_to_the_classes_of_a_model(image_folder):
    folder = image_folder({"bees": 2, "ants": 3})
    examples = load_image_examples(folder, class_names=["wasps", "bees", "ants"])
    assert examples.class_counts() == {"wasps": 0, "bees": 2, "ants": 3}
    assert load_image_examples(folder).class_names == ("ants", "bees")
    with pytest.raises(DataError, match="labels that the model does not know: 'ants'; it knows 'bees', 'cats'"):
        load_image_examples(folder, class_names=["bees", "cats"])


def test_of_a_folder_with_splits_the_test_part_is_judged(image_folder):
    folder = image_folder({"train/a": 4, "train/b": 4, "test/a": 1, "test/b": 2})
    assert load_image_examples(folder).names == ("test/a/000.jpg", "test/b/000.jpg", "test/b/001.jpg")


def test_calibration_takes_the_training_part_and_judging_the_test_part(image_folder):
    folder = image_folder({"train/a": 2, "train/b": 2, "test/a": 1, "test/b": 1})
    assert len(load_image_examples(folder)) == 2
    assert load_image_examples(folder, prefer="train").names[0].startswith("train/")
