"""The stage that trains a model on the numbers its int8 file computes with."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal, Unpack, cast

import keras

from tfkit import compression
from tfkit.arguments import takes_text
from tfkit.artifacts import ImageSpec
from tfkit.data import ImageExamples, evaluation_batches, training_batches
from tfkit.graph import COMPARED_SAMPLES
from tfkit.inputs import calibration_inputs, named_batches
from tfkit.models import unfreeze
from tfkit.stages.outcome import CompressedStage, train_prepared
from tfkit.training import Optimization, StageResult, class_weights, uses_jit
from tfkit.training.options import BatchOptions, QuantizeOptions, refuse_unknown
from tfkit.training.processes import refuse_processes

if TYPE_CHECKING:
    from tfkit.compression import QuantizationPolicy

# What tfkit.compression.tfmot.fit_tfmot takes of an Optimization.
_TFMOT_OPTIMIZATION = ("epochs", "learning_rate", "optimizer", "weight_decay", "schedule", "warmup", "label_smoothing")


@takes_text
def quantize(
    model: keras.Model,
    train: ImageExamples,
    validation: ImageExamples,
    image: ImageSpec,
    *,
    optimization: Optimization,
    policy: QuantizationPolicy | None = None,
    engine: Literal["tfkit", "tfmot"] = "tfkit",
    moving_epochs: int = 1,
    calibration_examples: int = 200,
    batch_norm: Literal["frozen", "train"] = "frozen",
    jit: Literal["auto"] | bool = "auto",
    **options: Unpack[QuantizeOptions],
) -> CompressedStage:
    """Train a classifier quantisation-aware; all of it learns.

    Args:
        model: A float classifier, with masks or without; its weights are not changed.
        train: Training images; some of them set the first ranges.
        validation: Validation images; may be empty.
        image: The images the model takes.
        optimization: How to step.
        policy: Bits, and layers left in float; default int8 throughout. Not for tfmot.
        engine: `tfkit`, or `tfmot` for tensorflow-model-optimization.
        moving_epochs: Epochs in which the ranges follow a moving average. Not for tfmot.
        calibration_examples: Training images that set the first ranges. Not for tfmot.
        batch_norm: Whether BatchNorm keeps its statistics (`frozen`) or follows (`train`).
        jit: Whether XLA compiles the step; see `tfkit.training.uses_jit`.
        **options: The further keyword arguments of `tfkit.training.train_on`.

    Returns:
        The quantisation-aware model, or tfmot's quantised twin.

    Raises:
        ModelError: When a layer cannot be quantised.
    """
    refuse_unknown("quantize", options, QuantizeOptions)
    refuse_processes("quantize")
    unfreeze(model, "all", batch_norm=batch_norm)
    compiled = uses_jit(model, jit)
    if engine == "tfmot":
        return _by_tfmot(model, train, validation, image, optimization, batch_norm, compiled, options)
    prepared = compression.prepare_quantization(
        model,
        calibration_inputs(train, image, count=calibration_examples, seed=options.get("seed", 0)),
        policy=policy or compression.QuantizationPolicy(),
        moving_epochs=moving_epochs,
        batch_norm=batch_norm,
        jit_compile=compiled,
        log_directory=options.get("log_directory"),
    )
    return train_prepared(
        "quantization", prepared, train, validation, image, optimization=optimization, jit=jit, **options
    )


def _by_tfmot(
    model: keras.Model,
    train: ImageExamples,
    validation: ImageExamples,
    image: ImageSpec,
    optimization: Optimization,
    batch_norm: Literal["frozen", "train"],
    compiled: bool,
    options: QuantizeOptions,
) -> CompressedStage:
    began = time.perf_counter()
    named = {name: value for name, value in options.items() if name in BatchOptions.__annotations__}
    batch_size, batch_options = options.get("batch_size", 32), cast(BatchOptions, named)
    held_out = evaluation_batches(validation, image, batch_size=batch_size)
    twin, history = compression.quantize_with_tfmot(
        model,
        named_batches(training_batches(train, image, batch_size=batch_size, **batch_options), image),
        named_batches(held_out, image) if len(validation) else None,
        inputs=calibration_inputs(train, image, count=COMPARED_SAMPLES),
        batch_norm=batch_norm,
        steps_per_epoch=-(-len(train) // batch_size),
        class_weight=class_weights(optimization, train),
        jit_compile=compiled,
        log_directory=options.get("log_directory"),
        progress=options.get("progress"),
        **{name: value for name, value in asdict(optimization).items() if name in _TFMOT_OPTIMIZATION},
    )
    note = "trained by tensorflow-model-optimization on a tf-keras twin, checked to be equal before"
    return CompressedStage(twin, StageResult("quantization", time.perf_counter() - began, history, (note,)))
