"""The stage that makes a text classifier smaller, and lets the whole one teach it."""

from dataclasses import replace
from typing import TypedDict, Unpack

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.compression import FeaturePair, PreparedStage, PruningSettings, prepare_weight_pruning
from tfkit.compression.transformers import StudentSize, cut_transformer, plan_student
from tfkit.data.text import TextExamples, Tokenizer, first_tokens, token_arrays, training_text_batches
from tfkit.graph import COMPARED_SAMPLES
from tfkit.models.text import open_transformer
from tfkit.stages.outcome import CompressedStage
from tfkit.stages.text_training import TextTeacher, train_prepared_text
from tfkit.stages.transformer_measures import transformer_pruning
from tfkit.training import Optimization
from tfkit.training.options import TextStepOptions, refuse_unknown

# Batches that the rules named `loss` look at.
_SCORED_BATCHES = 8


class _Shared(TypedDict):
    sequence_length: int
    batch_size: int
    seed: int


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
    few = first_tokens(train, tokenizer, sequence_length=sequence_length, count=COMPARED_SAMPLES)
    whole = open_transformer(model, few)
    whole.trainable = True
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
