"""Labels of every kind from tables: one class, sets of labels, numbers; for images and texts alike."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfkit.data import load_image_splits
from tfkit.data.targets import Targets, dense_targets, strata, target_counts, told_target
from tfkit.data.text import load_text_splits
from tfkit.errors import DataError

SETS = Targets("labels")
AGES = Targets("numbers", columns=("age", "weight"))


def _table(folder: Path, rows: list[str], *, header: str) -> Path:
    path = folder / "table.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def _pictures(folder: Path, count: int) -> list[str]:
    rng = np.random.default_rng(0)
    names = [f"{number}.png" for number in range(count)]
    for name in names:
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).save(folder / name)
    return names


def test_images_with_several_labels_in_one_column(tmp_path: Path) -> None:
    labels = ["cat", "cat; dog", "", "dog"] * 5
    rows = [f"{name},{label}" for name, label in zip(_pictures(tmp_path, 20), labels, strict=True)]
    splits = load_image_splits(source="csv", train=_table(tmp_path, rows, header="path,label"), targets=SETS)
    assert splits.class_names == ("cat", "dog")
    every = np.concatenate([splits.train.labels, splits.validation.labels, splits.test.labels])
    assert every.dtype == np.uint8 and every.sum(axis=0).tolist() == [10, 10] and len(every) == 20
    assert splits.test.class_counts() == target_counts(splits.test.labels, splits.class_names)
    assert {told_target(splits.train.labels, place, splits.class_names) for place in range(len(splits.train))} == {
        "cat", "cat, dog", "none", "dog",
    }  # fmt: skip


def test_texts_with_a_column_for_each_label(tmp_path: Path) -> None:
    rows = [f"text number {place},{place % 2},{'yes' if place % 3 else 'no'}" for place in range(30)]
    path = _table(tmp_path, rows, header="text,late,rude")
    splits = load_text_splits(source="csv", train=path, targets=Targets("labels", columns=("late", "rude")))
    assert splits.class_names == ("late", "rude")
    for text, labels in zip(splits.train.texts, splits.train.labels, strict=True):
        number = int(text.split()[-1])
        assert labels.tolist() == [number % 2, int(number % 3 > 0)]


def test_texts_with_lists_of_labels_in_jsonl(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    rows = [{"text": f"text {n}", "label": ["a"] if n % 2 else ["a", "b"]} for n in range(20)]
    path.write_text("\n".join(map(json.dumps, rows)))
    splits = load_text_splits(source="jsonl", train=path, targets=SETS)
    assert splits.class_names == ("a", "b") and set(splits.train.labels[:, 0]) == {1}


def test_images_with_two_numbers(tmp_path: Path) -> None:
    rows = [f"{name},{place},{1000 + place}" for place, name in enumerate(_pictures(tmp_path, 20))]
    splits = load_image_splits(source="csv", train=_table(tmp_path, rows, header="path,age,weight"), targets=AGES)
    assert splits.class_names == ("age", "weight")
    numbers = np.array([int(Path(name).stem) for name in splits.train.names])
    assert np.array_equal(splits.train.labels, np.stack([numbers, 1000 + numbers], axis=1).astype(np.float32))


def test_every_faulty_number_is_told(tmp_path: Path) -> None:
    names = _pictures(tmp_path, 3)
    path = _table(tmp_path, [f"{names[0]},3,4", f"{names[1]},three,4", f"{names[2]},3,"], header="path,age,weight")
    with pytest.raises(DataError) as caught:
        load_image_splits(source="csv", train=path, targets=AGES)
    assert "line 3: its number is 'three', expected one such as 3.5" in str(caught.value)
    assert "line 4: its number is ''" in str(caught.value)
    texts = _table(tmp_path, ["hello,2", "bye,nan", "good,1e99"], header="text,age")
    with pytest.raises(DataError, match="2 rows of 3 cannot be used"):
        load_text_splits(source="csv", train=texts, targets=Targets("numbers", columns=("age",)))


def test_one_label_alone_is_a_question_of_yes_or_no(tmp_path: Path) -> None:
    rows = [f"{name},cat" for name in _pictures(tmp_path, 4)]
    with pytest.raises(DataError, match="one label alone, 'cat'"):
        load_image_splits(source="csv", train=_table(tmp_path, rows, header="path,label"), targets=SETS)


def test_a_source_of_classes_has_no_numbers(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="source digits gives one class an image"):
        load_image_splits(source="digits", targets=AGES)
    with pytest.raises(DataError, match="source built_in gives one class a text"):
        load_text_splits(source="built_in", targets=SETS)


def test_splits_of_labels_and_numbers_have_a_share_of_all() -> None:
    labels = np.zeros((100, 3), np.uint8)
    labels[:50, 0], labels[40:60, 1], labels[95:, 2] = 1, 1, 1
    groups = strata(labels)
    assert len({int(group) for group in groups[95:]}) == 1 and groups[0] != groups[95]
    numbers = np.linspace(0, 1, 100, dtype=np.float32)[:, None]
    assert np.bincount(strata(numbers)).tolist() == [10] * 10


def test_dense_targets_are_what_losses_compare_with() -> None:
    assert dense_targets(np.array([1, 0]), 3).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert dense_targets(np.array([[1, 0]], np.uint8), 2).dtype == np.float32
