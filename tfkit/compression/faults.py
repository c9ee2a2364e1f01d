"""Why a layer cannot be quantised."""

from tfkit.compression.kinds import Bits, Fault, kind_of
from tfkit.compression.kinds.activations import described
from tfkit.compression.neighbours import Neighbours
from tfkit.graph import Node


def faults_of(neighbours: Neighbours, node: Node, bits: Bits) -> Fault | None:
    """Why a layer cannot be quantised.

    Args:
        neighbours: What is around it.
        node: The layer's call.
        bits: What is asked of it.

    Returns:
        The first fault that is found: of the kind, or what holds for layers of all kinds; None when it can be.

    Example:
        >>> [faults_of(Neighbours(graph, kind_of), node, Bits()) for node in graph.nodes if node.name == "logits"]
        [None]
    """
    layer, kind = node.operation, kind_of(node)
    if kind.treatment is None:
        return kind.fault(neighbours, node, bits) or Fault(f"there is no rule for {described(node)}")
    calls = len(neighbours.graph.calls_of(layer))
    if calls > 1 and (kind.treatment in ("kernel", "affine", "table") or getattr(layer, "weights", None)):
        return Fault(f"it is called {calls} times, and one set of weights cannot follow {calls} scales")
    if getattr(layer, "data_format", "channels_last") == "channels_first":
        return Fault("it has its channels first; LiteRT wants them last")
    return kind.fault(neighbours, node, bits)
