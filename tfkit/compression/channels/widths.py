"""How many channels each group keeps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfkit.compression.channels.scores import Scores
from tfkit.compression.channels.tracing import Atoms, ChannelTrace


@dataclass(frozen=True, eq=False)
class ChannelGroup:
    """Channels that the same layers make, so that one number says how many of them stay.

    Attributes:
        name: The first layer that makes them.
        layers: Every layer that makes them, in running order: several where they are added, multiplied, or filtered
            depthwise.
        classes: The class of each channel.
        pinned: Why none of them can be removed; empty when they can.
    """

    name: str
    layers: tuple[str, ...]
    classes: Atoms
    pinned: str = ""

    @property
    def width(self) -> int:
        """How many channels there are."""
        return len(self.classes)


def find_groups(trace: ChannelTrace) -> tuple[ChannelGroup, ...]:
    """Find the groups of a traced model.

    Args:
        trace: What `trace_channels` gave.

    Returns:
        The groups that a kernel makes, in running order.
    """
    makers: dict[int, list[str]] = {}
    for key, axes in trace.axes.items():
        name = trace.owners[key][0]
        for axis in axes:
            if axis.role == "makes":
                # In the order of the channels, each class once.
                for label in dict.fromkeys(trace.labels[axis.atoms].tolist()):
                    makers.setdefault(label, []).append(name)
    members: dict[tuple[tuple[str, ...], str], list[int]] = {}
    for label, names in makers.items():
        members.setdefault((tuple(names), trace.pinned.get(label, "")), []).append(label)
    groups: list[ChannelGroup] = []
    taken: dict[str, int] = {}
    for (layers, pinned), labels in members.items():
        number = taken[layers[0]] = taken.get(layers[0], 0) + 1
        # One convolution's outputs fall into several groups where a part of them meets other channels.
        name = layers[0] if number == 1 else f"{layers[0]}#{number}"
        groups.append(ChannelGroup(name, layers, np.array(labels), pinned))
    return tuple(groups)


Widths = dict[str, int]


@dataclass(frozen=True)
class WidthRule:
    """Which widths are allowed.

    Attributes:
        multiple_of: Widths that runtimes like: XNNPACK and most accelerators work on eight channels at a time.
        min_width: No group becomes narrower. TensorFlow 2.21 with oneDNN crashes on some processors when a
            convolution narrower than 16 channels is trained. A group that is narrower already stays as it is.

    Example:
        >>> WidthRule().nearest(100, keep=0.5), WidthRule(4, min_width=4).nearest(20, keep=0.5)
        (48, 12)
    """

    multiple_of: int = 8
    min_width: int = 16

    def narrowest(self, width: int) -> int:
        """The narrowest width for a group of `width` channels.

        Example:
            >>> WidthRule().narrowest(64), WidthRule().narrowest(12)
            (16, 12)
        """
        return min(width, -(-self.min_width // self.multiple_of) * self.multiple_of)

    def nearest(self, width: int, keep: float) -> int:
        """The allowed width nearest to `keep * width`; `width` itself when all are kept.

        Example:
            >>> WidthRule().nearest(100, keep=0.5), WidthRule().nearest(100, keep=1.0)
            (48, 100)
        """
        if keep >= 1:
            return width
        rounded = int(keep * width / self.multiple_of + 0.5) * self.multiple_of
        return min(width, max(self.narrowest(width), rounded))


def uniform_widths(groups: Sequence[ChannelGroup], keep: float, rule: WidthRule) -> Widths:
    """Keep the same share of every group.

    Args:
        groups: The groups that may be pruned.
        keep: The share, in (0, 1].
        rule: Which widths are allowed.

    Returns:
        A width for each group's name.
    """
    return {group.name: rule.nearest(group.width, keep) for group in groups}


def widths_within(
    groups: Sequence[ChannelGroup], scores: Scores, rule: WidthRule, fits: Callable[[Widths], bool]
) -> Widths:
    """Remove the channels that matter least in the whole model until it fits a budget.

    Args:
        groups: The groups that may be pruned.
        scores: For each class of channels how much it matters.
        rule: Which widths are allowed.
        fits: Whether a choice of widths is within the budget.

    Returns:
        The widest choice that fits along that way; the narrowest allowed when none does.
    """
    steps = _removal_order(groups, scores, rule)

    def after(number: int) -> Widths:
        return {group.name: group.width for group in groups} | dict(steps[:number])

    least, most = 0, len(steps)
    while least < most:
        middle = (least + most) // 2
        least, most = (least, middle) if fits(after(middle)) else (middle + 1, most)
    return after(most)


def kept_channels(group: ChannelGroup, scores: Scores, width: int) -> NDArray[np.int64]:
    """The places of the `width` channels of a group that matter most, in order; the first of equal ones."""
    ranked = np.argsort(-scores[group.classes], kind="stable")
    return np.sort(ranked[:width])


def _removal_order(groups: Sequence[ChannelGroup], scores: Scores, rule: WidthRule) -> list[tuple[str, int]]:
    """Steps (group, its width afterwards), those first whose removed channels matter least on average."""
    steps: list[tuple[float, float, str, int]] = []
    for group in groups:
        ordered = np.sort(scores[group.classes])
        width, worst = group.width, -np.inf
        while width > rule.narrowest(group.width):
            narrower = max((width - 1) // rule.multiple_of * rule.multiple_of, rule.narrowest(group.width))
            removed = ordered[group.width - width : group.width - narrower]
            # A group's own steps keep their order; of equal steps, that of the group which has lost least comes first.
            worst = max(worst, float(removed.mean()))
            steps.append((worst, -width / group.width, group.name, narrower))
            width = narrower
    return [(name, width) for _, _, name, width in sorted(steps, key=lambda step: step[:2])]
