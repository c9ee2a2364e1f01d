"""Contrastive training of a text embedder: texts that belong together are brought near, others of the batch apart."""

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import Unpack

import keras
from keras import ops

from tfkit.arguments import takes_text
from tfkit.data.text import TextExamples, Tokenizer, calibration_tokens, pair_batches
from tfkit.errors import ModelError
from tfkit.graph import COMPARED_SAMPLES
from tfkit.keras_types import Tensor
from tfkit.models.text import Adaptation, adapt, merge_adaptation
from tfkit.models.text.adaptation import Method
from tfkit.training.fine_tune import train_batches
from tfkit.training.going_on import saved_position
from tfkit.training.optimization import Optimization
from tfkit.training.options import StepOptions, refuse_unknown
from tfkit.training.result import StageResult

_NEVER = -1e9


class InBatchNegatives(keras.Model):
    """A model around an embedder that gives each anchor's cosines with the batch's partners; `fit` this, save that.

    The loss on them is the multiple negatives ranking loss (Henderson et al. 2017, arXiv:1705.00652): a softmax over
    the batch, in which an anchor's own partner is to be the nearest. Partners with the anchor's own label are no
    negatives and are left out.

    Args:
        embedder: What `build_text_embedder` gave.
        temperature: What the cosines are divided by; the smaller, the more the nearest rivals count.

    Example:
        >>> around = InBatchNegatives(embedder, temperature=0.05)
    """

    def __init__(self, embedder: keras.Model, *, temperature: float) -> None:
        super().__init__(name=embedder.name)
        self.embedder, self.temperature = embedder, temperature
        self.built = True

    def call(self, inputs: dict[str, Tensor], training: bool | None = None) -> Tensor:
        tokens = {name: values for name, values in inputs.items() if name != "groups"}
        vectors = self.embedder(tokens, training=training)
        anchors, partners = ops.split(vectors, 2, axis=0)
        logits = ops.matmul(anchors, ops.transpose(partners)) / self.temperature
        groups = inputs["groups"]
        same = ops.equal(groups[:, None], groups[None, :])
        own = ops.eye(ops.shape(groups)[0], dtype="bool")
        return ops.where(ops.logical_and(same, ops.logical_not(own)), _NEVER, logits)


@dataclass(frozen=True, eq=False)
class TrainedEmbedder:
    """A trained text embedder and how it came to be.

    Attributes:
        model: The embedder, plain again: low-rank updates are merged into its kernels.
        result: The course of the training; its accuracy is the share of anchors whose partner was the nearest one.
        adaptation: What learned.
    """

    model: keras.Model
    result: StageResult
    adaptation: Adaptation


@takes_text
def train_embedder(
    model: keras.Model,
    train: TextExamples,
    validation: TextExamples,
    tokenizer: Tokenizer,
    *,
    sequence_length: int,
    optimization: Optimization,
    partners: TextExamples | None = None,
    temperature: float = 0.05,
    method: Method = "all",
    layers: int = 2,
    rank: int = 8,
    batch_size: int = 32,
    seed: int = 0,
    **options: Unpack[StepOptions],
) -> TrainedEmbedder:
    """Train a text embedder on texts with labels, or with the texts that answer them.

    Args:
        model: What `build_text_embedder` gave.
        train: Training texts; those with the same label belong together.
        validation: Validation texts; fewer than two validate nothing.
        tokenizer: The backbone's tokeniser.
        sequence_length: Tokens of a text at most, start and end included.
        optimization: How to step.
        partners: What a text is brought near to: None for other training texts with its label, or `label_texts`.
        temperature: What cosines are divided by before the softmax.
        method: What of the backbone learns; see `tfkit.models.text.adapt`. An embedder has no head, so not `head`.
        layers: Of `last`: how many layers learn.
        rank: Of `lora` and `adapters`: the width of what is added.
        batch_size: Pairs in a batch; the more, the more there is to tell apart.
        seed: Seed of the pairs, their order and dropout.
        **options: The further keyword arguments of `tfkit.training.train_batches`.

    Returns:
        The trained embedder.

    Raises:
        DataError: When no pairs can be made.
        ModelError: When the model cannot be adapted so.

    Example:
        >>> plan = Optimization(epochs=1, learning_rate=1e-3, optimizer="adamw", schedule="cosine", warmup=0.1)
        >>> options = {"sequence_length": 32, "optimization": plan, "batch_size": 64}
        >>> trained = train_embedder(embedder, intents.train, intents.validation, tokenizer, **options)
    """
    refuse_unknown("train_embedder", options, StepOptions)
    if method == "head":
        raise ModelError("an embedder has no head to train alone", hint="method all, last, lora, adapters or bitfit")
    keras.utils.set_random_seed(seed)
    partners = train if partners is None else partners
    pairs = partial(
        pair_batches,
        partners=partners,
        tokenizer=tokenizer,
        sequence_length=sequence_length,
        batch_size=batch_size,
        seed=seed,
    )
    begin = saved_position(options.get("state"))
    batches = pairs(train, first_epoch=begin.epoch, first_step=begin.step)
    enough = len(set(validation.labels.tolist())) > 1
    held_out = pairs(validation, repeats=True) if enough else None
    adaptation = adapt(model, method, layers=layers, rank=rank, bottleneck=rank)
    few = calibration_tokens(train, tokenizer, sequence_length=sequence_length, count=COMPARED_SAMPLES)
    result = train_batches(
        adaptation.model,
        batches,
        held_out,
        optimization=optimization,
        steps_per_epoch=max(1, len(train) // batch_size),
        inputs=few,
        logits=lambda embedder: InBatchNegatives(embedder, temperature=temperature),
        **options,
    )
    result = dataclasses.replace(result, name="fine_tune", notes=(*adaptation.notes, *result.notes))
    plain = merge_adaptation(adaptation.model, few) if method == "lora" else adaptation.model
    return TrainedEmbedder(plain, result, adaptation)
