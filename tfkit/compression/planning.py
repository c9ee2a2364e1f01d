"""Decide, for every layer of a graph, what quantisation does with it and where tensors are rounded."""

from dataclasses import dataclass

from tfkit.compression.policy import LayerCoverage, QuantizationPolicy, Treatment
from tfkit.compression.rules import faults_of, is_leading_scaling, treatment_of
from tfkit.errors import ModelError
from tfkit.graph import LayerGraph, Node, Value

_FUSES_ACTIVATION = ("kernel", "affine", "compute")


@dataclass(frozen=True)
class LayerPlan:
    """What is done with one layer.

    Attributes:
        treatment: What it is.
        weight_bits: Of its kernel; None when it has none, or stays in float.
        rounded: Whether its output is rounded right behind it, on a grid of its own or its input's.
        reason: In words, for the coverage table.
    """

    treatment: Treatment
    weight_bits: int | None
    rounded: bool
    reason: str


def plan_layers(graph: LayerGraph, policy: QuantizationPolicy) -> dict[str, LayerPlan]:
    """Plan the quantisation of a graph.

    Args:
        graph: What `split_layers` gave.
        policy: The user's wishes.

    Returns:
        A plan for each node, by its name.

    Raises:
        ModelError: Names every layer that cannot be quantised, with the reason, and how to leave it in float.
    """
    policy.check_names(graph)
    faults = {
        node.name: fault
        for node in graph.nodes
        if not policy.skips(node.name) and (fault := faults_of(graph, node)) is not None
    }
    if faults:
        told = "; ".join(f"layer '{name}': {fault}" for name, fault in faults.items())
        raise ModelError(
            f"model '{graph.name}' cannot be trained quantisation-aware: {told}",
            hint=f"replace these layers, or leave them in float: skip=[{', '.join(map(repr, faults))}]",
        )
    treatments = {node.name: _treatment(graph, node, policy) for node in graph.nodes}
    kernels = [node.name for node in graph.nodes if treatments[node.name] == "kernel"]
    ends = {kernels[0], kernels[-1]} if kernels and policy.eight_bit_ends else set()
    plans: dict[str, LayerPlan] = {}
    for node in graph.nodes:
        bits = (8 if node.name in ends else policy.weight_bits) if treatments[node.name] == "kernel" else None
        rounded, reason = _rounding(graph, node, treatments)
        plans[node.name] = LayerPlan(treatments[node.name], bits, rounded, reason)
    return plans


def coverage_rows(graph: LayerGraph, plans: dict[str, LayerPlan], policy: QuantizationPolicy) -> tuple[LayerCoverage, ...]:
    """The coverage table of a plan, in the order the layers run."""
    rows = []
    for node in graph.nodes:
        plan = plans[node.name]
        precision = f"int{plan.weight_bits or policy.activation_bits}"
        if plan.treatment in ("float", "absent"):
            precision = "float32" if plan.treatment == "float" else "-"
        rows.append(LayerCoverage(node.name, node.kind, plan.treatment, precision, plan.reason))
    return tuple(rows)


def _treatment(graph: LayerGraph, node: Node, policy: QuantizationPolicy) -> Treatment:
    if policy.skips(node.name):
        return "float"
    if is_leading_scaling(graph, node):
        return "input"
    return treatment_of(node) or "float"


def next_node(graph: LayerGraph, value: Value, treatments: dict[str, Treatment]) -> Node | None:
    """The one layer that takes a tensor, looking through layers that an exported model has not."""
    taker = graph.only_consumer(value)
    while taker is not None and treatments[taker.name] == "absent":
        taker = graph.only_consumer(taker.output)
    return taker


def _rounding(graph: LayerGraph, node: Node, treatments: dict[str, Treatment]) -> tuple[bool, str]:
    treatment = treatments[node.name]
    if treatment == "absent":
        return False, "not in an exported model"
    if treatment == "same":
        return False, "on its input's grid"
    if treatment == "float":
        return _quantized_takers(graph, node, treatments), "left in float: skip"
    if treatment == "input":
        return False, "scales pixels: part of the input's scale and zero point, or of the first operator"
    taker = next_node(graph, node.output, treatments)
    follower = treatments[taker.name] if taker is not None else None
    name = taker.name if taker is not None else ""
    if treatment == "kernel" and follower == "affine":
        return False, f"'{name}' is folded into its kernel"
    if follower == "activation" and treatment in _FUSES_ACTIVATION:
        return False, f"rounded after '{name}', which runs inside it"
    if follower == "joined" and treatment in (*_FUSES_ACTIVATION, "activation"):
        return False, f"on the grid of '{name}'"
    if follower == "float" and not _quantized_takers(graph, node, treatments):
        return True, "rounded for a layer in float"
    reasons = {
        "fixed": "its range is known",
        "same_rounded": "rounded to its input's grid",
        "kernel": "kernel on a grid for each channel",
        "affine": "an operator of its own" if not _folded(graph, node, treatments) else "folded into the kernel before",
    }
    return True, reasons.get(treatment, "rounded to a range of its own")


def _folded(graph: LayerGraph, node: Node, treatments: dict[str, Treatment]) -> bool:
    source = node.inputs[0].node
    while source is not None and treatments[source.name] == "absent":
        source = source.inputs[0].node
    if source is None or treatments[source.name] != "kernel":
        return False
    return next_node(graph, source.output, treatments) is node


def _quantized_takers(graph: LayerGraph, node: Node, treatments: dict[str, Treatment]) -> bool:
    return any(treatments[taker.name] != "float" for taker in graph.consumers(node.output))
