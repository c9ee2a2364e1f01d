"""What the segmentation task says of masks and scores for each pixel."""

import keras
import numpy as np
import pytest

from tfkit.data.masks import IGNORED
from tfkit.tasks import PLAIN, SEGMENTATION, task_of
from tfkit.tasks.segmentation import boundary_f1, confusion, intersections_over_unions


def scores_of(masks: np.ndarray, classes: int) -> np.ndarray:
    """Scores that give each pixel its class."""
    return np.eye(classes, dtype=np.float32)[masks]


def test_figures_count_pixels_over_the_whole_split_and_leave_ignored_ones_out() -> None:
    labels = np.array([[[0, 0, 1, IGNORED]], [[1, 1, 1, 1]]], np.uint8)
    given = np.array([[[0, 1, 1, 1]], [[1, 1, 1, 0]]], np.uint8)
    counts = confusion(labels, given, 3)
    assert counts.tolist() == [[1, 1, 0], [1, 4, 0], [0, 0, 0]]
    shared = intersections_over_unions(counts)
    assert shared[:2].tolist() == [1 / 3, 4 / 6] and np.isnan(shared[2])
    figures = SEGMENTATION.quality(labels, scores_of(given, 3), PLAIN).figures
    assert figures["miou"] == pytest.approx((1 / 3 + 4 / 6) / 2), "a class that nobody shows or gives does not count"
    assert figures["pixel_accuracy"] == pytest.approx(5 / 7)
    assert next(iter(figures)) == "miou" and task_of(labels) is SEGMENTATION


def test_chance_is_the_mean_iou_of_the_commonest_class() -> None:
    labels = np.array([[[0, 0, 0, 1], [IGNORED, IGNORED, 0, 0]]], np.uint8)
    given = np.zeros_like(labels)
    assert SEGMENTATION.chance(labels, 2) == pytest.approx(
        SEGMENTATION.quality(labels, scores_of(given, 2), PLAIN).figures["miou"]
    )


def test_agreement_is_the_share_of_pixels() -> None:
    one = np.zeros((2, 4, 4), np.uint8)
    other = one.copy()
    other[1, 0] = 1
    same = SEGMENTATION.same(scores_of(other, 2), scores_of(one, 2), one, PLAIN)
    assert same.tolist() == [1.0, 0.75]


def test_outlines_are_found_when_they_lie_near() -> None:
    true = np.zeros((1, 64, 64), np.uint8)
    true[:, 20:40, 20:40] = 1
    moved = {pixels: np.roll(true, pixels, axis=2) for pixels in (0, 1, 12)}
    found = {pixels: boundary_f1(true, mask, 2) for pixels, mask in moved.items()}
    assert found[0].tolist() == [1.0, 1.0]
    assert (found[1] == 1.0).all(), "one pixel is within the reach"
    assert (found[12] < 0.7).all()
    assert np.isnan(boundary_f1(np.zeros((1, 8, 8), np.uint8), np.zeros((1, 8, 8), np.uint8), 2)).all()


def test_what_is_not_judged_is_no_outline() -> None:
    true = np.zeros((1, 16, 16), np.uint8)
    true[:, :, 8:] = IGNORED
    assert np.isnan(boundary_f1(true, np.zeros_like(true), 1)).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_mean_over_the_pixels_that_are_asked_of(smoothing: float) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
    labels = rng.integers(0, 5, (2, 3, 4)).astype(np.uint8)
    labels[0, :, :2] = IGNORED
    objective = SEGMENTATION.learned_from_labels()
    found = float(keras.ops.convert_to_numpy(objective.loss(labels, smoothing)(labels, logits)))
    asked = labels != IGNORED
    wanted = np.eye(5)[labels[asked]] * (1 - smoothing) + smoothing / 5
    log_shares = logits[asked] - np.log(np.exp(logits[asked]).sum(-1, keepdims=True))
    assert found == pytest.approx(float(-(wanted * log_shares).sum(-1).mean()), rel=1e-5)


def test_the_metric_of_training_leaves_ignored_pixels_out() -> None:
    labels = np.array([[[0, 1]], [[1, IGNORED]]], np.uint8)
    logits = scores_of(np.array([[[0, 0]], [[1, 0]]], np.uint8), 2)
    (metric,) = SEGMENTATION.learned_from_labels().metrics()
    metric.update_state(labels, logits)
    assert float(metric.result()) == pytest.approx(0.75)


def test_the_table_tells_every_class() -> None:
    labels = np.array([[[0, 0, 1, 1]]], np.uint8)
    assert SEGMENTATION.answers is not None
    table = SEGMENTATION.answers(labels, scores_of(np.array([[[0, 1, 1, 1]]]), 3), ("sky", "road", "sea"), PLAIN)
    assert [row[:4] for row in table.rows] == [
        ("sky", 0.5, 0.5, 0.5),
        ("road", 0.5, pytest.approx(2 / 3), 1.0),
        ("sea", 0.0, None, None),
    ]
