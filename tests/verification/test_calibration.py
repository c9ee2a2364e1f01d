"""A confidence that says how often it is right, and what a threshold leaves open."""

import dataclasses

import numpy as np
import pytest

from tfkit.artifacts.search_index import SearchIndex, softmax
from tfkit.errors import DataError
from tfkit.verification.calibration import fit_temperature, measure_search


def test_the_temperature_that_made_the_labels_is_found():
    random = np.random.default_rng(0)
    logits = random.normal(size=(4000, 5)).astype(np.float32)
    true = softmax(logits / np.float32(0.25))
    labels = np.array([random.choice(5, p=row / row.sum()) for row in true.astype(np.float64)])
    assert fit_temperature(logits, labels) == pytest.approx(0.25, rel=0.06)


def test_two_right_of_three_are_two_thirds_sure():
    logits = np.array([[1, 0], [1, 0], [1, 0]], np.float32)
    assert fit_temperature(logits, np.array([0, 0, 1])) == pytest.approx(1 / np.log(2), rel=0.02)


def test_without_texts_nothing_can_be_calibrated():
    with pytest.raises(DataError, match="no validation text"):
        fit_temperature(np.zeros((0, 2), np.float32), np.zeros(0, np.int32))


@pytest.fixture
def index():
    vectors = np.eye(2, dtype=np.float32)
    return SearchIndex(("a", "b"), np.array([0, 1], np.int32), ("a", "b"), vectors, temperature=0.1, threshold=0.9)


def test_what_is_between_two_answers_is_not_answered(index):
    between = np.full((1, 2), np.sqrt(0.5), np.float32)
    asked = np.concatenate([np.eye(2, dtype=np.float32), between, between])
    result = measure_search(index, asked, np.array([0, 0, 0, 1]), out_of_scope=np.concatenate([between, asked[:1]]))
    assert (result.answered, result.right_when_answered) == (0.5, 0.5)
    assert (result.out_of_scope, result.refused) == (2, 0.5)
    assert '50.0% of 2 out-of-scope texts get "not sure"' in result.sentence


def test_what_is_far_from_every_known_text_is_not_answered(index):
    far = np.array([[-0.1, -1.0]], np.float32)  # nearest to `a` all the same, and sure of it
    assert index.decide(far)[1][0] > 0.99 and index.decide(far)[2][0]
    assert not dataclasses.replace(index, min_cosine=0.3).decide(far)[2][0]


def test_nothing_answered_and_nothing_out_of_scope_are_told_as_such(index):
    between = np.full((1, 2), np.sqrt(0.5), np.float32)
    result = measure_search(index, between, np.array([0]))
    assert result.right_when_answered is None and result.refused is None
    assert "no out-of-scope texts to measure on" in result.sentence
