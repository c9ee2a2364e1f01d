"""What all stages share that train a compressed text classifier: its batches, and its teacher."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras

from tfkit.compression import FeaturePair, PreparedStage, distiller
from tfkit.data.text import TextAugmentation, TextExamples, Tokenizer, evaluation_text_batches, training_text_batches
from tfkit.models import logits_model
from tfkit.models.text import open_transformer
from tfkit.stages.outcome import CompressedStage, finished_stage
from tfkit.training import Optimization, class_weights, train_batches


@dataclass(frozen=True, eq=False, kw_only=True)
class TextTeacher:
    """Who teaches a smaller text classifier, and how; see `tfkit.compression.distiller`.

    Attributes:
        model: A float text classifier over the same tokens; it is not changed.
        temperature: How much its answers are softened.
        alpha: Share of its answers in the loss, 0 to 1.
        hidden_states: What the layers' results count beside the answers, where layers were removed or made narrower;
            0 leaves them out (Jiao et al. 2020, https://arxiv.org/abs/1909.10351).
    """

    model: keras.Model
    temperature: float = 4.0
    alpha: float = 0.5
    hidden_states: float = 0.0

    def objective(self, pairs: tuple[FeaturePair, ...] = ()) -> Callable[[keras.Model], keras.Model]:
        """What `train_batches` takes as its objective: it puts the student, an opened one, into a distiller."""
        teacher = logits_model(open_transformer(self.model))
        return partial(distiller, teacher=teacher, temperature=self.temperature, alpha=self.alpha, features=pairs)


def train_prepared_text(
    name: str,
    prepared: PreparedStage,
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
    **options: Any,
) -> CompressedStage:
    """Train what compression has made ready, and finish it.

    Args:
        name: The stage's name in reports.
        prepared: The opened text classifier to train.
        train: Training texts.
        validation: Validation texts; may be empty.
        tokenizer: The backbone's tokeniser.
        sequence_length: Tokens of a text at most, start and end included.
        optimization: How to step.
        batch_size: Texts in a batch.
        buckets: Whether texts of like length are batched together.
        augmentation: How training texts are varied.
        seed: Seed of shuffling and augmentation.
        **options: The further keyword arguments of `tfkit.training.train_batches`.

    Returns:
        The trained model.
    """
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
    return finished_stage(name, prepared, result)
