"""Decide, before anything is trained, which channels go and what that saves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.compression.channels.costs import LayerCost, MeasuredProfile, layer_costs, predict_latency
from tfkit.compression.channels.rules import trace_channels
from tfkit.compression.channels.scores import (
    Batches,
    Criterion,
    Loss,
    Scores,
    bn_scale_scores,
    loss_scores,
    weight_norm_scores,
)
from tfkit.compression.channels.tracing import ChannelTrace
from tfkit.compression.channels.widths import (
    ChannelGroup,
    WidthRule,
    Widths,
    find_groups,
    kept_channels,
    uniform_widths,
    widths_within,
)
from tfkit.errors import ModelError
from tfkit.graph import LayerGraph, read_graph

_CRITERIA = ("bn_scale", "weight_norm", "loss")
_BUDGETS = ("keep", "max_parameters", "max_multiply_adds", "max_latency_ms")


@dataclass(frozen=True)
class PlannedGroup:
    """What becomes of channels that can only be removed together.

    Attributes:
        name: The group's name: the first layer that makes these channels.
        layers: Every layer that makes them.
        width: How many there are.
        kept: The places of those that stay, in order.
        pinned: Why all stay; empty when they were free to go.
    """

    name: str
    layers: tuple[str, ...]
    width: int
    kept: tuple[int, ...]
    pinned: str = ""


@dataclass(frozen=True)
class ChannelPlan:
    """Which channels stay, and what the model costs before and after.

    Attributes:
        criterion: How channels were ranked.
        groups: Every group of channels, the pinned ones with their reason.
        costs_before: The cost of each layer as it is.
        costs_after: The cost of the same layers afterwards.
    """

    criterion: Criterion
    groups: tuple[PlannedGroup, ...]
    costs_before: tuple[LayerCost, ...]
    costs_after: tuple[LayerCost, ...]

    @property
    def pinned(self) -> tuple[PlannedGroup, ...]:
        """The groups that stay whole because they must."""
        return tuple(group for group in self.groups if group.pinned)

    @property
    def parameters_before(self) -> int:
        """Parameters of the model as it is."""
        return sum(cost.parameters for cost in self.costs_before)

    @property
    def parameters_after(self) -> int:
        """Parameters afterwards."""
        return sum(cost.parameters for cost in self.costs_after)

    @property
    def multiply_adds_before(self) -> int:
        """Multiply-adds for one image of the model as it is."""
        return sum(cost.multiply_adds for cost in self.costs_before)

    @property
    def multiply_adds_after(self) -> int:
        """Multiply-adds for one image afterwards."""
        return sum(cost.multiply_adds for cost in self.costs_after)


def plan_channel_pruning(
    model: keras.Model,
    *,
    criterion: Criterion = "bn_scale",
    keep: float | None = None,
    max_parameters: int | None = None,
    max_multiply_adds: int | None = None,
    max_latency_ms: float | None = None,
    profile: MeasuredProfile | None = None,
    batches: Batches | None = None,
    loss: Loss | None = None,
    widths: WidthRule = WidthRule(),  # noqa: B008 - a frozen value
) -> ChannelPlan:
    """Decide which channels of a classifier to remove. The model is not changed.

    Channels are followed through residual additions, BatchNorm, depthwise and separable convolutions,
    concatenation, squeeze-and-excite, pooling and Flatten; what a layer that is not known touches stays whole.

    Args:
        model: A functional or sequential model with a fixed image size; nested models are laid open.
        criterion: `bn_scale` (size of the BatchNorm scale; train with an L1 penalty on it for best effect),
            `weight_norm` (L1 norm of the kernels) or `loss` (first-order effect on the loss, measured on `batches`).
        keep: The share of channels that every group keeps, in (0, 1]. Exactly one of this and the next three.
        max_parameters: Rank channels over the whole model and remove until this many parameters are left.
        max_multiply_adds: The same for multiply-adds of one image.
        max_latency_ms: The same for the latency predicted from `profile`, in milliseconds.
        profile: The measured operator times of the model's exported file (`benchmarking.profile_operators`).
        batches: For `loss`: pairs (images, labels), some hundred images in all, bare or by the name of the input.
        loss: For `loss`: `loss(labels, outputs)`; default cross entropy with integer labels.
        widths: Which widths are allowed; default multiples of 8, 16 or more.

    Returns:
        The plan.

    Raises:
        ModelError: When an argument is not allowed, the model lacks what the criterion looks at, nothing can be
            pruned, or the budget cannot be met (the nearest achievable is named).

    Example:
        >>> plan = plan_channel_pruning(model, criterion="weight_norm", keep=0.5, widths=WidthRule(4, min_width=4))
        >>> plan.multiply_adds_after < plan.multiply_adds_before
        True
    """
    budget = {"keep": keep, "max_parameters": max_parameters, "max_multiply_adds": max_multiply_adds}
    budget |= {"max_latency_ms": max_latency_ms}
    _check(criterion, budget, profile, batches, widths)
    graph = read_graph(model)
    _refuse_lambdas(graph)
    trace = trace_channels(graph)
    scores = _scores(trace, model, criterion, batches, loss)
    groups = _unscored_pinned(find_groups(trace), scores, criterion)
    free = [group for group in groups if not group.pinned]
    _check_free(model, free, groups, criterion)
    if keep is not None:
        chosen = uniform_widths(free, keep, widths)
    else:
        chosen = _within_budget(_Choice(trace, free, scores, profile), budget, widths)
    kept = {group.name: kept_channels(group, scores, chosen[group.name]) for group in free}
    return ChannelPlan(
        criterion=criterion,
        groups=tuple(_planned(group, kept.get(group.name)) for group in groups),
        costs_before=layer_costs(trace, np.ones(len(trace.labels), np.bool_)),
        costs_after=layer_costs(trace, kept_classes(trace, groups, kept)),
    )


def kept_classes(
    trace: ChannelTrace, groups: Sequence[ChannelGroup], kept: dict[str, NDArray[np.int64]]
) -> NDArray[np.bool_]:
    """For each class of channels whether it stays, from the places that groups keep.

    Args:
        trace: What `trace_channels` gave.
        groups: What `find_groups` gave.
        kept: For a group's name the places that stay; a group that is missing stays whole.

    Returns:
        bool, one per class.
    """
    stays = np.ones(len(trace.labels), np.bool_)
    for group in groups:
        if group.name in kept:
            stays[group.classes] = False
            stays[group.classes[kept[group.name]]] = True
    return stays


@dataclass(frozen=True)
class _Choice:
    trace: ChannelTrace
    groups: Sequence[ChannelGroup]
    scores: Scores
    profile: MeasuredProfile | None

    def measure(self, budget: str, widths: Widths) -> float:
        """What a choice of widths costs, in the budget's own unit."""
        kept = {group.name: kept_channels(group, self.scores, widths[group.name]) for group in self.groups}
        costs = layer_costs(self.trace, kept_classes(self.trace, self.groups, kept))
        if budget == "max_parameters":
            return sum(cost.parameters for cost in costs)
        if budget == "max_multiply_adds":
            return sum(cost.multiply_adds for cost in costs)
        before = layer_costs(self.trace, np.ones(len(self.trace.labels), np.bool_))
        assert self.profile is not None
        return predict_latency(self.profile, before=before, after=costs)


