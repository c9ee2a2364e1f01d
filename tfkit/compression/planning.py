"""Decide, for every layer of a graph, what quantisation does with it and where tensors are rounded."""

from dataclasses import dataclass

from tfkit.compression.kinds import Bits, Fault, kind_of
from tfkit.compression.kinds.activations import described
from tfkit.compression.kinds.kind import REMEDIES
from tfkit.compression.neighbours import Neighbours
from tfkit.compression.policy import LayerCoverage, QuantizationPolicy, Treatment
from tfkit.errors import ModelError
from tfkit.graph import LayerGraph, Node, Value


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
        ModelError: Names every layer that cannot be quantised, with the reason, and how to leave it in float; or
            every layer that cannot be left in float by itself.

    Example:
        >>> plan_layers(read_graph(model), QuantizationPolicy())["logits"].weight_bits
        8
    """
    policy.check_names(graph)
    planning = _Planning(graph, policy)
    planning.refuse_faults()
    planning.refuse_impossible_skips()
    return {node.name: planning.plan(node) for node in graph.nodes}


def layers_in_float(plans: dict[str, LayerPlan]) -> tuple[str, ...]:
    """The layers of a plan that stay in float, in running order.

    Example:
        >>> layers_in_float(plan_layers(read_graph(model), QuantizationPolicy(skip=["logits"])))
        ('logits',)
    """
    return tuple(name for name, plan in plans.items() if plan.treatment == "float")


def coverage_rows(
    graph: LayerGraph, plans: dict[str, LayerPlan], policy: QuantizationPolicy
) -> tuple[LayerCoverage, ...]:
    """The coverage table of a plan, in the order the layers run."""
    rows = []
    for node in graph.nodes:
        plan = plans[node.name]
        precision = f"int{plan.weight_bits or policy.activation_bits}"
        if plan.treatment in ("float", "absent"):
            precision = "float32" if plan.treatment == "float" else "-"
        rows.append(LayerCoverage(node.name, node.kind, plan.treatment, precision, plan.reason))
    return tuple(rows)


@dataclass(frozen=True)
class WideValues:
    """The `id`s of the `Value`s that need more than eight bits over one range.

    Attributes:
        sums: What a normalisation takes: held in 16 bits.
        normalized: What it gives: held in 16 bits for the next sum, and rounded to eight for Dense layers.
        added: What Dense layers add to a sum: eight bits over a range for each channel.
    """

    sums: frozenset[int] = frozenset()
    normalized: frozenset[int] = frozenset()
    added: frozenset[int] = frozenset()

    def has_16_bits(self, value: Value) -> bool:
        """Whether a tensor is held in 16 bits."""
        return id(value) in self.sums or id(value) in self.normalized


def wide_values(graph: LayerGraph) -> WideValues:
    """The sums that a normalisation takes, the outputs of Dense layers that go into them, and what it gives.

    A few features of a BERT's feed-forward output are a hundred times as large as the others (Bondarenko et al.
    2021, https://arxiv.org/abs/2109.12948), and the normalisation behind brings the small ones up again. Measured on
    MiniLM, 8 bits over one range for these tensors alone put an error of .42 and .33 of their spread on the pooled
    features, more than all others together; this is what makes post-training int8 collapse. Dense layers with 16-bit
    outputs have no quick kernel in LiteRT (40 of MiniLM's 48 ms), so theirs keep 8 bits, a range for each channel.

    Args:
        graph: What `split_layers` gave. Only opened transformers have such tensors: those with an attention mask.

    Returns:
        The tensors.
    """
    if not any(node.kind == "AttentionMask" for node in graph.nodes):
        return WideValues()
    neighbours, sums, added = Neighbours(graph, kind_of), set[int](), set[int]()
    for node in graph.nodes:
        taker = neighbours.taker(node.output) if node.kind == "Add" else None
        if taker is not None and taker.kind == "LayerNormalization":
            sums.add(id(node.output))
            sources = [neighbours.source(value) for value in node.inputs]
            added |= {id(source.output) for source in sources if source and neighbours.treatment(source) == "kernel"}
    normalized = frozenset(id(node.output) for node in graph.nodes if node.kind == "LayerNormalization")
    return WideValues(frozenset(sums), normalized, frozenset(added))


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


# Of the treatments whose layers need no more words of their own.
_REASONS: dict[Treatment, str] = {
    "fixed": "its range is known",
    "same_rounded": "rounded to its input's grid",
    "kernel": "kernel on a grid for each channel",
    "joined": "one grid for all that goes into it",
    "table": "its rows lie on the grid of its output",
}


class _Planning:
    def __init__(self, graph: LayerGraph, policy: QuantizationPolicy) -> None:
        self._graph, self._policy, self._neighbours = graph, policy, Neighbours(graph, kind_of)
        self._treatments: dict[str, Treatment] = {}
        for node in graph.nodes:  # in order: a layer behind one in float may run inside it
            self._treatments[node.name] = self._treatment(node)
        kernels = [node.name for node in graph.nodes if self._treatments[node.name] == "kernel"]
        self._ends = {kernels[0], kernels[-1]} if kernels and policy.eight_bit_ends else set()

    def refuse_faults(self) -> None:
        faults = {node.name: fault for node in self._graph.nodes if (fault := self._fault(node)) is not None}
        if not faults:
            return
        hints = []
        for remedy in sorted({fault.remedy for fault in faults.values()}, key=_place_of_remedy):
            names = [name for name, fault in faults.items() if fault.remedy == remedy]
            hints.append(remedy.format(names=_quoted(names)))
        told = "; ".join(f"layer '{name}': {fault.reason}" for name, fault in faults.items())
        raise ModelError(
            f"model '{self._graph.name}' cannot be trained quantisation-aware: {told}", hint="; ".join(hints)
        )

    def refuse_impossible_skips(self) -> None:
        if self._policy.weights_only:
            return
        inside = {
            node.name: host.name
            for node in self._graph.nodes
            if self._treatments[node.name] == "float"
            and (host := self._host(node)) is not None
            and self._treatments[host.name] != "float"
        }
        if inside:
            told = "; ".join(f"'{name}' runs inside '{host}'" for name, host in inside.items())
            raise ModelError(
                f"layers that are no operators of their own cannot be left in float by themselves: {told}",
                hint=f"skip what they run inside as well: {_quoted(sorted(set(inside.values())))}",
            )

    def plan(self, node: Node) -> LayerPlan:
        treatment = self._treatments[node.name]
        rounded, reason = self._rounding(node, treatment)
        weighted = treatment == "kernel" or (treatment == "table" and self._policy.weights_only)
        return LayerPlan(treatment, self._bits(node) if weighted else None, rounded, reason)

    def _treatment(self, node: Node) -> Treatment:
        own = kind_of(node).treatment
        if own == "absent":
            return "absent"
        if self._policy.weights_only:
            return own if own in ("kernel", "table") and not self._policy.skips(node.name) else "float"
        if self._neighbours.is_leading_scaling(node):
            return "input"
        host = self._host(node)
        if self._policy.skips(node.name) or (host is not None and self._treatments[host.name] == "float"):
            return "float"
        return own or "float"

    def _fault(self, node: Node) -> Fault | None:
        bits = Bits(self._bits(node), self._policy.activation_bits)
        fault = faults_of(self._neighbours, node, bits)
        if fault is None or fault.in_float:
            return fault
        if self._policy.skips(node.name):
            return None
        float_anyway = self._policy.weights_only and kind_of(node).treatment not in ("kernel", "table")
        return None if float_anyway else fault

    def _bits(self, node: Node) -> int:
        return 8 if node.name in self._ends else self._policy.bits_of(node.name)

    def _host(self, node: Node) -> Node | None:
        """The layer whose operator a layer runs inside: a folded BatchNorm's, a fused ReLU's."""
        source = self._neighbours.source(node.inputs[0]) if node.inputs else None
        if source is None or self._neighbours.taker(source.output) is not node:
            return None
        own, host = kind_of(node).treatment, kind_of(source)
        if own == "affine" and host.treatment == "kernel":
            return source
        return source if own == "activation" and host.runs_activation else None

    def _rounding(self, node: Node, treatment: Treatment) -> tuple[bool, str]:
        if self._policy.weights_only:
            return False, self._weights_only_reason(node, treatment)
        if treatment == "absent":
            return False, "not in an exported model"
        if treatment == "same":
            return False, "on its input's grid"
        if treatment == "input":
            return False, "scales pixels: part of the input's scale and zero point, or of the first operator"
        taker = self._neighbours.taker(node.output)
        name = taker.name if taker is not None else ""
        inside = taker is not None and self._host(taker) is node
        if treatment == "float":
            return self._float_rounding(node, inside=inside)
        if inside:
            folds = treatment == "kernel" and taker is not None and kind_of(taker).treatment == "affine"
            return (
                False,
                f"'{name}' is folded into its kernel" if folds else f"rounded after '{name}', which runs inside it",
            )
        if treatment == "compute" and taker is not None and self._treatments[name] == "masked":
            return False, f"on the grid of '{name}'"
        joins = taker is not None and self._treatments[name] == "joined"
        kind = kind_of(node)
        if joins and not kind.is_bounded and (kind.runs_activation or treatment == "activation"):
            return False, f"on the grid of '{name}'"
        if taker is not None and self._treatments[name] == "float":
            return True, "rounded for a layer in float"
        return True, self._reason(node, treatment)

    def _weights_only_reason(self, node: Node, treatment: Treatment) -> str:
        if treatment == "float":
            return "left in float: skip" if self._policy.skips(node.name) else "activations stay in float"
        return {"kernel": "kernel on a grid for each channel", "table": "a grid for each row"}.get(treatment, "")

    def _float_rounding(self, node: Node, *, inside: bool) -> tuple[bool, str]:
        host = self._host(node)
        reason = "left in float: skip"
        if host is not None and not self._policy.skips(node.name):
            reason = f"runs inside '{host.name}', which is left in float"
        takers = list(self._neighbours.takers(node.output))
        # A concatenation rounds what goes into it to its own grid.
        only_joined = len(takers) == 1 and self._treatments[takers[0].name] == "joined"
        return not inside and not only_joined and any(self._treatments[t.name] != "float" for t in takers), reason

    def _reason(self, node: Node, treatment: Treatment) -> str:
        if treatment == "affine":
            return "folded into the kernel before" if self._host(node) is not None else "an operator of its own"
        return kind_of(node).reason or _REASONS.get(treatment, "rounded to a range of its own")


def _place_of_remedy(remedy: str) -> int:
    return REMEDIES.index(remedy) if remedy in REMEDIES else len(REMEDIES)


def _quoted(names: list[str]) -> str:
    return ", ".join(map(repr, names))
