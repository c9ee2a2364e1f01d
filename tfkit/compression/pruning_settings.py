"""How a model is to be pruned, whatever the method: what recipes and the budget search say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

import keras

from tfkit.arguments import fields_take_text
from tfkit.compression.channels import ChannelPlan, MeasuredProfile, WidthRule, plan_channel_pruning
from tfkit.compression.channels.scores import Batches, Criterion
from tfkit.compression.pruning import ConstantSparsity, NOfM, PolynomialDecay, Schedule
from tfkit.compression.pruning.callback import Scope

# The share of the steps after which zeros stay where they are, so that the other weights recover from them.
_PRUNING_SHARE = 2 / 3
# How often masks are set anew until then.
_UPDATES = 20


class MaskOptions(TypedDict):
    """Which layers `prunable` gives masks; see there."""

    skip: Sequence[str]
    first: bool
    last: bool
    depthwise: bool


@fields_take_text
@dataclass(frozen=True, kw_only=True)
class PruningSettings:
    """How a model is pruned. Only the fields of its method count.

    Attributes:
        method: `magnitude` and `n_of_m` put single weights to zero, `channels` makes layers narrower.
        sparsity: magnitude: share of zeros in the end.
        sparsity_schedule: magnitude: `polynomial` or `constant`.
        scope: magnitude: `layer` or `global`.
        budgets: magnitude: sparsity by layer name or pattern.
        pattern: n_of_m: (n, m).
        skip: Layers that stay dense.
        prune_first, prune_last, prune_depthwise: Whether these layers are pruned too; see `prunable`.
        criterion: channels: what a channel is worth.
        keep, max_parameters, max_multiply_adds, max_latency_ms: channels: the budget; see `plan_channel_pruning`.
        width_multiple, min_width: channels: the widths allowed.

    Example:
        >>> PruningSettings(method="n_of_m", pattern=(2, 4)).schedule(steps=100).final
        0.5
    """

    method: Literal["magnitude", "n_of_m", "channels"] = "magnitude"
    sparsity: float = 0.5
    sparsity_schedule: Literal["polynomial", "constant"] = "polynomial"
    scope: Scope = "layer"
    budgets: Mapping[str, float] | None = None
    pattern: tuple[int, int] = (2, 4)
    skip: Sequence[str] = ()
    prune_first: bool = False
    prune_last: bool = True
    prune_depthwise: bool = False
    criterion: Criterion = "loss"
    keep: float | None = None
    max_parameters: int | None = None
    max_multiply_adds: int | None = None
    max_latency_ms: float | None = None
    width_multiple: int = 8
    min_width: int = 16

    def mask_options(self) -> MaskOptions:
        """The keyword arguments of `prunable`.

        Example:
            >>> PruningSettings(skip=("logits",)).mask_options()
            {'skip': ('logits',), 'first': False, 'last': True, 'depthwise': False}
        """
        return {
            "skip": self.skip,
            "first": self.prune_first,
            "last": self.prune_last,
            "depthwise": self.prune_depthwise,
        }

    def schedule(self, *, steps: int) -> Schedule:
        """The schedule of a training of so many steps of the optimizer; it ends after two thirds of them.

        Example:
            >>> schedule = PruningSettings(sparsity=0.8).schedule(steps=300)
            >>> round(schedule.sparsity(200), 6)
            0.8
        """
        end = max(1, round(steps * _PRUNING_SHARE))
        timing = {"end_step": end, "frequency": max(1, end // _UPDATES)}
        if self.method == "n_of_m":
            return NOfM(n=self.pattern[0], m=self.pattern[1], **timing)
        if self.sparsity_schedule == "constant":
            return ConstantSparsity(target_sparsity=self.sparsity, **timing)
        return PolynomialDecay(final_sparsity=self.sparsity, **timing)

    def plan(
        self, model: keras.Model, *, profile: MeasuredProfile | None = None, batches: Batches | None = None
    ) -> ChannelPlan:
        """Plan the pruning of channels of a model that ends in a softmax.

        Args:
            model: The trained model.
            profile: For `max_latency_ms`: the measured operator times of its int8 file.
            batches: For the criterion `loss`: pairs (images, one-hot labels).

        Returns:
            The plan; errors are those of `plan_channel_pruning`.
        """
        return plan_channel_pruning(
            model,
            criterion=self.criterion,
            keep=self.keep,
            max_parameters=self.max_parameters,
            max_multiply_adds=self.max_multiply_adds,
            max_latency_ms=self.max_latency_ms,
            profile=profile,
            batches=batches,
            loss=keras.losses.CategoricalCrossentropy(),
            widths=WidthRule(multiple_of=self.width_multiple, min_width=self.min_width),
        )

    def plan_before_training(self, model: keras.Model) -> ChannelPlan:
        """What can be known before training and measuring: every refusal but those of latency and of the data."""
        widths = WidthRule(multiple_of=self.width_multiple, min_width=self.min_width)
        criterion: Criterion = "weight_norm" if self.criterion == "loss" else self.criterion
        return plan_channel_pruning(
            model,
            criterion=criterion,
            keep=1.0 if self.max_latency_ms is not None else self.keep,
            max_parameters=self.max_parameters,
            max_multiply_adds=self.max_multiply_adds,
            widths=widths,
        )
