"""What the detection task says of boxes: what is found, how good it is, and whether two models answer alike."""

import keras
import numpy as np
import pytest

from tfkit.artifacts.box_grid import levels, side_of
from tfkit.tasks import DETECTION, PLAIN, Decision, task_of
from tfkit.tasks.boxes_found import found_boxes, matched, overlaps
from tfkit.tasks.detection import average_precisions
from tfkit.tasks.detection_loss import box_fit, detection_loss

pytest.importorskip("pycocotools", reason="figures of detectors need pycocotools")
SIDE, PLACES = 64, 84


def box_of(corners: np.ndarray) -> np.ndarray:
    """As a detector writes it: middle row, middle column, height, width."""
    low, high = corners[..., :2], corners[..., 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=-1)


def labels_of(*images: list[tuple[float, ...]]) -> np.ndarray:
    most = max(1, *map(len, images))
    labels = np.full((len(images), most, 5), -1, np.float32)
    for place, rows in enumerate(images):
        for row, box in enumerate(rows):
            labels[place, row] = box
    return labels


def answers_of(labels: np.ndarray, classes: int, *, score: float = 0.9, moved: float = 0.0) -> np.ndarray:
    """What a detector that knows the boxes would answer."""
    scores = np.zeros((len(labels), PLACES, classes + 4), np.float32)
    for image, rows in enumerate(labels):
        for place, row in enumerate(rows[rows[:, 0] >= 0]):
            scores[image, place, int(row[0])] = score
            scores[image, place, -4:] = box_of(row[1:] + moved)
    return scores


TRUE = labels_of([(0, 0.1, 0.1, 0.5, 0.5), (1, 0.5, 0.5, 0.9, 0.9)], [(0, 0.2, 0.2, 0.8, 0.8)], [])


def test_the_places_say_how_large_the_image_is() -> None:
    for side in (32, 64, 320, 416):
        centres, of = levels(side)
        assert len(centres) == len(of) and side_of(len(centres)) == side
    assert task_of(TRUE) is DETECTION


def test_right_boxes_are_perfect_and_moved_ones_are_not() -> None:
    figures = DETECTION.quality(TRUE, answers_of(TRUE, 2), PLAIN).figures
    assert figures == pytest.approx(dict.fromkeys(("map50", "map", "found", "right"), 1.0), abs=0.01)
    moved = DETECTION.quality(TRUE, answers_of(TRUE, 2, moved=0.03), PLAIN).figures
    assert moved["map50"] == pytest.approx(1.0, abs=0.01) and moved["map"] < 0.9
    far = DETECTION.quality(TRUE, answers_of(TRUE, 2, moved=0.3), PLAIN).figures
    assert far["map50"] == far["found"] == 0
    assert next(iter(figures)) == DETECTION.metric == "map50"


def test_nothing_found_and_nothing_there_are_told() -> None:
    nothing = np.zeros((3, PLACES, 6), np.float32)
    assert DETECTION.quality(TRUE, nothing, PLAIN).figures == dict.fromkeys(DETECTION.figures, 0.0)
    assert np.isnan(average_precisions(labels_of([], []), nothing[:2])).all()
    assert DETECTION.quality(TRUE, np.full_like(nothing, np.nan), PLAIN).value == 0.0
    assert DETECTION.by_output(labels_of([(0, 0, 0, 1, 1)]), nothing[:1], PLAIN) == [0.0, None]


def test_boxes_that_cover_a_better_one_of_their_class_are_taken_away() -> None:
    answer = np.zeros((1, 4, 6), np.float32)
    answer[0, 0] = (0.9, 0, 0.3, 0.3, 0.4, 0.4)
    answer[0, 1] = (0.8, 0, 0.3, 0.32, 0.4, 0.4)  # the same object
    answer[0, 2] = (0, 0.7, 0.3, 0.3, 0.4, 0.4)  # of another class
    answer[0, 3] = (0.6, 0, 0.75, 0.75, 0.3, 0.3)  # elsewhere
    (found,) = found_boxes(answer, 0.5)
    assert found[:, :2].tolist() == pytest.approx(np.float32([[0, 0.9], [1, 0.7], [0, 0.6]]))
    assert [len(rows) for rows in found_boxes(answer, np.array([0.65, 0.75]))] == [1]


