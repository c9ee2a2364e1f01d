"""What a task says of scores: figures, decisions, thresholds from validation, and when two models answer alike."""

import keras
import numpy as np
import pytest

from tfkit.artifacts.search_index import SearchIndex
from tfkit.errors import ModelError
from tfkit.tasks import CLASSIFICATION, EMBEDDING, MULTILABEL, PLAIN, REGRESSION, TASKS, Decision, task_named, task_of
from tfkit.tasks.multilabel import label_figures

CLASSES = np.array([0, 0, 1, 1], np.int32)
BINARY = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.55, 0.45]], np.float32)
LABELS = np.array([[1, 0], [1, 1], [0, 1], [0, 0]], np.uint8)
LABEL_SCORES = np.array([[0.9, 0.2], [0.4, 0.7], [0.3, 0.8], [0.1, 0.1]], np.float32)
NUMBERS = np.array([[1.0], [2.0], [3.0], [4.0]], np.float32)


def test_the_labels_say_the_task() -> None:
    assert [task_of(labels) for labels in (CLASSES, LABELS, NUMBERS)] == [CLASSIFICATION, MULTILABEL, REGRESSION]
    assert [task_named(task.name) for task in TASKS] == list(TASKS)


def test_two_classes_have_sensitivity_specificity_and_roc_auc() -> None:
    figures = CLASSIFICATION.quality(CLASSES, BINARY, PLAIN).figures
    assert figures == {"accuracy": 0.5, "sensitivity": 0.5, "specificity": 0.5, "roc_auc": 0.75}
    assert list(CLASSIFICATION.quality(np.array([0, 1, 2]), np.eye(3, dtype=np.float32), PLAIN).figures) == ["accuracy"]


def test_an_operating_point_finds_the_asked_share_of_the_second_class() -> None:
    (threshold,) = CLASSIFICATION.thresholds(CLASSES, BINARY, 1.0)
    decision = Decision((threshold,))
    assert threshold == pytest.approx(0.45)
    assert CLASSIFICATION.given(BINARY, decision).tolist() == [0, 1, 1, 1]
    assert CLASSIFICATION.quality(CLASSES, BINARY, decision).figures["sensitivity"] == 1.0
    assert CLASSIFICATION.thresholds(CLASSES, BINARY, None) == ()


def test_more_is_found_than_was_asked_where_that_costs_no_false_alarm() -> None:
    """Of a split that is told apart perfectly, the highest score that finds 95 % missed one in six of new examples."""
    labels = np.repeat([0, 1], 20)
    positive = np.concatenate([np.linspace(0, 0.3, 20), np.linspace(0.6, 1, 20)]).astype(np.float32)
    scores = np.stack([1 - positive, positive], axis=1)
    assert CLASSIFICATION.thresholds(labels, scores, 0.5) == (pytest.approx(0.6),)
    both = np.stack([labels == 0, labels == 1], axis=1).astype(np.uint8)
    low, high = MULTILABEL.thresholds(both, scores, 0.5)
    assert low == pytest.approx(0.55) and high == pytest.approx(0.45)
    scores[15, 1] = 0.7  # a false alarm below it ends that
    labels_found = scores[labels == 1, 1] >= CLASSIFICATION.thresholds(labels, scores, 0.5)[0]
    assert 0.5 <= labels_found.mean() < 1


@pytest.mark.parametrize("sensitivity", [0.5, 0.8, 0.9, 0.95, 1.0])
def test_no_threshold_finds_less_than_was_asked_on_the_split_that_chose_it(sensitivity: float) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200)
    positive = np.clip(rng.normal(0.4 + 0.2 * labels, 0.2), 0, 1).astype(np.float32)
    scores = np.stack([1 - positive, positive], axis=1)
    decision = Decision(CLASSIFICATION.thresholds(labels, scores, sensitivity))
    assert CLASSIFICATION.quality(labels, scores, decision).figures["sensitivity"] >= sensitivity
    both = np.stack([labels == 0, labels == 1], axis=1).astype(np.uint8)
    limits = Decision(MULTILABEL.thresholds(both, scores, sensitivity))
    assert all(row["recall"] >= sensitivity for row in label_figures(both, scores, limits))


def test_thresholds_of_labels_have_the_best_f1() -> None:
    limits = MULTILABEL.thresholds(LABELS, LABEL_SCORES, None)
    assert MULTILABEL.quality(LABELS, LABEL_SCORES, PLAIN).figures["f1"] == pytest.approx(5 / 6)
    assert MULTILABEL.quality(LABELS, LABEL_SCORES, Decision(limits)).figures == pytest.approx(
        {"f1": 1.0, "map": 1.0, "auc": 1.0, "exact_sets": 1.0}
    )
    assert 0.3 < limits[0] < 0.4 and 0.2 < limits[1] < 0.7