def _within_budget(choice: _Choice, budget: Mapping[str, float | None], rule: WidthRule) -> Widths:
    name, most = next((name, value) for name, value in budget.items() if value is not None)
    widths = widths_within(choice.groups, choice.scores, rule, lambda widths: choice.measure(name, widths) <= most)
    reached = choice.measure(name, widths)
    if reached > most:
        nearest = f"{reached:.3g}" if name == "max_latency_ms" else f"{reached:,.0f}"
        raise ModelError(
            f"{name}={most:,} cannot be met: with every group of channels at its narrowest, {nearest} are left",
            hint=f"the nearest achievable is {nearest}; a smaller backbone goes lower",
        )
    return widths


def _planned(group: ChannelGroup, kept: NDArray[np.int64] | None) -> PlannedGroup:
    places = range(group.width) if kept is None else kept.tolist()
    return PlannedGroup(group.name, group.layers, group.width, tuple(places), group.pinned)


def _scores(
    trace: ChannelTrace, model: keras.Model, criterion: Criterion, batches: Batches | None, loss: Loss | None
) -> Scores:
    if criterion == "bn_scale":
        return bn_scale_scores(trace)
    if criterion == "weight_norm":
        return weight_norm_scores(trace)
    return loss_scores(trace, model, batches or (), loss=loss)


def _unscored_pinned(groups: Sequence[ChannelGroup], scores: Scores, criterion: Criterion) -> list[ChannelGroup]:
    """A group that the criterion does not see stays whole, and says so."""
    lacks = {
        "bn_scale": "bn_scale: no BatchNormalization with a scale acts on it",
        "weight_norm": "weight_norm: no kernel makes it",
        "loss": "loss: no kernel takes it",
    }[criterion]
    return [
        ChannelGroup(group.name, group.layers, group.classes, lacks)
        if not group.pinned and np.isnan(scores[group.classes]).any()
        else group
        for group in groups
    ]


def _check(
    criterion: str, budget: Mapping[str, float | None], profile: object, batches: object, widths: WidthRule
) -> None:
    faults = []
    given = {name: value for name, value in budget.items() if value is not None}
    if criterion not in _CRITERIA:
        faults.append(f"criterion must be one of {', '.join(_CRITERIA)}; got '{criterion}'")
    if len(given) != 1:
        faults.append(f"give exactly one of {', '.join(_BUDGETS)}; got {', '.join(given) or 'none'}")
    for name, value in given.items():
        if not (0 < value <= 1 if name == "keep" else value > 0):
            faults.append(f"{name} must be {'in (0, 1]' if name == 'keep' else 'positive'}; got {value}")
    if "max_latency_ms" in given and profile is None:
        faults.append("max_latency_ms needs profile, the operator times of the exported model")
    if criterion == "loss" and batches is None:
        faults.append("criterion 'loss' needs batches of images and labels")
    if widths.multiple_of < 1 or widths.min_width < 1:
        faults.append(f"widths must be positive; got {widths}")
    if faults:
        raise ModelError("\n".join(faults))


def _refuse_lambdas(graph: LayerGraph) -> None:
    names = [node.name for node in graph.nodes if node.kind == "Lambda"]
    if names:
        raise ModelError(
            f"a Lambda layer cannot be copied into a smaller model: {', '.join(names)}",
            hint="write it with keras.ops in the model, or as a registered layer",
        )


def _check_free(
    model: keras.Model, free: Sequence[ChannelGroup], groups: Sequence[ChannelGroup], criterion: Criterion
) -> None:
    if free:
        return
    reasons = [f"{group.name}: {group.pinned}" for group in groups]
    others = [name for name in _CRITERIA if name != criterion]
    raise ModelError(
        "\n".join([f"no channel of model '{model.name}' can be removed by '{criterion}'", *reasons]),
        hint=f"another criterion may see more: {', '.join(others)}"
        if any(criterion in text for text in reasons)
        else "",
    )
