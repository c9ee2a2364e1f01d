"""When a stream of inputs changed: each number is followed example by example."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tfkit.errors import ConfigError
from tfkit.monitoring.profile import Profile

_SPREAD = 1e-6  # of a feature that never changes


@dataclass(frozen=True)
class ChangePoint:
    """Where something in a stream changed.

    Attributes:
        name: What: "brightness", "answer: bee", "features".
        noticed: The place of the new example at which it was sure, from 0.
        began: The place from which on the stream is another, as far as can be told.
        example: What the example at `began` is called.
        before: Mean before it: of the reference at first, then since the last change.
        after: Mean from there to where it was noticed.
    """

    name: str
    noticed: int
    began: int
    example: str
    before: float
    after: float


def change_points(
    reference: Profile, new: Profile, names: Sequence[str], *, alpha: float = 0.01, seed: int = 0
) -> tuple[ChangePoint, ...]:
    """Follow new examples in the order in which they came, and say where something changed.

    ADWIN (Bifet and Gavalda 2007, Learning from Time-Changing Data with Adaptive Windowing; of river) compares the
    older and the newer part of a window that grows while its mean stays. It begins with the reference, and after a
    change with what came since. Followed are all numbers, how often each answer is given, and how far the features are
    from the reference's.

    Args:
        reference: What the model was proved on; its order means nothing.
        new: The new examples, in their order.
        names: What each is called.
        alpha: Chance of a false alarm, shared by all that is followed.
        seed: Of the reference's order.

    Returns:
        What changed, in the order in which it was noticed.

    Raises:
        ConfigError: When river is not installed.

    Example:
        >>> light = np.random.default_rng(0).normal(0, 1, 900).astype("float32")
        >>> known, dusk = Profile("image", "", {"light": light}), Profile("image", "", {"light": light + 2})
        >>> [point.name for point in change_points(known, dusk, list(map(str, range(900))))]
        ['light']
    """
    try:
        from river.drift import ADWIN
    except ImportError:
        raise ConfigError("following a stream needs river", hint="pip install 'tfkit[stream]'") from None
    followed, adwin = dict(_followed(reference, new)), cast(Any, ADWIN)
    order = np.random.default_rng(seed).permutation(reference.count)
    found = []
    for name, (known, values) in followed.items():
        window, begin = known[order], 0  # what came before, and where the new ones begin that belong to it
        detector = _fed(adwin(delta=alpha / len(followed)), window)
        for place, value in enumerate(values):
            detector.update(float(value))
            if not detector.drift_detected:
                continue
            since = values[begin : place + 1]
            split = _split(window, since)
            began, before = begin + split, np.concatenate([window, since[:split]])
            after = since[split:]
            means = float(before.mean()), float(after.mean())
            found.append(ChangePoint(name, place, began, str(names[began]), *means))
            window, begin = after, place + 1
            detector = _fed(adwin(delta=alpha / len(followed)), window)
    return tuple(sorted(found, key=lambda point: (point.noticed, point.name)))


def _fed(detector: Any, values: NDArray[np.float32]) -> Any:
    for value in values:
        detector.update(float(value))
    return detector


def _split(before: NDArray[np.float32], since: NDArray[np.float32]) -> int:
    """Where in `since` the mean changed: the split that explains most of the variance (Hawkins 1977)."""
    known, total = float(before.sum()), float(since.sum())
    left = known + np.concatenate([[0.0], np.cumsum(since[:-1], dtype=np.float64)])
    count = len(before) + np.arange(len(since))
    right, rest = known + total - left, len(since) - np.arange(len(since))
    return int(np.argmax(count * rest * np.square(left / count - right / rest)))


def _followed(
    reference: Profile, new: Profile
) -> Iterator[tuple[str, tuple[NDArray[np.float32], NDArray[np.float32]]]]:
    for name in reference.numbers:
        if name in new.numbers:
            yield name, (reference.numbers[name], new.numbers[name])
    if reference.answers is not None and new.answers is not None:
        for place, name in enumerate(reference.answer_names):
            columns = (reference.answers[:, place], new.answers[:, place])
            yield f"answer: {name}", (columns[0].astype(np.float32), columns[1].astype(np.float32))
    if reference.vectors is not None and new.vectors is not None:
        mean, spread = reference.vectors.mean(0), reference.vectors.std(0) + _SPREAD
        far = [np.abs((vectors - mean) / spread).mean(1) for vectors in (reference.vectors, new.vectors)]
        yield "features", (far[0], far[1])
