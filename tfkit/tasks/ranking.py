"""A list of items for each user: what they took next should stand among the first ten."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfkit.data.target_kinds.labels import LABELS
from tfkit.tasks.task import AnswerTable, Decision, Quality, Task, Wrong

LISTED = 10  # items of an answer
_LENGTHS = (1, 5, LISTED, 20)


def best(scores: np.ndarray, count: int = LISTED) -> NDArray[np.int64]:
    """The ids of the items with the largest scores, the best first; of equal ones the smaller id: int (n, count).

    Example:
        >>> best(np.array([[0.0, 0.2, 0.9, 0.2]]), 2).tolist()
        [[2, 1]]
    """
    return np.argsort(-scores, axis=1, kind="stable")[:, :count]


def list_figures(labels: np.ndarray, scores: np.ndarray, count: int = LISTED) -> dict[str, float]:
    """Recall, precision, F1 and NDCG of lists of `count` items, each the mean over the users.

    Recall is the share of a user's wanted items that stand in the list, precision the share of the list that is wanted;
    NDCG counts an item at place i as 1 / log2(i + 1), of the most that can be had (Järvelin and Kekäläinen 2002).

    Args:
        labels: uint8 (n, items + 1), 1 for what is wanted; of every user something is.
        scores: float (n, items + 1).
        count: Items of a list.

    Example:
        >>> figures = list_figures(np.uint8([[0, 1, 0, 1]]), np.array([[0.0, 0.9, 0.5, 0.1]]), 2)
        >>> {name: round(value, 2) for name, value in figures.items()}
        {'recall': 0.5, 'precision': 0.5, 'f1': 0.5, 'ndcg': 0.61}
    """
    listed = best(scores, count)
    found = np.take_along_axis(labels > 0, listed, axis=1)
    wanted, hits = (labels > 0).sum(axis=1), found.sum(axis=1)
    recall, precision = hits / np.maximum(wanted, 1), hits / count
    f1 = 2 * recall * precision / np.maximum(recall + precision, 1e-12)
    gains = 1 / np.log2(np.arange(2, count + 2))
    ideal = np.cumsum(gains)[np.clip(wanted, 1, count) - 1]
    told = (recall, precision, f1, found @ gains / ideal)
    return {name: float(np.mean(each)) for name, each in zip(("recall", "precision", "f1", "ndcg"), told, strict=True)}


def _quality(labels: np.ndarray, scores: np.ndarray, decision: Decision) -> Quality:
    """Figures of lists of ten; those of scores that are no numbers are 0."""
    known = list_figures(labels, scores)
    whole = bool(np.isfinite(scores).all())
    return Quality({f"{name}_at_{LISTED}": value if whole else 0.0 for name, value in known.items()})


def _same(scores: np.ndarray, reference: np.ndarray, labels: np.ndarray, decision: Decision) -> np.ndarray:
    """Of each user, the share of the list that both have, wherever in it."""
    return np.array([
        len(np.intersect1d(ours, theirs)) / len(theirs)
        for ours, theirs in zip(best(scores), best(reference), strict=True)
    ])  # fmt: skip


def _chance(labels: np.ndarray, width: int) -> float:
    """Recall of giving everybody the ten items that these users want most is the best that can be had unseen."""
    wanted = labels.sum(axis=0, dtype=np.int64)
    return list_figures(labels, np.repeat(wanted[None], len(labels), axis=0))["recall"]


def _given(scores: np.ndarray, decision: Decision) -> np.ndarray:
    return best(scores)


def _marked(scores: np.ndarray, decision: Decision) -> np.ndarray:
    marked = np.zeros(scores.shape, bool)
    np.put_along_axis(marked, best(scores), True, axis=1)
    return marked


def _serve(scores: Any, names: tuple[str, ...], thresholds: tuple[float, ...]) -> dict[str, object]:
    """The names of the ten best and their scores, the best first; and all scores, in the order of the items' ids."""
    import tensorflow as tf

    found = tf.math.top_k(scores, k=min(LISTED, len(names)))
    items = tf.gather(tf.constant(names, tf.string), found.indices)
    return {"items": items, "item_ids": found.indices, "item_scores": found.values, "scores": scores}


def _answers(labels: np.ndarray, scores: np.ndarray, names: tuple[str, ...], decision: Decision) -> AnswerTable:
    lengths = [length for length in _LENGTHS if length < scores.shape[1]]
    rows: list[tuple[str | float | None, ...]] = [
        (str(length), *list_figures(labels, scores, length).values()) for length in lengths
    ]
    listed = np.unique(best(scores))
    return AnswerTable(
        title="How good the lists are",
        columns=(("Items listed", "text"), ("Recall", "share"), ("Precision", "share"), ("F1", "share"),
                 ("NDCG", "share")),
        rows=tuple(rows),
        explained="Recall: of the items that a user took next, the share that stands in the list; of ten it decides. "
        "Precision: of the list, the share that was taken next. F1 weighs both. NDCG counts places: one at the top is "
        "worth more. What a user has already is never listed. "
        f"{len(listed):,} of {len(names) - 1:,} items stand in at least one list of ten.",
        output="a score for each item; what the user has already is far below all others",
        same="lists the same ten items",
    )  # fmt: skip


def _wrong(labels: np.ndarray, scores: np.ndarray, names: tuple[str, ...], decision: Decision) -> list[Wrong]:
    """All users, those of whose wanted items the fewest were listed first."""
    found = np.take_along_axis(labels > 0, best(scores), axis=1).sum(axis=1)
    recall = found / np.maximum((labels > 0).sum(axis=1), 1)
    told = ["; ".join(names[item] for item in row[:3]) + "; …" for row in best(scores)]
    return [(int(place), told[place]) for place in np.argsort(recall, kind="stable")]


def _noted(decision: Decision) -> str:
    return "the larger a score, the likelier the item is taken next; scores are no probabilities"


def _described(names: tuple[str, ...]) -> str:
    return "How well each item fits what the user took, by its id"


RANKING = Task(
    name="ranking",
    title="recommendation",
    noun="recommender",
    targets=LABELS,
    output="scores",
    described=_described,
    activation="linear",
    metric=f"recall_at_{LISTED}",
    unit=f"recall@{LISTED}",
    is_share=True,
    figures={
        f"recall_at_{LISTED}": f"recall@{LISTED}",
        f"precision_at_{LISTED}": f"precision@{LISTED}",
        f"f1_at_{LISTED}": f"F1@{LISTED}",
        f"ndcg_at_{LISTED}": f"NDCG@{LISTED}",
    },
    objective=None,
    quality=_quality,
    same=_same,
    chance=_chance,
    given=_given,
    serve=_serve,
    answers=_answers,
    wrong=_wrong,
    marked=_marked,
    output_noun="item",
    noted=_noted,
    gives_several=True,
    answers_lists=True,
)
