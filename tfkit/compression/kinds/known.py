"""The kinds of layers that are known, and which of them a call is."""

from tfkit.compression.kinds import (
    absent,
    activations,
    arithmetic,
    attention,
    channel_order,
    convolution,
    embedding,
    grids,
    kernels,
    normalization,
    pooling,
    refused,
    scaling,
    shapes,
    slopes,
    tables,
)
from tfkit.compression.kinds.kind import Kind
from tfkit.compression.policy import Treatment
from tfkit.graph import Node

# The first one that covers a call is its kind: functions of one number stand before what else they are, and
# activations last, among them those that nothing is known of.
KINDS: tuple[Kind, ...] = (
    *grids.KINDS,
    *convolution.KINDS,
    *kernels.KINDS,
    *embedding.KINDS,
    *normalization.KINDS,
    *scaling.KINDS,
    *tables.KINDS,
    *slopes.KINDS,
    *attention.KINDS,
    *arithmetic.KINDS,
    *pooling.KINDS,
    *shapes.KINDS,
    *channel_order.KINDS,
    *refused.KINDS,
    *absent.KINDS,
    *activations.KINDS,
)
# For which there is no rule: it can be left in float.
UNKNOWN = Kind()


def kind_of(node: Node) -> Kind:
    """The kind of a call's layer or operation.

    A layer class may carry its kind itself, in an attribute `quantization_kind`; it goes before all others.

    Args:
        node: A call in a graph, in any form: as a user wrote it, split, quantisation-aware.

    Returns:
        Its kind; `UNKNOWN` when there is no rule for it.

    Example:
        >>> kind_of(graph.nodes[-1]).treatment
        'fixed'
    """
    own = own_kind_of(node)
    return own or next((kind for kind in KINDS if kind.covers(node)), UNKNOWN)


def own_kind_of(node: Node) -> Kind | None:
    """The kind that a call's layer class carries itself, if it does."""
    own = getattr(type(node.operation), "quantization_kind", None)
    return own if isinstance(own, Kind) else None


def treatment_of(node: Node) -> Treatment | None:
    """What a layer is to a quantised model, its neighbours aside; None when there is no rule for it.

    Example:
        >>> [treatment_of(node) for node in graph.nodes if node.name == "logits"]
        ['kernel']
    """
    return kind_of(node).treatment