def test_each_true_box_is_one_answers_alone() -> None:
    true = np.float32([[0, 1, 0, 0, 1, 1]])
    given = np.float32([[0, 0.9, 0, 0, 1, 0.9], [0, 0.8, 0, 0, 1, 1], [1, 0.7, 0, 0, 1, 1]])
    assert matched(given, true, 0.5).tolist() == [0, -1, -1]
    assert overlaps(np.array([[0, 0, 1, 1.0]]), np.array([[2, 2, 3, 3.0], [0, 0, 0, 0]])).tolist() == [[0, 0]]


def test_two_models_are_alike_by_their_boxes() -> None:
    ours = answers_of(TRUE, 2)
    other = ours.copy()
    other[0, 1] = 0  # it lacks one of two
    same = DETECTION.same(other, ours, TRUE, PLAIN)
    assert same.tolist() == pytest.approx([2 / 3, 1, 1])
    assert DETECTION.same(answers_of(TRUE, 2, moved=0.1), ours, TRUE, PLAIN).tolist() == pytest.approx([0, 0, 1])


def test_thresholds_are_those_with_the_best_f1() -> None:
    scores = answers_of(TRUE, 2)
    scores[1, 5] = (0.3, 0, 0.05, 0.05, 0.1, 0.1)  # a wrong one
    first, second = DETECTION.thresholds(TRUE, scores, None)
    assert 0.3 < first < 0.9 and 0 < second < 0.9
    assert DETECTION.quality(TRUE, scores, Decision((first, second))).figures["right"] == 1.0
    assert DETECTION.thresholds(labels_of([], []), scores[:2], None) == (0.5, 0.5)
    low, _ = DETECTION.thresholds(labels_of([(0, 0, 0, 0.1, 0.1)]), scores[1:2], 1.0)
    assert low < 0.3


def test_answers_are_told_image_by_image() -> None:
    scores = answers_of(TRUE, 2)
    scores[0, 1], scores[2, 0] = 0, (0, 0.8, 0.5, 0.5, 1, 1)
    names = ("ant", "bee")
    assert DETECTION.names_given(scores, names, PLAIN) == [{"ant"}, {"ant"}, {"bee"}]
    assert DETECTION.wrong is not None
    assert DETECTION.wrong(TRUE, scores, names, PLAIN) == [(2, "0 of 0 found, 1 wrong"), (0, "1 of 2 found, 0 wrong")]
    assert DETECTION.answers is not None
    table = DETECTION.answers(TRUE, scores, names, PLAIN)
    assert [row[0] for row in table.rows] == list(names) and len(table.rows[0]) == len(table.columns)
    assert DETECTION.shown(scores, PLAIN).shape == (3, 2)


def test_answers_that_follow_the_slope_of_the_loss_find_the_boxes() -> None:
    """From an int8 file's scores of 0, whose logarithm has no end."""
    labels = labels_of([(0, 0.1, 0.1, 0.6, 0.6), (1, 0.5, 0.7, 0.9, 0.95)], [(1, 0.2, 0.3, 0.9, 0.9)], [])
    answers = keras.Variable(np.tile(np.float32([0, 0, 0.5, 0.5, 0.2, 0.2]), (3, PLACES, 1)))
    import tensorflow as tf

    optimizer, course = keras.optimizers.Adam(0.02), []
    for _ in range(300):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(detection_loss(labels, answers))
        course.append(float(loss))
        optimizer.apply(tape.gradient(loss, [answers.value]), [answers])
        answers.assign(keras.ops.clip(answers, 0, 1))
    assert np.isfinite(course).all() and course[-1] < course[0] / 10
    found = found_boxes(keras.ops.convert_to_numpy(answers), 0.5)
    for rows, wanted in zip(found, labels, strict=True):
        true = np.insert(wanted[wanted[:, 0] >= 0], 1, 1.0, axis=1)
        assert len(rows) == len(true) and (matched(rows, true, 0.9) >= 0).all()
    assert keras.ops.convert_to_numpy(box_fit(labels, answers))[:2].min() > 0.9


def test_a_box_of_any_size_is_asked_of_some_place() -> None:
    rng = np.random.default_rng(0)
    for side in (64, 320):
        places = len(levels(side)[0])
        extents = rng.uniform(4 / side, 0.95, (200, 2))
        corners = rng.uniform(0, 1 - extents)
        labels = np.concatenate([np.zeros((200, 1)), corners, corners + extents], axis=1).astype(np.float32)[:, None]
        answers = np.zeros((200, places, 5), np.float32)
        answers[..., -4:] = box_of(labels[:, :, 1:])
        fits = keras.ops.convert_to_numpy(box_fit(labels, answers))
        assert fits.min() > 0.99
