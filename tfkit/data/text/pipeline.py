"""Texts to batches: token ids made once, batches of texts of like length, the same for the same seed.

Attention costs the square of the padded length. Batches are therefore cut from the epoch's shuffled texts sorted by
length class, padded to the class's length only, and shuffled again; the few lengths that occur keep the number of
programs that XLA compiles small. All random choices are functions of (seed, epoch, text).
"""

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from tfkit.data.pipeline import finish_batches, on_host, rest_of_epoch, target_rows
from tfkit.data.splitting import spread_over_classes
from tfkit.data.text.augmentation import TextAugmentation
from tfkit.data.text.examples import TextExamples
from tfkit.data.text.tokenizer import Tokenizer
from tfkit.errors import DataError

_LENGTH_CLASSES = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384)

Inputs = dict[str, tf.Tensor]


def length_classes(sequence_length: int) -> tuple[int, ...]:
    """The padded lengths that batches may have, ascending; the last is `sequence_length`.

    Example:
        >>> length_classes(40)
        (8, 16, 24, 32, 40)
    """
    return (*(length for length in _LENGTH_CLASSES if length < sequence_length), sequence_length)


def training_text_batches(
    examples: TextExamples,
    tokenizer: Tokenizer,
    *,
    sequence_length: int,
    batch_size: int = 32,
    buckets: bool = True,
    seed: int = 0,
    augmentation: TextAugmentation | None = None,
    first_epoch: int = 0,
    first_step: int = 0,
) -> tf.data.Dataset:
    """Shuffled batches; each iteration over the data set is the next epoch.

    Args:
        examples: What to learn from.
        tokenizer: The model's tokeniser.
        sequence_length: Tokens a text at most, start and end included.
        batch_size: Examples a batch; the last, smaller batch of an epoch is kept.
        buckets: Whether batches hold texts of like length, padded to one of `length_classes` only; False pads
            all to `sequence_length`.
        seed: The same seed gives the same batches, run after run.
        augmentation: Changes texts anew each epoch; they are then tokenised in the pipeline, else once, now.
        first_epoch: The number of the first epoch, to go on with a run that was interrupted.
        first_step: Batches of that epoch that are left out; the data set then does not know how many it has.

    Returns:
        A data set of ({`token_ids`, `padding_mask`}, each int32 (batch, length)) and one-hot float32 (batch,
        classes).

    Raises:
        DataError: When there is no example, or the augmentation cannot be used.

    Example:
        >>> batches = training_text_batches(intents.train, tokenizer, sequence_length=32, batch_size=32)
        >>> text_classifier.compile("adam", "categorical_crossentropy")
        >>> history = text_classifier.fit(batches, epochs=1, verbose=0)
    """
    if not len(examples):
        raise DataError("there is no text to train on")
    if batch_size < 1:
        raise DataError(f"batch_size must be 1 or more; got {batch_size}")
    classes = np.array(length_classes(sequence_length) if buckets else (sequence_length,), np.int32)
    lengths = np.minimum(tokenizer.lengths(examples.texts), sequence_length)
    ranks = on_host(np.searchsorted(classes, lengths).astype(np.int32))
    rows = target_rows(examples.labels, len(examples.class_names))
    given = {"first_epoch": first_epoch, "left_out": first_step * batch_size}
    order = _epochs(ranks, batch_size=batch_size, seed=seed, **given).batch(batch_size)
    if augmentation is None:
        inputs = _stored(examples, tokenizer, sequence_length)
        batches = order.map(lambda _, chosen: (inputs(chosen), chosen), num_parallel_calls=tf.data.AUTOTUNE)
    else:
        changed = augmentation.in_pipeline(examples.texts, seed=seed)
        # One at a time: Python runs on one core anyhow, and the user's own function may not bear more.
        batches = order.map(lambda epoch, chosen: (changed(epoch, chosen), chosen)).map(
            lambda texts, chosen: (tokenizer.in_graph(texts, sequence_length=sequence_length), chosen),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
    lengths_of_classes = on_host(classes)
    finished = batches.map(
        lambda found, chosen: (trimmed(found, lengths_of_classes), rows(chosen)),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return finish_batches(finished, None if first_step else len(examples), batch_size)


def evaluation_text_batches(
    examples: TextExamples, tokenizer: Tokenizer, *, sequence_length: int, batch_size: int = 32, buckets: bool = False
) -> tf.data.Dataset:
    """Batches in the order of the examples, all padded to `sequence_length`; or in the order of their lengths.

    Args:
        examples: What to evaluate.
        tokenizer: The model's tokeniser.
        sequence_length: Tokens a text, start and end included.
        batch_size: Examples a batch; the last, smaller batch is kept.
        buckets: Whether batches hold texts of like length, padded to one of `length_classes` only.

    Returns:
        A data set as of `training_text_batches`.
    """
    inputs = _stored(examples, tokenizer, sequence_length)
    rows = target_rows(examples.labels, len(examples.class_names))
    lengths = tokenizer.lengths(examples.texts) if buckets else np.zeros(len(examples), np.int32)
    order = np.argsort(np.minimum(lengths, sequence_length), kind="stable")
    classes = on_host(np.array(length_classes(sequence_length) if buckets else (sequence_length,), np.int32))
    positions = tf.data.Dataset.from_tensor_slices(order).batch(batch_size)
    batches = positions.map(lambda chosen: (trimmed(inputs(chosen), classes), rows(chosen)))
    return finish_batches(batches, len(examples), batch_size)


def token_arrays(examples: TextExamples, tokenizer: Tokenizer, *, sequence_length: int) -> dict[str, np.ndarray]:
    """`token_ids` and `padding_mask` of all examples in order, each int32 (n, sequence_length)."""
    return tokenizer(examples.texts, sequence_length=sequence_length)


def calibration_tokens(
    examples: TextExamples, tokenizer: Tokenizer, *, sequence_length: int, count: int = 200, seed: int = 0
) -> dict[str, np.ndarray]:
    """Random texts, as many from each class as there are: chosen as `tfkit.data.calibration_pixels` chooses images.

    Args:
        examples: Where to take them from: the training split, never the one that is judged on.
        tokenizer: The model's tokeniser.
        sequence_length: Tokens of a text, start and end included.
        count: How many; all of them when there are fewer.
        seed: The same seed gives the same texts.

    Returns:
        `token_ids` and `padding_mask`, each int32 (n, sequence_length).

    Example:
        >>> calibration_tokens(intents.train, tokenizer, sequence_length=32, count=10)["token_ids"].shape
        (10, 32)
    """
    chosen = spread_over_classes(examples.labels, count=count, seed=seed)
    return token_arrays(examples.select(chosen), tokenizer, sequence_length=sequence_length)


def _stored(examples: TextExamples, tokenizer: Tokenizer, sequence_length: int) -> Callable[[tf.Tensor], Inputs]:
    arrays = token_arrays(examples, tokenizer, sequence_length=sequence_length)
    tensors = {key: on_host(array) for key, array in arrays.items()}
    return lambda positions: {key: tf.gather(tensor, positions) for key, tensor in tensors.items()}


def trimmed(inputs: Inputs, classes: tf.Tensor) -> Inputs:
    """Without the columns that are padding in every row, down to the next length class."""
    longest = tf.reduce_max(tf.reduce_sum(inputs["padding_mask"], axis=1))
    length = tf.gather(classes, tf.searchsorted(classes, longest[None])[0])
    return {key: tensor[:, :length] for key, tensor in inputs.items()}


def _epochs(ranks: tf.Tensor, *, batch_size: int, seed: int, first_epoch: int, left_out: int) -> tf.data.Dataset:
    """(epoch, position) of each example of an epoch, batch after batch; the next iteration gives the next epoch."""
    with tf.device("CPU:0"):
        epoch_number = tf.Variable(first_epoch - 1, dtype=tf.int64, trainable=False, name="epoch")
    count = int(ranks.shape[0])
    whole = count // batch_size * batch_size

    def positions(_: tf.Tensor) -> tf.data.Dataset:
        epoch = epoch_number.assign_add(1)
        seeds = tf.random.split(tf.random.fold_in(tf.constant([seed, 1], tf.int64), epoch))
        shuffled = tf.random.experimental.stateless_shuffle(tf.range(count, dtype=tf.int64), seed=seeds[0])
        # What fills no whole batch is taken off before sorting: else it would always be the longest texts.
        body, rest = shuffled[:whole], shuffled[whole:]
        by_length = tf.gather(body, tf.argsort(tf.gather(ranks, body), stable=True))
        batches = tf.reshape(by_length, [-1, batch_size])
        batches = tf.random.experimental.stateless_shuffle(batches, seed=seeds[1])
        chosen = tf.concat([tf.reshape(batches, [-1]), rest], axis=0)
        rows = (tf.fill([count], epoch), chosen)
        return tf.data.Dataset.from_tensor_slices(
            rest_of_epoch(rows, epoch, first_epoch=first_epoch, left_out=left_out)
        )

    return tf.data.Dataset.range(1).flat_map(positions)


def pair_batches(
    anchors: TextExamples,
    partners: TextExamples,
    tokenizer: Tokenizer,
    *,
    sequence_length: int,
    batch_size: int = 32,
    seed: int = 0,
    repeats: bool = False,
    first_epoch: int = 0,
    first_step: int = 0,
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
        first_epoch, first_step: As for `training_text_batches`.

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

    given = {"first_epoch": first_epoch, "left_out": first_step * batch_size}
    epochs = _Epochs(anchors, partners, seed=seed, repeats=repeats, **given)
    row = tf.TensorSpec((None,), tf.int64)
    positions = tf.data.Dataset.from_generator(epochs.draw, output_signature=(row, row)).unbatch()
    batches = positions.batch(batch_size, drop_remainder=True).map(batch, num_parallel_calls=tf.data.AUTOTUNE)
    return finish_batches(batches, None if first_step else len(anchors) // batch_size * batch_size, batch_size)


def label_texts(examples: TextExamples) -> TextExamples:
    """The labels as texts of their own, one for each class, for data whose labels are answers or passages."""
    names = examples.class_names
    return TextExamples(names, np.arange(len(names), dtype=np.int32), names, names)


class _Epochs:
    """The order of the anchors and a partner for each, drawn anew in every epoch unless it repeats."""

    def __init__(
        self,
        anchors: TextExamples,
        partners: TextExamples,
        *,
        seed: int,
        repeats: bool,
        first_epoch: int,
        left_out: int,
    ) -> None:
        self._labels = anchors.labels
        self._members = [np.flatnonzero(partners.labels == number) for number in range(len(partners.class_names))]
        self._one_set = anchors is partners
        self._seed, self._repeats, self._epoch = seed, repeats, first_epoch
        self._left_out = left_out

    def draw(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        random = np.random.default_rng((self._seed, self._epoch))
        self._epoch += not self._repeats
        order = random.permutation(len(self._labels))
        partners = np.array([self._partner(anchor, random) for anchor in order])
        begin, self._left_out = self._left_out, 0
        yield order[begin:], partners[begin:]

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
