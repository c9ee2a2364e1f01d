"""A huge test split is judged on by a part of it: the same part for the same seed, and told."""

from dataclasses import replace

import numpy as np

from tfkit.data import load_image_splits, with_sampled_test
from tfkit.data.histories import load_history_splits


def test_a_sample_has_as_many_of_each_class_in_the_order_of_the_split():
    splits = load_image_splits(source="digits")
    sampled, told = with_sampled_test(splits, 50, seed=3)
    assert set(sampled.test.class_counts().values()) == {5}
    assert (np.diff(sampled.test.indices) > 0).all() and len(sampled.train) == len(splits.train)
    assert told == sampled.report.notes[-1]
    assert (
        told == f"judged on 50 of {len(splits.test)} test images, drawn with seed 3, as many of each class as there are"
    )

    again, _ = with_sampled_test(splits, 50, seed=3)
    other, _ = with_sampled_test(splits, 50, seed=4)
    assert again.test.names == sampled.test.names != other.test.names


def test_all_are_taken_unless_fewer_are_asked_for():
    splits = load_image_splits(source="digits")
    assert with_sampled_test(splits, None, seed=0) == (splits, None)
    assert with_sampled_test(splits, 10_000, seed=0) == (splits, None)


def test_several_labels_are_drawn_from_too():
    splits = load_image_splits(source="digits")
    labels = np.eye(10, dtype=np.uint8)[splits.test.labels]
    sampled, told = with_sampled_test(replace(splits, test=replace(splits.test, labels=labels)), 20, seed=0)
    assert sampled.test.labels.shape == (20, 10) and told.endswith("drawn with seed 0")


def test_users_are_called_so():
    sampled, told = with_sampled_test(load_history_splits(source="shop"), 50, seed=0)
    assert len(sampled.test) == 50 and told == "judged on 50 of 120 test users, drawn with seed 0"
