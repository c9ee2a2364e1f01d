"""Weights between items: the closed form is the least of its own loss, and texts find what nobody took."""

import numpy as np
import pytest

from tfkit.data.histories import Catalogue, UserExamples, load_history_splits
from tfkit.errors import TrainingError
from tfkit.training import fit_item_weights


def _users(taken: np.ndarray) -> UserExamples:
    histories = tuple(np.flatnonzero(row).astype(np.int32) + 1 for row in taken)
    names = tuple(f"i{number}" for number in range(taken.shape[1]))
    return UserExamples(histories, histories, tuple(map(str, range(len(taken)))), Catalogue(names, names, names))


def _loss(weights: np.ndarray, taken: np.ndarray, texts: np.ndarray, ridge: float, share: float) -> float:
    missed = ((taken - taken @ weights) ** 2).sum() + share * ((texts.T - texts.T @ weights) ** 2).sum()
    return float(missed + ridge * (weights**2).sum())


def test_no_other_weights_have_less_loss() -> None:
    random = np.random.default_rng(0)
    taken, texts = (random.random((60, 9)) < 0.4).astype(float), random.normal(size=(9, 4))
    users = _users(taken)
    found = fit_item_weights(users, users, texts, regularization=(3.0,), text_weight=(2.0,))
    assert not found.weights.diagonal().any()
    least = _loss(found.weights.astype(np.float64), taken, texts, 3.0, 2.0)
    for _ in range(50):
        step = 1e-3 * random.normal(size=(9, 9))
        np.fill_diagonal(step, 0.0)
        assert _loss(found.weights + step, taken, texts, 3.0, 2.0) > least


def test_an_item_that_nobody_took_is_found_by_its_text() -> None:
    taken = np.zeros((40, 5))
    taken[:20, [0, 1]], taken[20:, [2, 3]] = 1, 1  # nobody takes item 4
    texts = np.eye(2)[[0, 0, 1, 1, 0]]
    users = _users(taken)
    by_text = fit_item_weights(users, users, texts, regularization=(5.0,), text_weight=(5.0,)).weights
    assert by_text[0, 4] > 0.05 and abs(by_text[2, 4]) < 0.01
    alone = fit_item_weights(users, users, None, regularization=(5.0,)).weights
    assert not alone[:, 4].any()


def test_settings_are_chosen_on_validation_users_alone() -> None:
    splits = load_history_splits(source="shop")
    found = fit_item_weights(splits.train, splits.validation, None, regularization=(20.0, 200.0, 1e7))
    best = max(found.tried, key=lambda one: one[2])
    assert (found.regularization, found.text_weight) == best[:2] and "the best of 3" in found.note
    nobody = splits.validation.select(np.arange(0))
    with pytest.raises(TrainingError, match="no validation user to choose on"):
        fit_item_weights(splits.train, nobody, None, regularization=(20.0, 200.0))
    alone = fit_item_weights(splits.train, nobody, None, regularization=(20.0,))
    np.testing.assert_array_equal(
        alone.weights, fit_item_weights(splits.train, splits.test, None, regularization=(20.0,)).weights
    )
