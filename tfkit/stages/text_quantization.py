"""The stage that trains a text classifier on the numbers its file computes with."""

from typing import Any, Literal

import keras

from tfkit.compression import QuantizationPolicy, prepare_quantization
from tfkit.data.splitting import spread_over_classes
from tfkit.data.text import (
    TextAugmentation,
    TextExamples,
    Tokenizer,
    evaluation_text_batches,
    token_arrays,
    training_text_batches,
)
from tfkit.models.text import open_transformer
from tfkit.stages.outcome import CompressedStage, finished_stage
from tfkit.training import Optimization, class_weights, train_batches

Target = Literal["dynamic_int8", "int8"]
# Bits of the activations that each file computes with; 32 leaves them in float.
_ACTIVATION_BITS = {"dynamic_int8": 32, "int8": 8}


def quantize_text(
    model: keras.Model,
    train: TextExamples,
    validation: TextExamples,
    tokenizer: Tokenizer,
    *,
    sequence_length: int,
    target: Target,
    optimization: Optimization,
    moving_epochs: int = 1,
    calibration_examples: int = 200,
    batch_size: int = 32,
    buckets: bool = True,
    augmentation: TextAugmentation | None = None,
    seed: int = 0,
    **options: Any,
) -> CompressedStage:
    """Train a text classifier quantisation-aware; all of it learns.

    Args:
        model: A float classifier of `build_text_classifier`; its weights are not changed.
        train: Training texts; some of them set the first ranges.
        validation: Validation texts; may be empty.
        tokenizer: The backbone's tokeniser.
        sequence_length: Tokens of a text at most, start and end included.
        target: `dynamic_int8` rounds the weights only, and is what CPUs run fastest; `int8` rounds everything, for
            processors that compute in whole numbers only.
        optimization: How to step.
        moving_epochs: Of `int8`: epochs in which the ranges follow a moving average.
        calibration_examples: Training texts that set the first ranges.
        batch_size: Texts in a batch.
        buckets: Whether texts of like length are batched together.
        augmentation: How training texts are varied.
        seed: Seed of shuffling, augmentation and dropout.
        **options: The further keyword arguments of `tfkit.training.train_batches`.

    Returns:
        The quantisation-aware model.

    Raises:
        ModelError: When a layer cannot be quantised.
    """
    keras.utils.set_random_seed(seed)
    chosen = spread_over_classes(
        train.labels, count=calibration_examples, class_count=len(train.class_names), seed=seed
    )
    prepared = prepare_quantization(
        open_transformer(model),
        token_arrays(train.select(chosen), tokenizer, sequence_length=sequence_length),
        policy=QuantizationPolicy(activation_bits=_ACTIVATION_BITS[target]),
        moving_epochs=moving_epochs,
        log_directory=options.get("log_directory"),
    )
    batches = training_text_batches(
        train,
        tokenizer,
        sequence_length=sequence_length,
        batch_size=batch_size,
        buckets=buckets,
        seed=seed,
        augmentation=augmentation,
    )
    held_out = evaluation_text_batches(validation, tokenizer, sequence_length=sequence_length)
    result = train_batches(
        prepared.model,
        batches,
        held_out if len(validation) else None,
        optimization=optimization,
        steps_per_epoch=-(-len(train) // batch_size),
        class_weight=class_weights(optimization, train),
        callbacks=prepared.callbacks,
        **options,
    )
    return finished_stage("quantization", prepared, result)
