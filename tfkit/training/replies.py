"""Training of a language model on questions and their answers: every token of an answer is to become likelier."""

import dataclasses
from typing import Unpack

import keras
from keras import ops

from tfkit.data.replies import ReplyExamples
from tfkit.data.replies.batches import reply_batches
from tfkit.keras_types import Tensor
from tfkit.models.text.language_model import LanguageModel, learn_by, without_low_rank
from tfkit.training.fine_tune import train_batches
from tfkit.training.going_on import saved_position
from tfkit.training.optimization import Aim, Optimization
from tfkit.training.options import StepOptions, refuse_unknown
from tfkit.training.result import StageResult


@dataclasses.dataclass(frozen=True, eq=False)
class TrainedLanguageModel:
    """A trained language model and how it came to be.

    Attributes:
        model: The model; low-rank updates are added to its kernels.
        result: The course of the training. Its losses are the mean negative log-likelihood of an answer's token.
    """

    model: LanguageModel
    result: StageResult


def answer_loss(labels: Tensor, scores: Tensor) -> Tensor:
    """The mean negative log-likelihood of the answers' tokens in a batch.

    Args:
        labels: int32 (n, length), -1 where no token of an answer comes next.
        scores: float32 (n, length, 2), what `LanguageModel` gives.
    """
    asked = ops.cast(ops.greater_equal(labels, 0), scores.dtype)
    return -ops.sum(scores[..., 0] * asked) / ops.maximum(ops.sum(asked), 1.0)


def right_tokens(labels: Tensor, scores: Tensor) -> Tensor:
    """The share of the answers' tokens that were found likeliest, for each example."""
    asked = ops.cast(ops.greater_equal(labels, 0), scores.dtype)
    right = ops.cast(ops.equal(ops.cast(labels, scores.dtype), scores[..., 1]), scores.dtype) * asked
    return ops.sum(right, axis=-1) / ops.maximum(ops.sum(asked, axis=-1), 1.0)


def train_language_model(
    model: LanguageModel,
    train: ReplyExamples,
    validation: ReplyExamples,
    *,
    optimization: Optimization,
    rank: int | None = None,
    batch_size: int = 16,
    seed: int = 0,
    **options: Unpack[StepOptions],
) -> TrainedLanguageModel:
    """Train a language model to answer; questions and what stands around them are read and not learned.

    Args:
        model: The model; trained in place.
        train: Training questions with answers.
        validation: Validation questions; none validates nothing.
        optimization: How to step.
        rank: Of low-rank updates, which alone then learn; None trains everything.
        batch_size: Questions in a batch.
        seed: Seed of their order.
        **options: The further keyword arguments of `tfkit.training.train_batches`.

    Returns:
        The trained model.

    Example:
        >>> train_language_model(model, some.train, some.validation, optimization=plan)  # doctest: +SKIP
    """
    refuse_unknown("train_language_model", options, StepOptions)
    keras.utils.set_random_seed(seed)
    begin = saved_position(options.get("state"))
    given = {"batch_size": batch_size, "first_epoch": begin.epoch, "first_step": begin.step}
    learning = learn_by(model, rank)
    metrics = (keras.metrics.MeanMetricWrapper(right_tokens, name="accuracy"),)
    result = train_batches(
        model,
        reply_batches(train, seed=seed, **given),
        reply_batches(validation, batch_size=batch_size, seed=None) if len(validation) else None,
        optimization=optimization,
        steps_per_epoch=-(-len(train) // batch_size),
        aim=Aim(answer_loss, metrics),
        logits=lambda whole: keras.Model(whole.input, whole.output),  # a shell: the model keeps no optimizer
        **options,
    )
    notes = (learning.note, *result.notes)
    result = dataclasses.replace(result, name="fine_tune", notes=notes, trainable_parameters=learning.trainable)
    return TrainedLanguageModel(without_low_rank(model), result)
