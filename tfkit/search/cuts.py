"""Which channel cuts are worth a try, from predictions; and budgets that no cut can meet, told before training."""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras

from tfkit.benchmarking.op_profile import profile_operators
from tfkit.compression.channels import plan_channel_pruning, predict_bytes, predict_latency
from tfkit.errors import ModelError
from tfkit.search.budget import Budget, UnreachableBudgetError
from tfkit.search.result import Candidate, Cut

# The last keeps the narrowest widths that pruning allows, whatever the model.
KEEPS = (0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0.01)
# Predicted sizes are right within a tenth, predicted times within a quarter (`predict_latency`).
SLACK_TO_REFUSE = (0.10, 0.25)
# A cut this little above the limits is tried: it is the mildest that may do.
SLACK_TO_TRY = (0.05, 0.10)


def predict_cuts(
    model: keras.Model,
    whole: Candidate,
    file: Path,
    *,
    keeps: Sequence[float] = KEEPS,
    progress: Callable[[int, int, str], None] | None = None,
) -> tuple[Cut, ...]:
    """Predict size and speed of a model with fewer channels, from the operator times of its whole int8 file.

    Args:
        model: What `searchable_classifier` gave.
        whole: The measured int8 file of the whole model.
        file: Where it lies.
        keeps: Shares of channels to keep, the largest first.
        progress: Called with shares done, shares in all, and a text.

    Returns:
        One entry for each share that gives other widths than the one before; none when no channel can be removed.

    Raises:
        ModelError: When the file cannot be profiled.
    """
    profile = profile_operators(file)
    cuts: list[Cut] = []
    for number, keep in enumerate(keeps):
        if progress is not None:
            progress(number, len(keeps), f"keeping {keep:.0%} of the channels")
        try:
            # Widths depend on the share alone; the criterion says only which channels go.
            plan = plan_channel_pruning(model, criterion="weight_norm", keep=keep)
        except ModelError:
            return ()
        before, after = plan.costs_before, plan.costs_after
        # What the profiler's own runs and the measured ones differ by does not depend on the widths.
        beside = whole.latency_ms - predict_latency(profile, before=before, after=before)
        cut = Cut(
            keep=keep,
            parameters=plan.parameters_after,
            bytes=predict_bytes(whole.bytes, before=before, after=after),
            latency_ms=max(0.0, predict_latency(profile, before=before, after=after) + beside),
        )
        if cut.parameters < (cuts[-1].parameters if cuts else plan.parameters_before):
            cuts.append(cut)
    return tuple(cuts)


def refuse_unreachable(budget: Budget, cuts: Sequence[Cut], whole: Candidate) -> None:
    """Refuse a budget that even the narrowest channel-pruned file is predicted to miss by far.

    Args:
        budget: What is asked for.
        cuts: What `predict_cuts` gave.
        whole: The measured int8 file of the whole model.

    Raises:
        UnreachableBudgetError: Names the nearest achievable.
    """
    size, milliseconds = (cuts[-1].bytes, cuts[-1].latency_ms) if cuts else (whole.bytes, whole.latency_ms)
    faults, achievable = [], []
    if budget.max_bytes is not None and size > budget.max_bytes * (1 + SLACK_TO_REFUSE[0]):
        faults.append(f"{budget.max_bytes:,} bytes: {size:,} are needed")
        achievable.append(f"--max-bytes {size}")
    if budget.max_latency_ms is not None and milliseconds > budget.max_latency_ms * (1 + SLACK_TO_REFUSE[1]):
        faults.append(f"{budget.max_latency_ms:g} ms: an image takes {milliseconds:.3g} ms")
        achievable.append(f"--max-latency-ms {milliseconds:.3g}")
    if faults:
        smallest = "with every layer at its narrowest" if cuts else "and no channel of this model can be removed"
        raise UnreachableBudgetError(
            f"the budget cannot be met; nothing was trained. Predicted {smallest}: {'; '.join(faults)}",
            hint=f"the nearest achievable: {' '.join(achievable)}; or start from a smaller backbone",
        )


def cuts_to_try(budget: Budget, cuts: Sequence[Cut]) -> tuple[Cut, ...]:
    """The mildest cut that may meet the size and the speed asked for, and those beyond it.

    Args:
        budget: What is asked for.
        cuts: What `predict_cuts` gave.

    Returns:
        The cuts in the order to try them; at least the narrowest, when there is any.
    """
    for place, cut in enumerate(cuts):
        if budget.fits_size_and_speed(size=cut.bytes, milliseconds=cut.latency_ms, slack=SLACK_TO_TRY):
            return tuple(cuts[place:])
    return tuple(cuts[-1:])
