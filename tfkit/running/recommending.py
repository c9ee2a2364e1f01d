"""What a recommender's lists are worth: on users who were not learned from, and for items that nobody took yet."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfkit import reports
from tfkit.artifacts import InputSpec
from tfkit.data import DatasetSplits
from tfkit.data.histories import UserExamples
from tfkit.tasks.ranking import LISTED, RANKING, list_figures
from tfkit.training import ItemWeights, fit_item_weights
from tfkit.verification import reference_scores


@dataclass(frozen=True)
class NewItems:
    """How items that nobody took are found.

    Attributes:
        hidden: How many items were hidden from learning.
        users: The test users who took one of them.
        recall: Of the hidden items that these users took, the share among the ten that their texts put first.
        chance: The same of ten hidden items drawn by lot.
    """

    hidden: int
    users: int
    recall: float
    chance: float

    @property
    def sentence(self) -> str:
        """The same in words."""
        if not self.users:
            return f"{self.hidden} items were hidden, and no test user took one of them"
        return (
            f"of {self.hidden} items that nobody had taken, ten by their texts hold {100 * self.recall:.1f} % of those "
            f"that {self.users} test users took; ten by lot {100 * self.chance:.1f} %"
        )


def evaluate_lists(model: Any, test: UserExamples, spec: InputSpec) -> reports.Evaluation:
    """What a recommender answers to users, with what they took next."""
    scores = reference_scores(model, test, spec)
    return reports.Evaluation(test.class_names, test.labels, scores, test.names, asked=RANKING)


def popular_items(splits: DatasetSplits[UserExamples], evaluation: reports.Evaluation) -> reports.Control:
    """What giving everybody the items that most training users took would reach, each user's own left out."""
    counts = np.asarray(splits.train.taken().sum(axis=0)).ravel()
    scores = np.where(splits.test.taken().toarray() > 0, -np.inf, counts)
    reached = list_figures(splits.test.labels[:, 1:], scores)["recall"]
    return reports.Control("the most popular items", reached, "Keras model", evaluation.keras, "Gained over popularity")


def measure_new_items(
    splits: DatasetSplits[UserExamples], texts: NDArray[np.float64], found: ItemWeights, *, share: float, seed: int = 0
) -> NewItems:
    """Hide some items from learning, and see whether test users' own ones are found by their texts.

    Args:
        splits: The users; settings were chosen before, and nothing is chosen here.
        texts: float (items, features).
        found: The settings.
        share: Of the items, those that are hidden.
        seed: Of which are hidden.

    Returns:
        The recall among hidden items alone, of the test users who took one.
    """
    items = len(splits.train.catalogue)
    hidden = np.sort(np.random.default_rng(seed).permutation(items)[: max(LISTED + 1, round(share * items))]) + 1
    fitted = fit_item_weights(
        without_items(splits.train, hidden), splits.validation, texts,
        regularization=(found.regularization,), text_weight=(found.text_weight,),
    )  # fmt: skip
    users = splits.test
    took = users.labels.copy()
    for row, history in zip(took, users.histories, strict=True):
        row[history] = 1
    wanted = took[:, hidden]
    scores = without_items(users, hidden).taken() @ fitted.weights
    asked = wanted.any(axis=1)
    if not asked.any():
        return NewItems(len(hidden), 0, 0.0, 0.0)
    recall = list_figures(wanted[asked], scores[asked][:, hidden - 1])["recall"]
    return NewItems(len(hidden), int(asked.sum()), recall, min(1.0, LISTED / len(hidden)))


def without_items(users: UserExamples, hidden: NDArray[np.integer]) -> UserExamples:
    """The same users, as if some items had never been taken.

    Args:
        users: Users.
        hidden: Ids, from 1.
    """

    def left(histories: tuple[NDArray[np.int32], ...]) -> tuple[NDArray[np.int32], ...]:
        return tuple(history[~np.isin(history, hidden)] for history in histories)

    return UserExamples(left(users.histories), left(users.wanted), users.names, users.catalogue)
