"""Batches of questions with their answers, to train and to validate on."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tfkit.data.pipeline import finish_batches, on_host
from tfkit.data.replies.examples import ReplyExamples


def reply_batches(
    examples: ReplyExamples,
    *,
    batch_size: int,
    seed: int | None,
    first_epoch: int = 0,
    first_step: int = 0,
) -> tf.data.Dataset:
    """Batches as long as the longest of all examples; each iteration over the data set is the next epoch.

    Args:
        examples: Questions with answers.
        batch_size: Examples in a batch; the last, smaller batch of an epoch is kept.
        seed: Of the order, which is another in each epoch; None keeps the examples' own.
        first_epoch, first_step: As for `training_text_batches`.

    Returns:
        A data set of ({`token_ids`, `answer_mask`}, next tokens), each int32 (batch, length).
    """
    longest = int(np.flatnonzero(examples.answer_mask.any(axis=0)).max()) + 1
    arrays = {"token_ids": examples.token_ids, "answer_mask": examples.answer_mask, "labels": examples.labels}
    tables = {name: on_host(array[:, :longest]) for name, array in arrays.items()}
    epoch, left_out = first_epoch, first_step * batch_size

    def order() -> Iterator[np.ndarray]:
        nonlocal epoch, left_out
        places = np.arange(len(examples))
        if seed is not None:
            places = np.random.default_rng((seed, epoch)).permutation(len(examples))
            epoch += 1
        begin, left_out = left_out, 0
        yield places[begin:]

    def batch(rows: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        found = {name: tf.gather(table, rows) for name, table in tables.items()}
        return {name: found[name] for name in ("token_ids", "answer_mask")}, found["labels"]

    places = tf.data.Dataset.from_generator(order, output_signature=tf.TensorSpec((None,), tf.int64)).unbatch()
    return finish_batches(places.batch(batch_size).map(batch), None if first_step else len(examples), batch_size)
