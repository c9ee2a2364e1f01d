"""The stages that make a text classifier smaller: pruned under its teacher, and trained quantisation-aware."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, TypedDict, Unpack

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.arguments import takes_text
from tfkit.compression import (
    FeaturePair,
    PreparedStage,
    PruningSettings,
    QuantizationPolicy,
    distiller,
    prepare_quantization,
    prepare_weight_pruning,
)
from tfkit.compression.transformers import StudentSize, cut_transformer, plan_student
from tfkit.data.text import TextExamples, Tokenizer, calibration_tokens, token_arrays, training_text_batches
from tfkit.errors import ModelError
from tfkit.graph import COMPARED_SAMPLES
from tfkit.models import free_everything, logits_model
from tfkit.models.text import open_transformer
from tfkit.stages.measures import transformer_pruning
from tfkit.stages.outcome import CompressedStage, finished_stage
from tfkit.tasks import CLASSIFICATION, Task
from tfkit.training import Optimization
from tfkit.training.fine_tune_text import train_on_texts
from tfkit.training.options import TextStageOptions, TextStepOptions, TextTrainOptions, refuse_unknown


@dataclass(frozen=True, eq=False, kw_only=True)
class TextTeacher:
    """Who teaches a smaller text classifier, and how; see `tfkit.compression.distiller`.

    Attributes:
        model: A float text classifier over the same tokens; it is not changed.
        temperature: How much its answers are softened.
        alpha: Share of its answers in the loss, 0 to 1.
        hidden_states: What the layers' results count beside the answers, where layers were removed or made narrower;
            0 leaves them out (Jiao et al. 2020, https://arxiv.org/abs/1909.10351).
        task: What both are asked.
    """

    model: keras.Model
    temperature: float = 4.0
    alpha: float = 0.5
    hidden_states: float = 0.0
    task: Task = CLASSIFICATION

    def objective(self, pairs: tuple[FeaturePair, ...] = ()) -> Callable[[keras.Model], keras.Model]:
        """What `train_batches` takes as its objective: it puts the student, an opened one, into a distiller."""
        teacher = logits_model(open_transformer(self.model))
        weights = {"temperature": self.temperature, "alpha": self.alpha}
        return partial(distiller, teacher=teacher, features=pairs, task=self.task, **weights)


def train_prepared_text(
    name: str,
    prepared: PreparedStage,
    train: TextExamples,
    validation: TextExamples,
    tokenizer: Tokenizer,
    **options: Unpack[TextTrainOptions],
) -> CompressedStage:
    """Train what compression has made ready, and finish it.

    Args:
        name: The stage's name in reports.
        prepared: The opened text classifier to train.
        train: Training texts.
        validation: Validation texts; may be empty.
        tokenizer: The backbone's tokeniser.
        **options: The keyword arguments of `tfkit.training.fine_tune_text.train_on_texts`.

    Returns:
        The trained model.
    """
    refuse_unknown("train_prepared_text", options, TextTrainOptions)
    options["callbacks"] = (*prepared.callbacks, *options.get("callbacks", ()))
    return finished_stage(name, prepared, train_on_texts(prepared.model, train, validation, tokenizer, **options))


# Batches that the rules named `loss` look at.
_SCORED_BATCHES = 8


class _Shared(TypedDict):
    sequence_length: int
    batch_size: int
    seed: int


@takes_text
def prune_text(
    model: keras.Model,
    train: TextExamples,
    validation: TextExamples,
    tokenizer: Tokenizer,
    *,
    sequence_length: int,
    optimization: Optimization,
    size: StudentSize | None = None,
    sparsity: float | None = None,
    teacher: TextTeacher | None = None,
    threads: int = 1,
    batch_size: int = 32,
    seed: int = 0,
    **options: Unpack[TextStepOptions],
) -> CompressedStage:
    """Cut layers, heads and neurons out of a trained text classifier and train what is left; all of it learns.

    The whole model's dynamic_int8 file is measured first, so that the report can say what was won.

    Args:
        model: A float classifier of `build_text_classifier`, trained; its weights are not changed.
        train: Training texts.
        validation: Validation texts; may be empty.
        tokenizer: The backbone's tokeniser.
        sequence_length: Tokens of a text at most, start and end included.
        optimization: How to step.
        size: What stays; None cuts nothing.
        sparsity: Share of the remaining kernels' weights that become zero, the smallest of each layer, while training
            goes on; None leaves them.
        teacher: Who teaches, mostly `model` itself; None trains on the labels alone.
        threads: CPU threads that latency is measured on.
        batch_size: Texts in a batch.
        seed: Seed of shuffling, augmentation and dropout.
        **options: The further keyword arguments of `train_prepared_text`.

    Returns:
        The smaller classifier, opened into plain layers: what `quantize_text` and the exporters take.

    Raises:
        ModelError: When the model cannot be opened, or has not what is to stay.
    """
    refuse_unknown("prune_text", options, TextStepOptions)
    keras.utils.set_random_seed(seed)
    shared: _Shared = {"sequence_length": sequence_length, "batch_size": batch_size, "seed": seed}
    few = calibration_tokens(train, tokenizer, sequence_length=sequence_length, count=COMPARED_SAMPLES)
    whole = open_transformer(model, few)
    free_everything(whole)
    prepared, pruning = PreparedStage(whole), None
    pairs: tuple[FeaturePair, ...] = ()
    if size is not None:
        seen = training_text_batches(train, tokenizer, **shared).take(_SCORED_BATCHES)
        plan = plan_student(whole, size, batches=list(seen))
        student = cut_transformer(whole, plan.cuts)
        text = token_arrays(train.select(np.array([0])), tokenizer, sequence_length=sequence_length)
        pruning = transformer_pruning(whole, student, plan, text, threads=threads)
        prepared = PreparedStage(student, notes=(pruning.note,))
        pairs = plan.feature_pairs(weight=teacher.hidden_states) if teacher and teacher.hidden_states else ()
    if sparsity is not None:
        prepared = _with_masks(prepared, few, sparsity, optimization, len(train), batch_size, options)
    if teacher is not None:
        options["objective"] = teacher.objective(pairs)
    trained = train_prepared_text(
        "pruning", prepared, train, validation, tokenizer, optimization=optimization, **shared, **options
    )
    return replace(trained, transformer=pruning)


def _with_masks(
    prepared: PreparedStage,
    inputs: dict[str, NDArray[np.int32]],
    sparsity: float,
    optimization: Optimization,
    examples: int,
    batch_size: int,
    options: TextStepOptions,
) -> PreparedStage:
    steps = -(-examples // batch_size) * optimization.epochs // optimization.gradient_accumulation
    masked = prepare_weight_pruning(
        prepared.model,
        PruningSettings(sparsity=sparsity),
        steps=steps,
        inputs=inputs,
        log_directory=options.get("log_directory"),
    )
    return replace(masked, notes=(*prepared.notes, *masked.notes))


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


@takes_text
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
    seen = calibration_tokens(train, tokenizer, sequence_length=sequence_length, count=calibration_examples, seed=seed)
    opened = open_transformer(model, seen)
    free_everything(opened)  # whatever fine-tuning left frozen
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
