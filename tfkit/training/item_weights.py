"""Weights between items in closed form, from who took what and from what is said of each item."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from tfkit.data.histories import UserExamples
from tfkit.errors import TrainingError
from tfkit.tasks.ranking import LISTED, list_figures


@dataclass(frozen=True, eq=False)
class ItemWeights:
    """Weights, and how they were chosen.

    Attributes:
        weights: float32 (items, items): in row i and column j what item i says for item j; 0 where i is j.
        regularization: What was chosen; so is the next.
        text_weight: How much texts count.
        tried: Of each pair that was tried, the recall of ten on the validation users.
    """

    weights: NDArray[np.float32]
    regularization: float
    text_weight: float
    tried: tuple[tuple[float, float, float], ...]

    @property
    def note(self) -> str:
        """What was chosen, in a sentence."""
        told = f"regularization {self.regularization:g} and text_weight {self.text_weight:g}"
        if len(self.tried) < 2:
            return told
        best = max(recall for _, _, recall in self.tried)
        return f"{told}, the best of {len(self.tried)} on the validation users: recall of {LISTED} {100 * best:.1f} %"


def fit_item_weights(
    train: UserExamples,
    validation: UserExamples,
    texts: NDArray[np.float64] | None,
    *,
    regularization: Sequence[float] = (500.0,),
    text_weight: Sequence[float] = (20.0,),
    progress: Callable[[int, int, str], None] | None = None,
) -> ItemWeights:
    """Solve for the weights with each pair of settings, and keep those that rank best on the validation users.

    With X, who took what, and T, the items' texts as vectors, the weights B are those of least
    `|X - XB|² + text_weight |Tᵀ - TᵀB|² + regularization |B|²` with a diagonal of 0: EASE (Steck 2019,
    arXiv:1905.03375) on interactions and texts together (Jeunen, Van Balen and Goethals 2020, "Closed-Form Models for
    Collaborative Filtering with Side-Information", RecSys). An item that nobody took has weights by its text alone.

    Args:
        train: Users to learn from.
        validation: Users to choose on; may be empty where there is nothing to choose.
        texts: float (items, features), a vector for each item; None to go by interactions alone.
        regularization: Values to try, each above 0.
        text_weight: Values to try, 0 or more; without texts it does nothing.
        progress: Called with pairs done, pairs in all and a text.

    Raises:
        TrainingError: When there is something to choose and nobody to choose on, or no solution.

    Example:
        >>> users = load_history_splits(source="shop")
        >>> found = fit_item_weights(users.train, users.validation, None, regularization=(50.0, 200.0))
        >>> found.weights.shape
        (180, 180)
    """
    pairs = [(ridge, share) for ridge in regularization for share in (text_weight if texts is not None else (0.0,))]
    if len(pairs) > 1 and not len(validation):
        raise TrainingError(
            f"{len(pairs)} settings are to be tried and there is no validation user to choose on",
            hint="set data.validation_fraction above 0, or give one value each",
        )
    taken, alike = train.taken(), None if texts is None else texts @ texts.T
    together = np.asarray((taken.T @ taken).todense())
    judged, best, tried = validation.taken(), None, []
    for done, (ridge, share) in enumerate(pairs):
        weights = _solved(together if alike is None or not share else together + share * alike, ridge)
        recall = _recall(judged, validation, weights) if len(pairs) > 1 else 0.0
        tried.append((ridge, share, recall))
        if best is None or recall > best[0]:
            best = (recall, ridge, share, weights)
        if progress is not None:
            progress(done + 1, len(pairs), f"settings {done + 1}/{len(pairs)}")
    assert best is not None
    return ItemWeights(best[3].astype(np.float32), best[1], best[2], tuple(tried))


def _solved(together: NDArray[np.float64], ridge: float) -> NDArray[np.float64]:
    """The weights of a Gram matrix: -P / diag(P) of its regularised inverse P, and 0 on the diagonal."""
    gram = together + ridge * np.eye(len(together))
    try:
        inverse = linalg.inv(gram, overwrite_a=True, assume_a="pos")
    except (np.linalg.LinAlgError, TypeError):
        raise TrainingError("the weights have no solution", hint="raise model.regularization") from None
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return np.asarray(weights)


def _recall(taken: sparse.csr_array, users: UserExamples, weights: NDArray[np.float64]) -> float:
    scores = np.where(taken.toarray() > 0, -np.inf, taken @ weights)
    return list_figures(users.labels[:, 1:], scores)["recall"]
