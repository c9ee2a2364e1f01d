"""What a stage of compression gives back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Unpack

import keras

from tfkit.artifacts import ImageSpec
from tfkit.data import ImageExamples
from tfkit.training import Optimization, StageResult, train_on
from tfkit.training.options import FineTuneOptions, refuse_unknown

if TYPE_CHECKING:
    from tfkit.compression import PreparedStage
    from tfkit.compression.tfmot.twin import TfKerasTwin
    from tfkit.stages.measures import ChannelPruning, TransformerPruning


@dataclass(frozen=True, eq=False)
class CompressedStage:
    """A compressed model and how it was trained.

    Attributes:
        model: The model: a Keras one, or a quantised twin of the tfmot engine.
        result: The course of the training.
        channels: What channel pruning planned and promised; None without it.
        transformer: What was removed from a text classifier's encoder; None where nothing was.
    """

    model: keras.Model | TfKerasTwin
    result: StageResult
    channels: ChannelPruning | None = None
    transformer: TransformerPruning | None = None


def train_prepared(
    name: str,
    prepared: PreparedStage,
    train: ImageExamples,
    validation: ImageExamples,
    image: ImageSpec,
    *,
    optimization: Optimization,
    channels: ChannelPruning | None = None,
    **options: Unpack[FineTuneOptions],
) -> CompressedStage:
    """Train what compression has made ready, and finish it; `options` are those of `train_on`."""
    refuse_unknown("train_prepared", options, FineTuneOptions)
    options["callbacks"] = (*prepared.callbacks, *options.get("callbacks", ()))
    result = train_on(prepared.model, train, validation, image, optimization=optimization, **options)
    return finished_stage(name, prepared, result, channels)


def finished_stage(
    name: str, prepared: PreparedStage, result: StageResult, channels: ChannelPruning | None = None
) -> CompressedStage:
    """What a trained stage comes to, once compression has finished its model."""
    prepared.finish()
    result = replace(result, name=name, notes=(*prepared.notes, *result.notes))
    return CompressedStage(prepared.model, result, channels)
