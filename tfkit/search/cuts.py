"""What fewer channels would save, predicted from the measured file of the whole model."""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras

from tfkit.benchmarking.op_profile import profile_operators
from tfkit.compression.channels import plan_channel_pruning, predict_bytes, predict_latency
from tfkit.errors import ModelError
from tfkit.search.result import Candidate, Cut

# The last keeps the narrowest widths that pruning allows, whatever the model.
KEEPS = (0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0.01)


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
            multiply_adds=plan.multiply_adds_after,
            bytes=predict_bytes(whole.bytes, before=before, after=after),
            latency_ms=max(0.0, predict_latency(profile, before=before, after=after) + beside),
        )
        if cut.parameters < (cuts[-1].parameters if cuts else plan.parameters_before):
            cuts.append(cut)
    return tuple(cuts)
