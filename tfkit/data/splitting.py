"""Stratified splits that are the same for the same seed and never part copies of one image or text."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tfkit.data.targets import strata, target_kind
from tfkit.errors import DataError


def stratified_holdout(
    labels: np.ndarray,
    contents: Sequence[bytes] | NDArray[np.bytes_],
    *,
    fraction: float,
    seed: int,
    class_names: Sequence[str],
    what: str,
    unit: str = "images",
) -> tuple[np.ndarray, np.ndarray]:
    """Hold out a share of every class.

    Examples with the same content go to the same side, so that a split made here cannot leak.

    Args:
        labels: int (n,) positions in `class_names`; or rows of labels or numbers, which are split by `strata`.
        contents: A digest of each example's content.
        fraction: Share of every class to hold out, in [0, 1); at least one example of each when above 0.
        seed: The same seed holds out the same examples.
        class_names: For messages.
        what: What is held out (`test`), for messages.
        unit: What the examples are, for messages.

    Returns:
        Positions kept and positions held out, each ascending.

    Raises:
        DataError: When a class has fewer than two different examples to share out.
    """
    if fraction == 0.0:
        return np.arange(len(labels)), np.arange(0)
    _, first, group_of = np.unique(np.asarray(contents, np.bytes_), return_index=True, return_inverse=True)
    representative, originals = first[group_of], np.sort(first)
    rng = np.random.default_rng(seed)
    held_out: list[np.ndarray] = []
    too_small = []
    groups, one_class = strata(labels), target_kind(labels) == "classes"
    for group in range(len(class_names) if one_class else int(groups.max(initial=0)) + 1):
        members = originals[groups[originals] == group]
        if len(members) < 2 and not one_class:
            continue
        if len(members) < 2:
            too_small.append(f"'{class_names[group]}' ({len(members)})")
            continue
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        held_out.append(rng.permutation(members)[:count])
    if too_small:
        raise DataError(
            f"too few different {unit} to split off a {what} part: {', '.join(too_small)}",
            hint=f"add {unit} to these classes, leave them out with data.classes, or bring a {what} set of your own",
        )
    if not held_out:  # groups of one: of labels or numbers, which may be drawn from all
        held_out = [rng.permutation(originals)[: max(1, round(fraction * len(originals)))]]
    is_held_out = np.isin(representative, np.concatenate(held_out))
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)


def keep_per_class(labels: np.ndarray, *, per_class: int, class_count: int, seed: int) -> np.ndarray:
    """Positions of `per_class` random examples of each class (all of a smaller one), ascending."""
    rng = np.random.default_rng(seed)
    chosen = [rng.permutation(np.flatnonzero(labels == label))[:per_class] for label in range(class_count)]
    return np.sort(np.concatenate(chosen))


def spread_over_classes(labels: np.ndarray, *, count: int, seed: int) -> np.ndarray:
    """Positions of `count` random examples taken from the classes, or other `strata`, in turn (all of fewer)."""
    rng = np.random.default_rng(seed)
    groups = strata(labels)
    turn = np.empty(len(groups), np.int64)
    for group in range(int(groups.max(initial=-1)) + 1):
        members = rng.permutation(np.flatnonzero(groups == group))
        turn[members] = np.arange(len(members))
    # Shuffled first, so that a count below the number of classes does not favour the first ones.
    order = rng.permutation(len(labels))
    return order[np.argsort(turn[order], kind="stable")][:count]
