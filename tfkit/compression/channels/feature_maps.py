"""Which feature maps of a whole network a channel-pruned one is to give again."""

import keras

from tfkit.compression.channels.planning import ChannelPlan
from tfkit.compression.channels.rebuilding import channels_of_maps
from tfkit.compression.distillation import FeaturePair
from tfkit.graph import Node, read_graph

_MERGES = ("Add", "Concatenate")


def kept_feature_maps(model: keras.Model, plan: ChannelPlan, *, weight: float = 1.0) -> tuple[FeaturePair, ...]:
    """Pair maps of the pruned network with the same maps of the whole one, channel by channel.

    Of each size of map the last sum or concatenation is taken, else the last layer; and the last layer of all. A
    channel that stayed is compared with itself, so that no projection has to be learned; on few images that
    taught more than the answers alone (hints: Romero et al. 2015, https://arxiv.org/abs/1412.6550).

    Args:
        model: The whole model, which will teach.
        plan: What was removed from it.
        weight: What each of them counts in the loss.

    Returns:
        What `distiller` takes as `features`; empty for a model without feature maps.
    """
    kept = channels_of_maps(model, plan)
    by_size: dict[tuple[int | None, ...], Node] = {}
    last: Node | None = None
    for node in read_graph(model).nodes:
        if node.name not in kept:
            continue
        size = tuple(node.output.shape[1:-1])
        if node.kind in _MERGES or size not in by_size or by_size[size].kind not in _MERGES:
            by_size[size] = node
        last = node
    nodes = {node.name: node for node in (*by_size.values(), last) if node is not None}
    return tuple(
        FeaturePair(student=name, teacher=name, weight=weight, channels=tuple(kept[name].nonzero()[0].tolist()))
        for name in nodes
    )
