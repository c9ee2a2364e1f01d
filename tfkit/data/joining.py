"""New examples beside those of an earlier run: none of them twice, some of the old ones to learn from again."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Generic

import numpy as np
from numpy.typing import NDArray

from tfkit.data.examples import DataReport, DatasetSplits, ExamplesT, ImageExamples
from tfkit.data.joined_source import JoinedSource
from tfkit.data.splitting import spread_over_classes
from tfkit.data.target_kinds import kind_of
from tfkit.errors import DataError

EARLIER = "earlier/"  # before the names of an earlier run's examples


@dataclass(frozen=True, eq=False)
class JoinedSplits(Generic[ExamplesT]):
    """New and earlier examples together.

    Attributes:
        splits: All of the new ones, and behind them the earlier ones; of the earlier training split a share.
        earlier_names: The earlier run's classes, labels or numbers, with which those of `splits` begin.
        earlier_test: int64 (m,), where in the test split the earlier examples stand.
        replayed: How many earlier training examples are learned from again.
        replayed_of: How many there are.
        left_out: How many new examples were the earlier run's already.
    """

    splits: DatasetSplits[ExamplesT]
    earlier_names: tuple[str, ...]
    earlier_test: NDArray[np.int64]
    replayed: int
    replayed_of: int
    left_out: int


def join_splits(
    new: DatasetSplits[ExamplesT], earlier: DatasetSplits[ExamplesT], *, replay: float, seed: int
) -> JoinedSplits[ExamplesT]:
    """Put an earlier run's examples behind new ones.

    What is new in name only is left out: a new example that the earlier run has in any of its splits, byte by byte.

    Args:
        new: The new examples.
        earlier: The earlier run's.
        replay: The share of its training examples to take, in [0, 1], as many of each class as there are. All of its
            validation and test examples are taken.
        seed: The same seed takes the same ones.

    Returns:
        Both together. Classes and labels are the earlier run's, then those that are new.

    Raises:
        DataError: When nothing is new, or numbers or masks mean other things.

    Example:
        >>> joined = join_splits(new, earlier, replay=0.25, seed=0)  # doctest: +SKIP
        >>> joined.splits.class_names[:len(joined.earlier_names)] == joined.earlier_names  # doctest: +SKIP
        True
    """
    names = _names_of_both(new, earlier)
    known = {digest for split in _parts(earlier) for digest in _digests(split)}
    fresh = {name: _unknown(getattr(new, name), known) for name in ("train", "validation", "test")}
    left_out = sum(len(split) for split in _parts(new)) - sum(map(len, fresh.values()))
    if not len(fresh["train"]) or not len(fresh["test"]):
        missing = "training" if not len(fresh["train"]) else "test"
        raise DataError(
            f"no new {missing} examples are left: {left_out} of the new ones are the earlier run's already",
            hint="give examples that it has not seen",
        )
    count = round(replay * len(earlier.train))
    again = earlier.train.select(np.sort(spread_over_classes(earlier.train.labels, count=count, seed=seed)))
    joined = {
        name: _beside(fresh[name], old, names)
        for name, old in (("train", again), ("validation", earlier.validation), ("test", earlier.test))
    }
    told = [
        f"{len(again):,} of the earlier run's {len(earlier.train):,} training examples are learned from again; its "
        f"{len(earlier.validation):,} validation and {len(earlier.test):,} test examples are looked at too."
    ]
    if left_out:
        told.append(f"{left_out:,} of the new examples were the earlier run's already, and are left out.")
    splits = DatasetSplits(**joined, report=_account(new.report, joined, told), losses=_losses(new, earlier))
    places = np.arange(len(fresh["test"]), len(joined["test"]))
    return JoinedSplits(splits, earlier.class_names, places, len(again), len(earlier.train), left_out)


def _names_of_both(new: DatasetSplits[Any], earlier: DatasetSplits[Any]) -> tuple[str, ...]:
    ours, theirs = kind_of(new.train.labels), kind_of(earlier.train.labels)
    same = new.class_names == earlier.class_names
    if ours is not theirs or (ours.keeps_names and not same):
        raise DataError(
            f"the new examples have {ours.name} ({', '.join(new.class_names[:5])}), the earlier run's {theirs.name} "
            f"({', '.join(earlier.class_names[:5])})",
            hint="a run goes on with the same numbers, or the same classes of pixels",
        )
    return (*earlier.class_names, *(name for name in new.class_names if name not in earlier.class_names))


def _parts(splits: DatasetSplits[ExamplesT]) -> tuple[ExamplesT, ExamplesT, ExamplesT]:
    return splits.train, splits.validation, splits.test


def _digests(examples: Any) -> Iterator[bytes]:
    if isinstance(examples, ImageExamples):
        contents = (examples.source.content(int(index)) for index in examples.indices)
    else:
        contents = (text.encode("utf-8", "surrogatepass") for text in examples.texts)
    return (hashlib.blake2b(content, digest_size=16).digest() for content in contents)


def _unknown(examples: Any, known: set[bytes]) -> Any:
    return examples.select(np.flatnonzero([digest not in known for digest in _digests(examples)]))


def _beside(new: Any, earlier: Any, names: tuple[str, ...]) -> Any:
    labels = np.concatenate([_in_names(one.labels, one.class_names, names) for one in (new, earlier)])
    called = (*new.names, *(f"{EARLIER}{name}" for name in earlier.names))
    if not isinstance(new, ImageExamples):
        texts = (*new.texts, *earlier.texts)
        return replace(new, texts=texts, labels=labels, names=called, class_names=names)
    count = int(new.indices.max(initial=-1)) + 1
    source = JoinedSource(new.source, count, earlier.source)
    return ImageExamples(source, np.concatenate([new.indices, earlier.indices + count]), labels, called, names)


def _in_names(labels: np.ndarray, own: tuple[str, ...], names: tuple[str, ...]) -> np.ndarray:
    """Labels in other names, which hold all of their own."""
    places = np.array([names.index(name) for name in own], np.int32)
    return kind_of(labels).renamed(labels, places, len(names))


def _account(report: DataReport, joined: dict[str, Any], told: list[str]) -> DataReport:
    kept = {name: examples.class_counts() for name, examples in joined.items()}
    examples = {name: len(one) for name, one in joined.items()}
    return replace(report, kept=kept, examples=examples, notes=(*report.notes, *told))


def _losses(new: DatasetSplits[Any], earlier: DatasetSplits[Any]) -> Any:
    if new.losses is not None and earlier.losses is not None:
        new.losses.beside = earlier.losses
    return new.losses or earlier.losses
