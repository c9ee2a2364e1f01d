"""Training a text classifier, with as much of its backbone as is asked for."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

import keras
import numpy as np

from tfkit.arguments import takes_text
from tfkit.data.targets import dense_targets
from tfkit.data.text import (
    TextAugmentation,
    TextExamples,
    Tokenizer,
    calibration_tokens,
    evaluation_text_batches,
    token_arrays,
    training_text_batches,
)
from tfkit.errors import ModelError
from tfkit.graph import COMPARED_SAMPLES
from tfkit.models.text import Adaptation, adapt, merge_adaptation, pooled_features
from tfkit.models.text.adaptation import Method
from tfkit.runtimes import KerasRuntime
from tfkit.tasks import PLAIN, task_of
from tfkit.training.distribution import refuse_together
from tfkit.training.features import Features
from tfkit.training.fine_tune import train_batches
from tfkit.training.fitting import Progress
from tfkit.training.going_on import saved_position
from tfkit.training.head import HeadSolver, learn_on_features, share_to_choose_on
from tfkit.training.optimization import Optimization, aim_of
from tfkit.training.options import StepOptions, TextFineTuneOptions, refuse_unknown
from tfkit.training.result import StageResult
from tfkit.training.text_objectives import TextObjectives
from tfkit.training.weight_averaging import average_runs as average
from tfkit.training.weight_averaging import copied, progress_of_run


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


@takes_text
def fine_tune_text(
    model: keras.Model,
    train: TextExamples,
    validation: TextExamples,
    tokenizer: Tokenizer,
    *,
    average_runs: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
    log_directory: Path | None = None,
    state: Path | None = None,
    **options: Unpack[TextFineTuneOptions],
) -> TrainedText:
    """Train a text classifier.

    Args:
        model: A classifier of `build_text_classifier`; trained in place, but for more than one run.
        train: Training texts.
        validation: Validation texts; may be empty.
        tokenizer: The backbone's tokeniser.
        average_runs: Trainings from the model's weights with seeds `seed`, `seed + 1`, ...; the model is the mean of
            the weights of those that help on the validation texts, and costs what one costs (see `greedy_soup`).
        seed: Seed of shuffling, augmentation and dropout.
        progress: Called after each batch with batches done, batches in all, and a text.
        log_directory: Where TensorBoard's scalars go; those of a further run go into `run_2`, `run_3` there.
        state: As for `train_on`; further runs keep theirs beside it.
        **options: The keyword arguments of `train_text`.

    Returns:
        The trained classifier; of several runs, the history is that of the best single one.

    Raises:
        ModelError: When the model cannot be adapted or trained so.

    Example:
        >>> plan = Optimization(epochs=1, learning_rate=3e-4, optimizer="adamw", schedule="cosine", warmup=0.1)
        >>> options = {"sequence_length": 32, "optimization": plan, "method": "lora"}
        >>> trained = fine_tune_text(text_classifier, intents.train, intents.validation, tokenizer, **options)
    """
    refuse_unknown("fine_tune_text", options, TextFineTuneOptions)
    if average_runs < 1:
        raise ModelError(f"average_runs must be 1 or more; got {average_runs}")
    began = time.perf_counter()
    runs = []
    few = calibration_tokens(train, tokenizer, sequence_length=options["sequence_length"], count=COMPARED_SAMPLES)
    for number in range(average_runs):
        logs = log_directory / f"run_{number + 1}" if log_directory and number else log_directory
        kept = state.with_name(f"{state.stem}_run_{number + 1}{state.suffix}") if state and number else state
        keras.utils.set_random_seed(seed + number)  # a copy's dropout draws seeds
        start = model if average_runs == 1 else copied(model, few)
        trained = train_text(
            start,
            train,
            validation,
            tokenizer,
            seed=seed + number,
            progress=progress_of_run(progress, number, average_runs),
            log_directory=logs,
            state=kept,
            **options,
        )
        runs.append(trained)
    if average_runs == 1:
        return runs[0]
    arrays = token_arrays(validation, tokenizer, sequence_length=options["sequence_length"])

    def score(trained: keras.Model) -> float:
        scores = KerasRuntime(trained).scores(arrays)
        return task_of(validation.labels).quality(validation.labels, scores, PLAIN).value

    averaged = average([run.model for run in runs], score if len(validation) else None)
    best = runs[averaged.best]
    notes = (*best.result.notes, averaged.note)
    result = replace(best.result, seconds=time.perf_counter() - began, notes=notes)
    return TrainedText(averaged.model, result, best.adaptation)


@takes_text
def train_text(
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
    solver: HeadSolver = "gradient",
    suspicious_labels: bool = False,
    objectives: TextObjectives | None = None,
    batch_size: int = 32,
    buckets: bool = True,
    augmentation: TextAugmentation | None = None,
    seed: int = 0,
    **options: Unpack[StepOptions],
) -> TrainedText:
    """Train a text classifier once.

    Args:
        model: A classifier of `build_text_classifier`.
        train: Training texts.
        validation: Validation texts; may be empty.
        tokenizer: The backbone's tokeniser.
        sequence_length: Tokens of a text at most, start and end included.
        optimization: How to step.
        method: What of the backbone learns; see `tfkit.models.text.adapt`. With `head` its features are computed once,
            and neither `augmentation`, `buckets` nor `objectives` means anything.
        layers: Of `last`: how many layers learn.
        rank: Of `lora` and `adapters`: the width of what is added.
        solver: Of `head`: as for `tfkit.training.train_head`.
        suspicious_labels: Of `head`: as for `tfkit.training.train_head`.
        objectives: Layer-wise learning rates, adversarial training, R-Drop; None for none.
        batch_size: Texts in a batch.
        buckets: Whether texts of like length are batched together, so that less padding is computed.
        augmentation: How training texts are varied.
        seed: Seed of shuffling, augmentation and dropout.
        **options: The further keyword arguments of `tfkit.training.train_batches`.

    Returns:
        The trained classifier.

    Raises:
        ModelError: When the model cannot be adapted or trained so.
        TrainingError: When several devices are given what they cannot train: see `refuse_together`.
    """
    refuse_unknown("train_text", options, StepOptions)
    keras.utils.set_random_seed(seed)
    adaptation = adapt(model, method, layers=layers, rank=rank, bottleneck=rank)
    if method == "head":
        result = _train_head(
            model,
            train,
            validation,
            tokenizer,
            options,
            sequence_length=sequence_length,
            batch_size=batch_size,
            seed=seed,
            optimization=optimization,
            solver=solver,
            suspicious_labels=suspicious_labels,
        )
    else:
        objectives = objectives or TextObjectives()
        if options.get("devices"):
            refuse_together(model, optimization, adversarial=objectives.adversarial is not None)
        if objectives.objective is not None:
            if options.get("objective") is not None:
                told = "; ".join(objectives.notes)
                raise ModelError(f"a teacher and {told} cannot go together: both change the loss", hint="leave one out")
            options["objective"] = objectives.objective
        result = train_on_texts(
            adaptation.model,
            train,
            validation,
            tokenizer,
            sequence_length=sequence_length,
            optimization=optimization,
            batch_size=batch_size,
            buckets=buckets,
            augmentation=augmentation,
            seed=seed,
            **options,
        )
        result = replace(result, notes=(*objectives.notes, *result.notes))
    result = replace(result, name="fine_tune", notes=(*adaptation.notes, *result.notes))
    few = calibration_tokens(train, tokenizer, sequence_length=sequence_length, count=COMPARED_SAMPLES)
    plain = merge_adaptation(adaptation.model, few) if method == "lora" else adaptation.model
    return TrainedText(plain, result, adaptation)


def train_on_texts(
    model: keras.Model,
    train: TextExamples,
    validation: TextExamples,
    tokenizer: Tokenizer,
    *,
    sequence_length: int,
    optimization: Optimization,
    batch_size: int = 32,
    buckets: bool = True,
    augmentation: TextAugmentation | None = None,
    seed: int = 0,
    **options: Unpack[StepOptions],
) -> StageResult:
    """Train whatever is trainable in a text classifier.

    Args:
        model: The classifier; trained in place.
        train: Training texts.
        validation: Validation texts; may be empty.
        tokenizer: The backbone's tokeniser.
        sequence_length: Tokens of a text at most, start and end included.
        optimization: How to step.
        batch_size: Texts in a batch.
        buckets: Whether texts of like length are batched together, so that less padding is computed.
        augmentation: How training texts are varied.
        seed: Seed of shuffling and augmentation.
        **options: The further keyword arguments of `tfkit.training.train_batches`.

    Returns:
        The course of the training.
    """
    refuse_unknown("train_on_texts", options, StepOptions)
    begin = saved_position(options.get("state"))
    batches = training_text_batches(
        train,
        tokenizer,
        sequence_length=sequence_length,
        batch_size=batch_size,
        buckets=buckets,
        seed=seed,
        augmentation=augmentation,
        first_epoch=begin.epoch,
        first_step=begin.step,
    )
    held_out = evaluation_text_batches(validation, tokenizer, sequence_length=sequence_length, buckets=buckets)
    return train_batches(
        model,
        batches,
        held_out if len(validation) else None,
        optimization=optimization,
        steps_per_epoch=-(-len(train) // batch_size),
        aim=aim_of(optimization, train),
        inputs=calibration_tokens(train, tokenizer, sequence_length=sequence_length, count=COMPARED_SAMPLES),
        **options,
    )


def _train_head(
    model: keras.Model,
    train: TextExamples,
    validation: TextExamples,
    tokenizer: Tokenizer,
    options: StepOptions,
    *,
    sequence_length: int,
    batch_size: int,
    seed: int,
    optimization: Optimization,
    solver: HeadSolver,
    suspicious_labels: bool,
) -> StageResult:
    began = time.perf_counter()

    def features(examples: TextExamples) -> Features:
        tokens = token_arrays(examples, tokenizer, sequence_length=sequence_length)
        targets = dense_targets(examples.labels, len(examples.class_names))
        return Features(pooled_features(model, tokens, progress=options.get("progress")), targets)

    share = share_to_choose_on(train, validation, solver, seed=seed)
    ordered = train if share is None else train.select(np.concatenate([share.kept, share.held_out]))
    seen = features(ordered)
    held_out = features(validation) if len(validation) else None
    note = f"the backbone's features were computed once, in {time.perf_counter() - began:.1f} s"
    course = learn_on_features(
        model,
        train,
        seen,
        held_out,
        share,
        suspicious_labels=suspicious_labels,
        optimization=optimization,
        solver=solver,
        batch_size=batch_size,
        seed=seed,
        log_directory=options.get("log_directory"),
        progress=options.get("progress"),
        callbacks=options.get("callbacks", ()),
    )
    return course.stage(model, note, time.perf_counter() - began)
