"""Training a text classifier, with as much of its backbone as is asked for."""

import time
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from tfkit.data.text import (
    TextAugmentation,
    TextExamples,
    Tokenizer,
    evaluation_text_batches,
    token_arrays,
    training_text_batches,
)
from tfkit.models import head_on_features
from tfkit.models.text import Adaptation, adapt, merge_adaptation, pooled_features
from tfkit.models.text.adaptation import Method
from tfkit.training.features import Features
from tfkit.training.fine_tune import train_batches
from tfkit.training.fitting import fit
from tfkit.training.optimization import Optimization, class_weights
from tfkit.training.result import StageResult


@dataclass(frozen=True, eq=False)
class TrainedText:
    """A trained text classifier and how it came to be.

    Attributes:
        model: The classifier, plain again: low-rank updates are merged into its kernels.
        result: The course of the training.
        adaptation: What learned.
    """

    model: keras.Model
    result: StageResult
    adaptation: Adaptation


def fine_tune_text(
    model: keras.Model,
    train: TextExamples,
    validation: TextExamples,
    tokenizer: Tokenizer,
    *,
    sequence_length: int,
    optimization: Optimization,
    method: Method = "all",
    layers: int = 2,
    rank: int = 8,
    batch_size: int = 32,
    buckets: bool = True,
    augmentation: TextAugmentation | None = None,
    seed: int = 0,
    **options: Any,
) -> TrainedText:
    """Train a text classifier.

    Args:
        model: A classifier of `build_text_classifier`.
        train: Training texts.
        validation: Validation texts; may be empty.
        tokenizer: The backbone's tokeniser.
        sequence_length: Tokens of a text at most, start and end included.
        optimization: How to step.
        method: What of the backbone learns; see `tfkit.models.text.adapt`. With `head` its features are computed once,
            and neither `augmentation` nor `buckets` means anything.
        layers: Of `last`: how many layers learn.
        rank: Of `lora` and `adapters`: the width of what is added.
        batch_size: Texts in a batch.
        buckets: Whether texts of like length are batched together, so that less padding is computed.
        augmentation: How training texts are varied.
        seed: Seed of shuffling, augmentation and dropout.
        **options: The further keyword arguments of `tfkit.training.train_batches`.

    Returns:
        The trained classifier.

    Raises:
        ModelError: When the model cannot be adapted so.

    Example:
        >>> plan = Optimization(epochs=3, learning_rate=3e-4, optimizer="adamw", schedule="cosine", warmup=0.1)
        >>> trained = fine_tune_text(model, splits.train, splits.validation, tokenizer, sequence_length=32,
        ...                          optimization=plan, method="lora")  # doctest: +SKIP
    """
    keras.utils.set_random_seed(seed)
    adaptation = adapt(model, method, layers=layers, rank=rank, bottleneck=rank)
    common: dict[str, Any] = {"optimization": optimization, "class_weight": class_weights(optimization, train)}
    if method == "head":
        result = _train_head(model, train, validation, tokenizer, sequence_length, batch_size, seed, common, options)
    else:
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
        steps = -(-len(train) // batch_size)
        held_out = held_out if len(validation) else None
        result = train_batches(adaptation.model, batches, held_out, steps_per_epoch=steps, **common, **options)
    result = replace(result, name="fine_tune", notes=(*adaptation.notes, *result.notes))
    plain = merge_adaptation(adaptation.model) if method == "lora" else adaptation.model
    return TrainedText(plain, result, adaptation)


def _train_head(
    model: keras.Model,
    train: TextExamples,
    validation: TextExamples,
    tokenizer: Tokenizer,
    sequence_length: int,
    batch_size: int,
    seed: int,
    common: dict[str, Any],
    options: dict[str, Any],
) -> StageResult:
    began = time.perf_counter()

    def features(examples: TextExamples) -> Features:
        tokens = token_arrays(examples, tokenizer, sequence_length=sequence_length)
        targets = np.eye(len(examples.class_names), dtype=np.float32)[examples.labels]
        return Features(pooled_features(model, tokens, progress=options.get("progress")), targets)

    seen = features(train)
    held_out = features(validation) if len(validation) else None
    cached = time.perf_counter() - began
    history = fit(
        head_on_features(model),
        seen.batches(batch_size, shuffle_seed=seed),
        held_out.batches(len(held_out)).cache() if held_out else None,
        steps_per_epoch=-(-len(seen) // batch_size),
        jit_compile=False,
        log_directory=options.get("log_directory"),
        progress=options.get("progress"),
        **common,
    )
    note = f"the backbone's features were computed once, in {cached:.1f} s"
    return StageResult(name="head", seconds=time.perf_counter() - began, history=history, notes=(note,))
