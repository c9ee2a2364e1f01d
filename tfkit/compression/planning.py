"""Decide, for every layer of a graph, what quantisation does with it and where tensors are rounded."""

from collections.abc import Iterator
from dataclasses import dataclass

from tfkit.compression.policy import LayerCoverage, QuantizationPolicy, Treatment
from tfkit.compression.rules import (
    faults_of,
    is_bounded,
    is_leading_scaling,
    is_python_code,
    is_recurrent,
    is_tabulated,
    runs_activation,
    treatment_of,
)
from tfkit.errors import ModelError
from tfkit.graph import LayerGraph, Node, Value
from tfkit.layers import BOUNDED_SCORE


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


_RECURRENT_HINT = (
    "leave quantization: out and export tflite_dynamic_int8, or, from Python, train the weights alone for that file: "
    "QuantizationPolicy(activation_bits=32)"
)


class _Planning:
    def __init__(self, graph: LayerGraph, policy: QuantizationPolicy) -> None:
        self._graph, self._policy = graph, policy
        self._treatments: dict[str, Treatment] = {}
        for node in graph.nodes:  # in order: a layer behind one in float may run inside it
            self._treatments[node.name] = self._treatment(node)
        kernels = [node.name for node in graph.nodes if self._treatments[node.name] == "kernel"]
        self._ends = {kernels[0], kernels[-1]} if kernels and policy.eight_bit_ends else set()

    def refuse_faults(self) -> None:
        faults = {node.name: fault for node in self._graph.nodes if (fault := self._fault(node)) is not None}
        if not faults:
            return
        narrow = [name for name, fault in faults.items() if "4-bit" in fault]
        code = [node.name for node in self._graph.nodes if is_python_code(node)]
        recurrent = [node.name for node in self._graph.nodes if node.name in faults and is_recurrent(node)]
        other = [name for name in faults if name not in {*narrow, *code, *recurrent}]
        hints = [f"replace these layers, or leave them in float: skip=[{_quoted(other)}]"] if other else []
        hints += [f"write {_quoted(code)} with layers or keras.ops"] if code else []
        hints += [_RECURRENT_HINT] if recurrent else []
        hints += [f"keep their kernels at 8 bits: eight_bit=[{_quoted(narrow)}]"] if narrow else []
        told = "; ".join(f"layer '{name}': {fault}" for name, fault in faults.items())
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
        own = treatment_of(node)
        if own == "absent":
            return "absent"
        if self._policy.weights_only:
            return own if own in ("kernel", "table") and not self._policy.skips(node.name) else "float"
        if is_leading_scaling(self._graph, node):
            return "input"
        host = self._host(node)
        if self._policy.skips(node.name) or (host is not None and self._treatments[host.name] == "float"):
            return "float"
        return own or "float"

    def _fault(self, node: Node) -> str | None:
        if is_python_code(node):
            return "a Lambda's Python code can neither be copied nor loaded safely"
        if is_recurrent(node) and not self._policy.weights_only:
            return f"a {node.kind} goes step by step: it has no integer kernel, and float steps fit in no integer file"
        if self._policy.skips(node.name):
            return None
        if self._policy.weights_only and treatment_of(node) not in ("kernel", "table"):
            return None
        return faults_of(self._graph, node, weight_bits=self._bits(node), activation_bits=self._policy.activation_bits)

    def _bits(self, node: Node) -> int:
        return 8 if node.name in self._ends else self._policy.bits_of(node.name)

    def _host(self, node: Node) -> Node | None:
        """The layer whose operator a layer runs inside: a folded BatchNorm's, a fused ReLU's."""
        source = self._source(node)
        if source is None or self._next(source.output) is not node:
            return None
        own = treatment_of(node)
        if own == "affine" and treatment_of(source) == "kernel":
            return source
        return source if own == "activation" and runs_activation(source) else None

    def _source(self, node: Node) -> Node | None:
        source = node.inputs[0].node if node.inputs else None
        while source is not None and self._treatments[source.name] == "absent":
            source = source.inputs[0].node
        return source

    def _next(self, value: Value) -> Node | None:
        """The one layer that takes a tensor, looking through layers that an exported model has not."""
        taker = self._graph.only_consumer(value)
        while taker is not None and treatment_of(taker) == "absent":
            taker = self._graph.only_consumer(taker.output)
        return taker

    def _rounding(self, node: Node, treatment: Treatment) -> tuple[bool, str]:
        if self._policy.weights_only:
            return False, self._weights_only_reason(node, treatment)
        if treatment == "absent":
            return False, "not in an exported model"
        if treatment == "same":
            return False, "on its input's grid"
        if treatment == "input":
            return False, "scales pixels: part of the input's scale and zero point, or of the first operator"
        taker = self._next(node.output)
        name = taker.name if taker is not None else ""
        inside = taker is not None and self._host(taker) is node
        if treatment == "float":
            return self._float_rounding(node, inside=inside)
        if inside:
            folds = treatment == "kernel" and taker is not None and treatment_of(taker) == "affine"
            return (
                False,
                f"'{name}' is folded into its kernel" if folds else f"rounded after '{name}', which runs inside it",
            )
        if treatment == "compute" and taker is not None and self._treatments[name] == "masked":
            return False, f"on the grid of '{name}'"
        joins = taker is not None and self._treatments[name] == "joined"
        if joins and not is_bounded(node) and (runs_activation(node) or treatment == "activation"):
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
        takers = list(self._takers(node.output))
        # A concatenation rounds what goes into it to its own grid.
        only_joined = len(takers) == 1 and self._treatments[takers[0].name] == "joined"
        return not inside and not only_joined and any(self._treatments[t.name] != "float" for t in takers), reason

    def _takers(self, value: Value) -> Iterator[Node]:
        for taker in self._graph.consumers(value):
            if self._treatments[taker.name] == "absent":
                yield from self._takers(taker.output)
            else:
                yield taker

    def _reason(self, node: Node, treatment: Treatment) -> str:
        if node.kind == "LayerNormalization":
            return "the values between its operators in 16 bits"
        if is_tabulated(node):
            return "its answers for 256 inputs in a table"
        folded = treatment == "affine" and self._host(node) is not None
        reasons = {
            "fixed": "its range is known",
            "same_rounded": "rounded to its input's grid",
            "kernel": "kernel on a grid for each channel",
            "affine": "folded into the kernel before" if folded else "an operator of its own",
            "joined": "one grid for all that goes into it",
            "masked": f"padding gets a score of {BOUNDED_SCORE:g}, on the grid of the others",
            "table": "its rows lie on the grid of its output",
        }
        return reasons.get(treatment, "rounded to a range of its own")


def _quoted(names: list[str]) -> str:
    return ", ".join(map(repr, names))