def test_a_label_nobody_has_keeps_one_half_and_has_no_figures() -> None:
    labels = np.array([[1, 0], [0, 0]], np.uint8)
    scores = np.array([[0.8, 0.3], [0.2, 0.4]], np.float32)
    assert MULTILABEL.thresholds(labels, scores, None)[1] == 0.5
    assert label_figures(labels, scores, PLAIN)[1]["auc"] is None
    assert MULTILABEL.quality(labels, scores, PLAIN).figures["f1"] == 1.0


def test_two_answers_are_alike_by_the_task() -> None:
    moved = BINARY + np.float32([[0.02, -0.02]])
    assert CLASSIFICATION.same(moved, BINARY, CLASSES, PLAIN).tolist() == [True] * 4
    assert CLASSIFICATION.same(moved, BINARY, CLASSES, Decision((0.44,))).tolist() == [True, True, True, False]
    assert MULTILABEL.same(LABEL_SCORES + 0.35, LABEL_SCORES, LABELS, PLAIN).tolist() == [False, False, False, True]
    assert REGRESSION.same(NUMBERS + 0.1, NUMBERS, NUMBERS, PLAIN).all()
    assert not REGRESSION.same(NUMBERS + 0.2, NUMBERS, NUMBERS, PLAIN).any()
    assert REGRESSION.same(NUMBERS + 0.2, NUMBERS, NUMBERS, Decision(tolerance=0.25)).all()


def test_numbers_have_r2_and_errors_in_their_own_units() -> None:
    figures = REGRESSION.quality(NUMBERS, NUMBERS + 0.5, PLAIN).figures
    assert figures == pytest.approx({"r2": 1 - 0.25 / 1.25, "mae": 0.5, "rmse": 0.5})
    two = np.concatenate([NUMBERS, 1000 * NUMBERS], axis=1)
    assert list(REGRESSION.quality(two, two, PLAIN).figures) == ["r2"]  # years and euros have no common error


def test_the_mean_of_the_labels_is_at_chance() -> None:
    guess = np.full_like(NUMBERS, NUMBERS.mean())
    assert REGRESSION.quality(NUMBERS, guess, PLAIN).value == pytest.approx(REGRESSION.chance(NUMBERS, 1))
    everything = np.ones_like(LABEL_SCORES)
    assert MULTILABEL.quality(LABELS, everything, PLAIN).value == pytest.approx(MULTILABEL.chance(LABELS, 2))


@pytest.mark.parametrize("task", [task for task in TASKS if task.objective], ids=lambda task: task.name)
def test_a_student_that_answers_as_its_teacher_has_no_divergence(task) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    shape = (8, 5, 7) if task.answers_boxes else (8, 3)
    teacher = rng.normal(size=shape).astype(np.float32)
    same = float(keras.ops.convert_to_numpy(task.objective.divergence(teacher, teacher, 2.0)))
    other = float(keras.ops.convert_to_numpy(task.objective.divergence(teacher, teacher[::-1].copy(), 2.0)))
    assert same == pytest.approx(0, abs=1e-5) and other > 0.1


def test_a_number_weighs_by_its_deviation() -> None:
    labels = np.array([[1.0, 1000.0], [3.0, 3000.0]], np.float32)
    loss = REGRESSION.learned_from_labels().loss(labels, 0.0)
    off = labels + np.array([[1.0, 1000.0]], np.float32)
    assert float(np.mean(keras.ops.convert_to_numpy(loss(labels, off)))) == pytest.approx(1.0)


def test_vectors_are_judged_by_what_is_near_them() -> None:
    texts, names = ("where is it?", "my money back"), ("refund", "parcel")
    known = SearchIndex(texts, np.int32([1, 0]), names, np.float32(np.eye(2)))
    vectors = np.float32([[0.8, 0.6], [0.0, 1.0]])
    decision, labels = Decision(index=known), np.int32([1, 1])
    assert EMBEDDING.given(vectors, decision).tolist() == [1, 0]
    assert EMBEDDING.judged(labels, vectors, decision) == EMBEDDING.quality(labels, vectors, decision)
    assert EMBEDDING.quality(labels, vectors, decision).figures == {"accuracy": 0.5}
    assert EMBEDDING.judged(labels, vectors, PLAIN) is None, "nothing is known to compare them with"
    turned = vectors[:, ::-1]
    assert EMBEDDING.same(turned, vectors, labels, decision).tolist() == [False, False]
    assert EMBEDDING.same(turned, vectors, labels, PLAIN).tolist() == [True, False], "nearest of the reference's own"
    assert EMBEDDING.compared(turned, vectors) == pytest.approx({"mean_cosine": 0.48, "min_cosine": 0.0})
    assert EMBEDDING.confidences(vectors, decision).argmax(axis=1).tolist() == [1, 0]
    with pytest.raises(ModelError, match="not learned from labels alone"):
        EMBEDDING.learned_from_labels()
