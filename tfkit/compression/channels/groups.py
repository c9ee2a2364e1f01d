"""Groups of channels: what one width decides."""

from dataclasses import dataclass

import numpy as np

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
