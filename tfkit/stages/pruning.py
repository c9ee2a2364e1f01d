"""The stage that takes weights or channels away, and trains what is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal, Unpack

import keras

from tfkit import compression
from tfkit.arguments import takes_text
from tfkit.artifacts import ImageSpec
from tfkit.compression import channels as channels_of
from tfkit.data import ImageExamples, training_batches
from tfkit.graph import COMPARED_SAMPLES
from tfkit.inputs import calibration_inputs, named_batches
from tfkit.models import unfreeze
from tfkit.stages.outcome import CompressedStage, train_prepared
from tfkit.training import Optimization
from tfkit.training.options import FineTuneOptions, PruneOptions, refuse_unknown
from tfkit.training.processes import refuse_processes

if TYPE_CHECKING:
    from tfkit.compression import PruningSettings

# Batches that the criterion `loss` looks at.
_SCORED_BATCHES = 8


@takes_text
def prune(
    model: keras.Model,
    train: ImageExamples,
    validation: ImageExamples,
    image: ImageSpec,
    *,
    settings: PruningSettings,
    optimization: Optimization,
    batch_norm: Literal["frozen", "train"] = "frozen",
    batch_size: int = 32,
    threads: int = 1,
    objective: Callable[..., keras.Model] | None = None,
    feature_maps: float = 0.0,
    **options: Unpack[PruneOptions],
) -> CompressedStage:
    """Prune a trained classifier and train it on; all of it learns.

    Weights are masked while training goes on. Channels are removed before it, once the whole model's int8 file was
    measured, and BatchNorm's statistics are restored.

    Args:
        model: A float classifier; its weights are not changed.
        train: Training images.
        validation: Validation images; may be empty.
        image: The images the model takes.
        settings: How to prune.
        optimization: How to step.
        batch_norm: Whether BatchNorm keeps its statistics (`frozen`) or follows (`train`).
        batch_size: Images in a batch.
        threads: CPU threads that latency is measured on.
        objective: What `train_on` trains in the model's place, such as a distiller.
        feature_maps: channels: what each feature map of the whole model counts in the loss beside the objective, which
            then takes `features`, as `distiller` does, and has `model` as its teacher; 0 leaves them out.
        **options: The further keyword arguments of `tfkit.training.train_on`.

    Returns:
        The pruned model: with masks, or narrower.

    Raises:
        ModelError: When the model cannot be pruned so.
    """
    refuse_unknown("prune", options, PruneOptions)
    refuse_processes("prune")
    if settings.method != "channels":
        unfreeze(model, "all", batch_norm=batch_norm)
        steps = -(-len(train) // batch_size) * optimization.epochs // optimization.gradient_accumulation
        few = calibration_inputs(train, image, count=COMPARED_SAMPLES)
        logs = options.get("log_directory")
        prepared = compression.prepare_weight_pruning(model, settings, steps=steps, inputs=few, log_directory=logs)
        taught_by: FineTuneOptions = {"batch_size": batch_size, "objective": objective, **options}
        return train_prepared("pruning", prepared, train, validation, image, optimization=optimization, **taught_by)
    from tfkit.stages.measures import channel_pruning, measure_unpruned

    if settings.max_latency_ms is not None:
        options["state"] = None  # measured times choose the channels: another process may choose others

    calibration = calibration_inputs(train, image)
    unpruned = measure_unpruned(model, image=image, calibration=calibration, threads=threads)
    batches = named_batches(training_batches(train, image, batch_size=batch_size, augmentation="none"), image)
    profile = unpruned.profile if unpruned else None
    plan = settings.plan(model, profile=profile, batches=batches.take(_SCORED_BATCHES))
    channels = channel_pruning(plan, unpruned)
    prepared = compression.prepare_channel_pruning(model, plan, calibration)
    unfreeze(prepared.model, "all", batch_norm=batch_norm)
    prepared = replace(prepared, notes=(*prepared.notes, channels.promise))
    if objective is not None and feature_maps:
        pairs = channels_of.kept_feature_maps(model, plan, weight=feature_maps)
        objective = partial(objective, features=pairs)
        taught = f"the whole network taught it its feature maps behind {', '.join(pair.student for pair in pairs)}"
        prepared = replace(prepared, notes=(*prepared.notes, taught))
    given: FineTuneOptions = {"batch_size": batch_size, "objective": objective, **options}
    return train_prepared(
        "pruning", prepared, train, validation, image, optimization=optimization, channels=channels, **given
    )
