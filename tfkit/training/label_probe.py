"""Training labels that are likely wrong, by confident learning on what a frozen backbone sees.

Heads are fitted to four fifths of the examples and asked about the others: confident learning (Northcutt, Jiang and
Chuang 2021, arXiv:1911.00068). The package `cleanlab` by its authors does the same and needs pandas; the few lines that
are needed stand here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from tfkit.data.suspicious_labels import SuspiciousLabel, SuspiciousLabels
from tfkit.data.targets import dense_targets
from tfkit.tasks import CLASSIFICATION
from tfkit.training.features import Features
from tfkit.training.linear_head import (
    Fit,
    LinearTask,
    fit_linear_head,
    held_out_share,
    scalings,
    threads_for,
)
from tfkit.training.linear_solvers import LogisticSolver, losses_and_scores

FOLDS = 5
FEWEST = 20  # of a class: a head that saw fewer than sixteen of them errs more often than the labels do

_MARGIN = 0.5  # of the likely class's score above the given one's
_TOLERANCE = 1e-4  # the largest gradient left, as scikit-learn's


def find_suspicious_labels(
    values: NDArray[np.float32],
    labels: NDArray[np.int32],
    class_names: tuple[str, ...],
    names: tuple[str, ...],
    *,
    chosen: Fit | None = None,
    seed: int = 0,
    tell: Callable[[int], None] = lambda fold: None,
) -> SuspiciousLabels:
    """Find training examples whose labels are likely wrong.

    Args:
        values: float32 (n, d), features of a frozen backbone.
        labels: int32 (n,), positions in `class_names`.
        class_names: The classes.
        names: What to call each example.
        chosen: The scaling and the penalty of the heads; None to choose them on a fifth of the examples.
        seed: The same seed makes the same folds.
        tell: Called after each fold with its number, from 1.

    Returns:
        What was found. Classes of fewer than 20 examples are not judged; nothing is listed when the heads agree with
        less than half of all labels.

    Example:
        >>> draw = np.random.default_rng(0)
        >>> values = draw.normal(size=(100, 4)).astype(np.float32)
        >>> labels = (values[:, 0] > 0).astype(np.int32)
        >>> labels[np.argmax(values[:, 0])] = 0
        >>> found = find_suspicious_labels(values, labels, ("left", "right"), tuple(map(str, range(100)))).found
        >>> found[0].given, found[0].likely
        ('left', 'right')
    """
    counts = np.bincount(labels, minlength=len(class_names))
    few = (counts > 0) & (counts < FEWEST)
    looked_at = np.flatnonzero(~few[labels])
    not_judged = tuple(class_names[number] for number in np.flatnonzero(few))
    if np.count_nonzero(counts >= FEWEST) < 2:
        return SuspiciousLabels(0, (), not_judged)
    scores = unseen_scores(values, labels, len(class_names), chosen=chosen, seed=seed, tell=tell)
    agreement = float(np.mean(scores[looked_at].argmax(axis=1) == labels[looked_at]))
    nothing = SuspiciousLabels(len(looked_at), (), not_judged, agreement)
    if nothing.cannot_tell:
        return nothing
    places, likely = look_like_others(scores[looked_at], labels[looked_at])
    places = looked_at[places]
    given_scores, likely_scores = scores[places, labels[places]], scores[places, likely]
    found = tuple(
        SuspiciousLabel(
            position=int(places[rank]),
            name=names[places[rank]],
            given=class_names[labels[places[rank]]],
            likely=class_names[likely[rank]],
            given_score=float(given_scores[rank]),
            likely_score=float(likely_scores[rank]),
        )
        for rank in np.argsort(given_scores - likely_scores, kind="stable")
    )
    return replace(nothing, found=found)


def unseen_scores(
    values: NDArray[np.float32],
    labels: NDArray[np.int32],
    classes: int,
    *,
    chosen: Fit | None = None,
    seed: int = 0,
    tell: Callable[[int], None] = lambda fold: None,
) -> NDArray[np.float32]:
    """How probable each class of each example is, by a head that did not learn from it.

    Args:
        values: float32 (n, d), features.
        labels: int32 (n,), in [0, classes).
        classes: How many classes there are.
        chosen, seed, tell: As of `find_suspicious_labels`.

    Returns:
        float32 (n, classes), rows that sum to 1.
    """
    targets = dense_targets(labels, classes)
    if chosen is None:
        kept, held_out = held_out_share(labels, seed=seed)
        seen, others = (Features(values[places], targets[places]) for places in (kept, held_out))
        chosen = fit_linear_head(seen, others, LinearTask(task=CLASSIFICATION)).chosen
    scaling = next(one for one in scalings(values) if one.name == chosen.scaling)
    folds, scores = stratified_folds(labels, seed=seed), np.empty(targets.shape, np.float32)
    with threadpool_limits(threads_for(values, classes)):
        for fold in range(FOLDS):
            inside = folds == fold
            # Weights of 0, and not a copy of the other rows: features may fill the memory.
            weights = np.where(inside, 0, len(labels) / np.count_nonzero(~inside)).astype(np.float32)
            solver = LogisticSolver(values, targets, weights, scaling, exclusive=True)
            nothing = np.zeros((values.shape[1] + 1, classes))
            kernel, bias = scaling.folded(solver.solve(chosen.penalty, nothing, tolerance=_TOLERANCE))
            logits = values[inside] @ kernel.astype(np.float32) + bias.astype(np.float32)
            scores[inside] = losses_and_scores(logits, targets[inside], exclusive=True)[1]
            tell(fold + 1)
    return scores


def stratified_folds(labels: NDArray[np.int32], *, seed: int) -> NDArray[np.int64]:
    """The fold of each example, int64 (n,) in [0, 5): every class is spread evenly over them, by chance."""
    draw, folds = np.random.default_rng(seed), np.empty(len(labels), np.int64)
    begin = 0  # where the class before ended, so that small classes do not all fill the first folds
    for number in np.unique(labels):
        members = draw.permutation(np.flatnonzero(labels == number))
        folds[members] = (begin + np.arange(len(members))) % FOLDS
        begin += len(members)
    return folds


def look_like_others(
    scores: NDArray[np.float32], labels: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Confident learning: which examples look like another class than their own.

    An example counts as the likeliest of the classes that score at least the mean score of their own examples. As many
    of a class as count as another are suspicious: those whose given class scores lowest ("prune by class" in the
    paper). Of them, those are taken that another class beats by a half, which leaves out mere doubts.

    Args:
        scores: float32 (n, k), of heads that did not learn from the example.
        labels: int32 (n,).

    Returns:
        int64 (m,), ascending positions, and int64 (m,), the class that each looks like.

    Example:
        >>> scores = np.float32([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.05, 0.95]])
        >>> [found.tolist() for found in look_like_others(scores, np.array([0, 0, 1, 1, 0]))]
        [[4], [1]]
    """
    classes, given = scores.shape[1], scores[np.arange(len(labels)), labels]
    counts = np.bincount(labels, minlength=classes)
    usual = np.bincount(labels, given, classes) / np.maximum(1, counts)
    reached = np.where((scores >= usual) & (counts > 0), scores, -1)
    counted = np.flatnonzero(reached.max(axis=1) >= 0)
    counts_as, likely = reached.argmax(axis=1), scores.argmax(axis=1)
    found = []
    for number in np.flatnonzero(counts):
        members, judged = np.flatnonzero(labels == number), counted[labels[counted] == number]
        share = np.mean(counts_as[judged] != number) if len(judged) else 0.0
        found.append(members[np.argsort(given[members], kind="stable")[: round(share * len(members))]])
    lowest = np.sort(np.concatenate(found))
    suspicious = lowest[scores[lowest, likely[lowest]] - given[lowest] > _MARGIN]
    return suspicious, likely[suspicious]
