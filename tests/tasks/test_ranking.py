"""Lists of items: figures as keras-rs and scikit-learn give them, and when two lists are the same."""

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from tfkit.tasks import PLAIN, RANKING, task_named
from tfkit.tasks.ranking import best, list_figures

RANDOM = np.random.default_rng(0)
SCORES = RANDOM.normal(size=(30, 50)).astype(np.float32)
LABELS = (RANDOM.random((30, 50)) < 0.1).astype(np.uint8)
LABELS[:, 7] = 1  # everybody wants something


def test_figures_are_those_of_the_libraries() -> None:
    figures = list_figures(LABELS, SCORES, 10)
    assert figures["ndcg"] == pytest.approx(ndcg_score(LABELS, SCORES, k=10))
    keras_rs = pytest.importorskip("keras_rs", reason="keras-rs has the same figures, and is not installed")
    for name in ("Recall", "Precision"):
        metric = getattr(keras_rs.metrics, f"{name}AtK")(k=10)
        assert figures[name.lower()] == pytest.approx(float(metric(LABELS.astype(np.float32), SCORES)), abs=1e-5)


def test_one_list_of_three() -> None:
    labels, scores = np.uint8([[0, 1, 0, 1, 1]]), np.float32([[9, 3, 2, 1, 0]])
    figures = list_figures(labels, scores, 2)
    assert best(scores, 2).tolist() == [[0, 1]]
    assert figures["recall"] == pytest.approx(1 / 3) and figures["precision"] == 0.5
    assert figures["f1"] == pytest.approx(0.4)
    assert figures["ndcg"] == pytest.approx((1 / np.log2(3)) / (1 + 1 / np.log2(3)))


def test_two_lists_are_alike_as_far_as_they_share_items() -> None:
    turned = SCORES.copy()
    listed = best(SCORES)
    turned[0, listed[0]] = turned[0, listed[0][::-1]]  # another order of the same items
    others = np.argsort(SCORES[1])[:4]
    turned[1, listed[1, :4]], turned[1, others] = -9, 9
    same = RANKING.same(turned, SCORES, LABELS, PLAIN)
    assert same[0] == 1 and same[1] == pytest.approx(0.6) and (same[2:] == 1).all()


def test_scores_that_are_no_numbers_are_worth_nothing() -> None:
    broken = SCORES.copy()
    broken[0, 0] = np.nan
    assert RANKING.quality(LABELS, broken, PLAIN).value == 0
    assert RANKING.quality(LABELS, SCORES, PLAIN).value > 0
    assert task_named("ranking") is RANKING and not RANKING.answers_whole
