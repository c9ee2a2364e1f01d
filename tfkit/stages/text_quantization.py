"""The stage that trains a text classifier on the numbers its file computes with."""

from collections.abc import Sequence
from typing import Literal, Unpack

import keras

from tfkit.compression import QuantizationPolicy, prepare_quantization
from tfkit.data.splitting import spread_over_classes
from tfkit.data.text import TextExamples, Tokenizer, token_arrays
from tfkit.errors import ModelError
from tfkit.models.text import open_transformer
from tfkit.stages.outcome import CompressedStage
from tfkit.stages.text_training import TextTeacher, train_prepared_text
from tfkit.training.options import TextStageOptions, TextTrainOptions, refuse_unknown

Target = Literal["dynamic_int8", "int8"]
# Bits of the activations that each file computes with; 32 leaves them in float.
_ACTIVATION_BITS = {"dynamic_int8": 32, "int8": 8}


def quantization_policy(
    target: Target,
    *,
    weight_bits: Literal[8, 4] = 8,
    skip: Sequence[str] = (),
    eight_bit_ends: bool = True,
    eight_bit: Sequence[str] = (),
) -> QuantizationPolicy:
    """What a target rounds; the further arguments are those of `QuantizationPolicy`.

    Raises:
        ModelError: When the target's file cannot hold it.
    """
    if skip and target == "dynamic_int8":
        raise ModelError(
            f"a dynamic_int8 file rounds every kernel; got layers to skip: {', '.join(skip)}",
            hint="quantization.target=int8 can leave layers in float",
        )
    return QuantizationPolicy(
        weight_bits=weight_bits,
        activation_bits=_ACTIVATION_BITS[target],
        skip=skip,
        eight_bit_ends=eight_bit_ends,
        eight_bit=eight_bit,
    )


def quantize_text(
    model: keras.Model,
    train: TextExamples,
    validation: TextExamples,
    tokenizer: Tokenizer,
    *,
    sequence_length: int,
    target: Target,
    weight_bits: Literal[8, 4] = 8,
    skip: Sequence[str] = (),
    eight_bit_ends: bool = True,
    eight_bit: Sequence[str] = (),
    moving_epochs: int = 1,
    calibration_examples: int = 200,
    teacher: TextTeacher | None = None,
    seed: int = 0,
    **options: Unpack[TextStageOptions],
) -> CompressedStage:
    """Train a text classifier quantisation-aware; all of it learns.

    Args:
        model: A float classifier of `build_text_classifier`, or what `prune_text` made of it; its weights are not
            changed.
        train: Training texts; some of them set the first ranges.
        validation: Validation texts; may be empty.
        tokenizer: The backbone's tokeniser.
        sequence_length: Tokens of a text at most, start and end included.
        target: `dynamic_int8` rounds the weights only, and is what CPUs run fastest; `int8` rounds everything, for
            processors that compute in whole numbers only.
        weight_bits: Of `int8`: bits of a weight, 8 or 4; so are the next three.
        skip: Layers left in float: names, or patterns such as `*_feedforward_*`.
        eight_bit_ends: With 4-bit weights: whether the first and the last layer keep 8.
        eight_bit: With 4-bit weights: further layers that keep 8.
        moving_epochs: Of `int8`: epochs in which the ranges follow a moving average.
        calibration_examples: Training texts that set the first ranges.
        teacher: Who teaches; its answers only. None trains on the labels alone.
        seed: Seed of shuffling, augmentation and dropout.
        **options: The further keyword arguments of `train_prepared_text`, `optimization` among them.

    Returns:
        The quantisation-aware model.

    Raises:
        ModelError: When a layer cannot be quantised.
    """
    refuse_unknown("quantize_text", options, TextStageOptions)
    keras.utils.set_random_seed(seed)
    chosen = spread_over_classes(train.labels, count=calibration_examples, seed=seed)
    seen = token_arrays(train.select(chosen), tokenizer, sequence_length=sequence_length)
    opened = open_transformer(model, seen)
    opened.trainable = True  # whatever fine-tuning left frozen
    prepared = prepare_quantization(
        opened,
        seen,
        policy=quantization_policy(
            target, weight_bits=weight_bits, skip=skip, eight_bit_ends=eight_bit_ends, eight_bit=eight_bit
        ),
        moving_epochs=moving_epochs,
        log_directory=options.get("log_directory"),
    )
    if teacher is not None:
        options["objective"] = teacher.objective()
    given: TextTrainOptions = {"sequence_length": sequence_length, "seed": seed, **options}
    return train_prepared_text("quantization", prepared, train, validation, tokenizer, **given)
