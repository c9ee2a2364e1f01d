"""Find out on labelled pictures what a model takes for a pixel, and which score is which class."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import CAFFE, USUAL_SCALINGS, PixelScaling

# An answer is believed when it differs from what was assumed by so many standard errors (McNemar's test).
_SURE = 3.0
# With so many right as it is there is nothing to look for.
_RIGHT = 0.95
# Ways that differ by less are told together.
_ALIKE = 0.02


@dataclass(frozen=True)
class LabelOrder:
    """Which score is which class, where that is surely not what was said.

    Attributes:
        classes: The class of each score, positions in the class names.
        given: Share right in the order that was said.
        accuracy: Share right in this order, each half of the examples judged by what the other half told.
        examples: How many there were.
    """

    classes: tuple[int, ...]
    given: float
    accuracy: float
    examples: int

    def told(self, class_names: tuple[str, ...]) -> str:
        """The finding in words."""
        said = ", ".join(class_names[:5]) + (", …" if len(class_names) > 5 else "")
        return (
            f"the order of the labels does not fit: right on {self.given:.0%} of {self.examples} examples as {said}; "
            f"on {self.accuracy:.0%} as {self.listed(class_names)}"
        )

    def listed(self, class_names: tuple[str, ...]) -> str:
        """The names in the order of the scores; of many classes those that are elsewhere."""
        names = [class_names[place] for place in self.classes]
        if len(names) <= 5:
            return ", ".join(names)
        moved = [f"score {score} is {name}" for score, name in enumerate(names) if name != class_names[score]]
        return ", ".join(moved[:6]) + (", …" if len(moved) > 6 else "")


@dataclass(frozen=True)
class InputFinding:
    """How a model does on labelled pictures, as it was said to take them and as it does best.

    Attributes:
        examples: Pictures it was tried on.
        given: Share right as was said.
        ways: Under what it is surely right more often, the best first, with those that are as good; empty where it is
            as was said.
        accuracy: Share right under the best way, in the right order of the labels.
        order: The order of the labels that is surely better there, None where it is as was said.
    """

    examples: int
    given: float
    ways: tuple[PixelScaling, ...]
    accuracy: float
    order: LabelOrder | None


def probe_inputs(
    scores: Callable[[PixelScaling], NDArray[np.float32]],
    labels: NDArray[np.int32],
    *,
    given: PixelScaling,
    classes: int,
    channels: int = 3,
) -> InputFinding:
    """Try what a model may take for raw pixels: what was said, 0..255, 0..1, -1..1, ImageNet's, and blue first.

    Args:
        scores: Gives the model's scores, float32 (n, classes), of the same pictures under a scaling.
        labels: int32 (n,), their classes.
        given: What was said, or taken for granted.
        classes: How many there are.
        channels: Of the pictures; grey ones have no order of channels and no standardisation of three.

    Returns:
        What was found.

    Example:
        >>> probe_inputs(lambda scaling: runtime.scores(scaling.applied(pixels)), labels, given=RAW,
        ...              classes=2).ways[0].words  # doctest: +SKIP
        '0..1'
    """
    said = scores(given)
    right = said.argmax(axis=1) == labels
    share = float(right.mean())
    if share >= _RIGHT:
        return InputFinding(len(labels), share, (), share, None)
    as_said = _tried(said, labels, classes, given)
    others = (*USUAL_SCALINGS, *((CAFFE,) if channels == 3 else ()))
    trials = [
        _tried(scores(other), labels, classes, other)
        for other in others
        if other != given and len(other.scale) in (1, channels)
    ]
    better = [trial for trial in trials if _surely_more(trial.right, as_said.right)]
    best = max(better, key=lambda trial: trial.right.mean(), default=as_said)
    if channels == 3 and best.right.mean() < _RIGHT:
        start = best.scaling
        turned = PixelScaling(start.scale[::-1], start.offset[::-1], not start.blue_first)
        trial = _tried(scores(turned), labels, classes, turned)
        if _surely_more(trial.right, best.right):
            best, better = trial, [trial]
    accuracy = float(best.right.mean())
    if best is as_said:
        return InputFinding(len(labels), share, (), accuracy, best.order)
    alike = [trial for trial in better if trial is not best and trial.right.mean() >= accuracy - _ALIKE]
    ways = tuple(trial.scaling for trial in (best, *alike))
    return InputFinding(len(labels), share, ways, accuracy, best.order)


@dataclass(frozen=True, eq=False)
class _Trial:
    """One way to feed a model: in what order of the labels it is right most, and on which pictures."""

    scaling: PixelScaling
    order: LabelOrder | None
    right: NDArray[np.bool_]


def _tried(scores: NDArray[np.float32], labels: NDArray[np.int32], classes: int, scaling: PixelScaling) -> _Trial:
    return _Trial(scaling, *_in_best_order(scores, labels, classes))


def find_label_order(scores: NDArray[np.float32], labels: NDArray[np.int32], *, classes: int) -> LabelOrder | None:
    """Whether the scores fit the labels surely better in another order of the classes.

    The order is the assignment of scores to classes that is right most often. Each half of the examples is judged by
    the order that the other half gives, so that many classes on few pictures are no proof of anything.

    Args:
        scores: float32 (n, classes).
        labels: int32 (n,).
        classes: How many there are.

    Returns:
        The better order; None where there is none.
    """
    return _in_best_order(scores, labels, classes)[0]


def _in_best_order(
    scores: NDArray[np.float32], labels: NDArray[np.int32], classes: int
) -> tuple[LabelOrder | None, NDArray[np.bool_]]:
    """The better order of the labels, None where there is none; and which examples are right in the better one."""
    top = scores.argmax(axis=1)
    right = top == labels
    if scores.shape[1] != classes or classes < 2 or len(labels) < classes or right.mean() >= _RIGHT:
        return None, right
    by_label = np.argsort(labels, kind="stable")
    halves = (by_label[0::2], by_label[1::2])
    found = np.zeros(len(labels), bool)
    for told, judged in (halves, halves[::-1]):
        found[judged] = _assignment(top[told], labels[told], classes)[top[judged]] == labels[judged]
    # Half of the mistakes at least must go: a model that confuses two classes is no other order of them.
    if not _surely_more(found, right) or 1 - found.mean() > (1 - right.mean()) / 2:
        return None, right
    order = tuple(int(one) for one in _assignment(top, labels, classes))
    return LabelOrder(order, float(right.mean()), float(found.mean()), len(labels)), found


def _assignment(top: NDArray[np.int64], labels: NDArray[np.int32], classes: int) -> NDArray[np.int64]:
    """The class of each score that is right most often; its own where that does not matter."""
    from scipy.optimize import linear_sum_assignment  # takes a third of a second, and most files have no need of it

    counts = np.zeros((classes, classes))
    np.add.at(counts, (top, labels), 1.0)
    rows, columns = linear_sum_assignment(counts + 1e-3 * np.eye(classes), maximize=True)
    return np.asarray(columns[np.argsort(rows)])


def _surely_more(found: NDArray[np.bool_], right: NDArray[np.bool_]) -> bool:
    """Whether one way is right surely more often than another on the same examples."""
    gained, lost = int((found & ~right).sum()), int((right & ~found).sum())
    return gained - lost >= _SURE * float(np.sqrt(gained + lost)) > 0
