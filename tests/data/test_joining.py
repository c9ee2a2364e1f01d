"""New examples beside an earlier run's: nothing twice, labels in names that hold both, pixels from the right place."""

from dataclasses import replace

import numpy as np
import pytest

from tfkit.artifacts import ImageSpec
from tfkit.data import ArraySource, DatasetSplits, ImageExamples, host_pixel_batches, keep_pixels, training_batches
from tfkit.data.examples import DataReport
from tfkit.data.joining import join_splits
from tfkit.errors import DataError

IMAGE = ImageSpec(4, 4, 1)
REPORT = DataReport({}, (), (), (), (), {})


def _splits(first: int, names: tuple[str, ...], labels: np.ndarray) -> DatasetSplits:
    """Twelve grey pictures of one brightness each, from `first` on: eight to train on, two and two."""
    pixels = np.full((12, 4, 4), 0, np.uint8) + np.arange(first, first + 12, dtype=np.uint8)[:, None, None]
    source = ArraySource(pixels, channels=1)
    whole = ImageExamples(source, np.arange(12), labels, tuple(f"{first + n}" for n in range(12)), names)
    parts = (whole.select(np.arange(*ends)) for ends in ((0, 8), (8, 10), (10, 12)))
    return DatasetSplits(*parts, report=REPORT)


def _brightness(examples: ImageExamples) -> list[int]:
    return [int(one[0, 0, 0]) for batch in host_pixel_batches(examples, IMAGE, batch_size=5) for one in batch]


def _classes(first: int, names: tuple[str, ...]) -> DatasetSplits:
    return _splits(first, names, np.tile(np.array([0, 1], np.int32), 6))


def test_each_picture_keeps_its_label_by_name() -> None:
    joined = join_splits(_classes(100, ("b", "c")), _classes(0, ("a", "b")), replay=0.5, seed=0)
    splits = joined.splits
    assert splits.class_names == ("a", "b", "c") and joined.earlier_names == ("a", "b")
    assert len(splits.train) == 8 + 4 and joined.replayed == 4 and joined.replayed_of == 8
    named = {
        value: splits.class_names[label]
        for value, label in zip(_brightness(splits.train), splits.train.labels, strict=True)
    }
    for value, name in named.items():
        assert name == (("b", "c") if value >= 100 else ("a", "b"))[value % 2]
    assert sorted(np.bincount(splits.train.labels[8:])) == [2, 2]  # as many of each class
    assert _brightness(splits.test) == [110, 111, 10, 11] and joined.earlier_test.tolist() == [2, 3]
    assert splits.test.names == ("110", "111", "earlier/10", "earlier/11")


@pytest.mark.parametrize("kept", [False, True])
def test_the_pipelines_give_the_same_pictures(kept: bool, tmp_path) -> None:
    splits = join_splits(_classes(100, ("b", "c")), _classes(0, ("a", "b")), replay=1.0, seed=0).splits
    if kept:
        keep_pixels([splits.train], IMAGE, memory_bytes=1 << 20, folder=tmp_path)
    seen = [
        np.asarray(pixels) for pixels, _ in training_batches(splits.train, IMAGE, batch_size=4, augmentation="none")
    ]
    assert sorted(np.concatenate(seen)[:, 0, 0, 0].tolist()) == sorted(_brightness(splits.train))
    assert len(list(splits.train.source.encoded(splits.train.indices))) == 16


def test_what_the_earlier_run_has_in_any_split_is_left_out() -> None:
    overlapping = _classes(6, ("a", "b"))  # 6 to 17; the earlier run has 0 to 11
    joined = join_splits(overlapping, _classes(0, ("a", "b")), replay=0.0, seed=0)
    assert joined.left_out == 6 and _brightness(joined.splits.train) == [12, 13]
    assert "6 of the new examples were the earlier run's already" in joined.splits.report.notes[-1]
    with pytest.raises(DataError, match="no new training examples are left: 12 of the new ones"):
        join_splits(_classes(0, ("a", "b")), _classes(0, ("a", "b")), replay=0.0, seed=0)


def test_sets_of_labels_are_widened() -> None:
    rows = np.tile(np.array([[1, 0], [1, 1]], np.uint8), (6, 1))
    joined = join_splits(_splits(100, ("b", "c"), rows), _splits(0, ("a", "b"), rows), replay=1.0, seed=0)
    assert joined.splits.train.labels[[0, 1, 8, 9]].tolist() == [[0, 1, 0], [0, 1, 1], [1, 0, 0], [1, 1, 0]]


def test_other_numbers_are_refused() -> None:
    rows = np.arange(12, dtype=np.float32)[:, None]
    earlier = _splits(0, ("age",), rows)
    assert join_splits(_splits(100, ("age",), rows), earlier, replay=1.0, seed=0).splits.class_names == ("age",)
    with pytest.raises(DataError, match=r"the new examples have numbers \(price\), the earlier run's numbers \(age\)"):
        join_splits(_splits(100, ("price",), rows), earlier, replay=1.0, seed=0)
    with pytest.raises(DataError, match="the new examples have classes"):
        join_splits(_classes(100, ("a", "b")), earlier, replay=1.0, seed=0)


def test_the_account_counts_both() -> None:
    new = replace(_classes(100, ("b", "c")), report=replace(REPORT, notes=("as it was.",)))
    report = join_splits(new, _classes(0, ("a", "b")), replay=0.25, seed=0).splits.report
    assert report.examples == {"train": 10, "validation": 4, "test": 4}
    assert report.kept["train"] == {"a": 1, "b": 5, "c": 4} and list(report.kept["train"]) == ["a", "b", "c"]
    assert report.notes[0] == "as it was." and "2 of the earlier run's 8 training examples" in report.notes[1]
