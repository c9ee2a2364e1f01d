"""Pairs of texts that mean the same, in batches whose other texts stand for what does not.

Input of contrastive training: the first half of a batch's texts are anchors, the second half their partners.
"""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tfkit.data.pipeline import finish_batches, on_host
from tfkit.data.text.examples import TextExamples
from tfkit.data.text.pipeline import length_classes, token_arrays, trimmed
from tfkit.data.text.tokenizer import Tokenizer
from tfkit.errors import DataError


def pair_batches(
    anchors: TextExamples,
    partners: TextExamples,
    tokenizer: Tokenizer,
    *,
    sequence_length: int,
    batch_size: int = 32,
    seed: int = 0,
    repeats: bool = False,
) -> tf.data.Dataset:
    """Shuffled batches of pairs: each text with another one of the same label.

    Args:
        anchors: The texts. Each is an anchor once in an epoch, but for those that fill no batch.
        partners: Where partners come from: the same texts, the training texts for anchors of another split, or
            `label_texts` where labels are texts themselves (answers, passages). A text that is alone with its label
            is its own partner; dropout then makes two of it (Gao et al. 2021, arXiv:2104.08821).
        tokenizer: The model's tokeniser.
        sequence_length: Tokens of a text at most, start and end included.
        batch_size: Pairs in a batch, which are each other's negatives; fewer where there are fewer anchors.
        seed: The same seed gives the same batches.
        repeats: Whether each iteration gives the same batches, for validation, not the next epoch with other partners.

    Returns:
        A data set of ({`token_ids`, `padding_mask`: int32 (2 * batch, length), `groups`: int32 (batch,)}, float32
        (batch, batch)): anchors and then partners, the label of each pair, and the identity matrix as target.

    Raises:
        DataError: When there are too few texts, or only one label, to tell anything apart.

    Example:
        >>> batches = pair_batches(intents.train, intents.train, tokenizer, sequence_length=32, batch_size=64)
    """
    batch_size = min(batch_size, len(anchors))
    _refuse_too_little(anchors, batch_size)
    sides = [
        {name: on_host(array) for name, array in token_arrays(side, tokenizer, sequence_length=sequence_length).items()}
        for side in (anchors, partners)
    ]
    labels, lengths = on_host(anchors.labels), on_host(np.array(length_classes(sequence_length), np.int32))
    target = on_host(np.eye(batch_size, dtype=np.float32))

    def batch(first: tf.Tensor, second: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        chosen = zip(sides, (first, second), strict=True)
        halves = [{name: tf.gather(table, rows) for name, table in side.items()} for side, rows in chosen]
        both = {name: tf.concat([half[name] for half in halves], axis=0) for name in halves[0]}
        return trimmed(both, lengths) | {"groups": tf.gather(labels, first)}, target

    epochs = _Epochs(anchors, partners, seed=seed, repeats=repeats)
    row = tf.TensorSpec((len(anchors),), tf.int64)
    positions = tf.data.Dataset.from_generator(epochs.draw, output_signature=(row, row)).unbatch()
    batches = positions.batch(batch_size, drop_remainder=True).map(batch, num_parallel_calls=tf.data.AUTOTUNE)
    return finish_batches(batches, len(anchors) // batch_size * batch_size, batch_size)


def label_texts(examples: TextExamples) -> TextExamples:
    """The labels as texts of their own, one for each class, for data whose labels are answers or passages."""
    names = examples.class_names
    return TextExamples(names, np.arange(len(names), dtype=np.int32), names, names)


class _Epochs:
    """The order of the anchors and a partner for each, drawn anew in every epoch unless it repeats."""

    def __init__(self, anchors: TextExamples, partners: TextExamples, *, seed: int, repeats: bool) -> None:
        self._labels = anchors.labels
        self._members = [np.flatnonzero(partners.labels == number) for number in range(len(partners.class_names))]
        self._one_set = anchors is partners
        self._seed, self._repeats, self._epoch = seed, repeats, 0

    def draw(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        random = np.random.default_rng((self._seed, self._epoch))
        self._epoch += not self._repeats
        order = random.permutation(len(self._labels))
        yield order, np.array([self._partner(anchor, random) for anchor in order])

    def _partner(self, anchor: int, random: np.random.Generator) -> int:
        possible = self._members[self._labels[anchor]]
        if self._one_set and len(possible) > 1:
            possible = possible[possible != anchor]
        return int(random.choice(possible))


def _refuse_too_little(anchors: TextExamples, batch_size: int) -> None:
    faults = []
    if batch_size < 2:
        faults.append(f"a batch needs 2 pairs or more, which are each other's negatives; got {batch_size}")
    if len(np.unique(anchors.labels)) < 2:
        faults.append("the texts have one label only, so that there is nothing to tell apart")
    if faults:
        raise DataError("no pairs can be made: " + "; ".join(faults))
