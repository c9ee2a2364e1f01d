"""Training an integer file against a float one: its answers on pictures that need no labels."""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfkit.errors import DataError
from tfkit.file_tuning.model import IntegerFileModel

_HELD_OUT = 0.2  # of the pictures: they choose the epoch
_LEAST = 10
_SCALES = 0.01  # of the learning rate: a scale moves all weights of a channel at once


@dataclass(frozen=True)
class Tuning:
    """How it is trained.

    Attributes:
        epochs: Passes over the pictures.
        learning_rate: Of weights in the file's steps, and of biases in the output's, at the start; it falls to 0.
        batch_size: Pictures at a time.
        temperature: What the teacher's and the student's logits are divided by.
        seed: Of what is held out and of the order.
    """

    epochs: int = 10
    learning_rate: float = 0.01
    batch_size: int = 16
    temperature: float = 2.0
    seed: int = 0


@dataclass(frozen=True)
class Tuned:
    """What came of it.

    Attributes:
        losses: Of held-out pictures: before training, then after each epoch.
        best: Which of these the model has now; 0 where training made nothing better.
        trained: Pictures that were learned from.
        held_out: Pictures that chose the epoch.
    """

    losses: tuple[float, ...]
    best: int
    trained: int
    held_out: int


def tune(
    model: IntegerFileModel,
    inputs: NDArray[np.generic],
    teacher: NDArray[np.float32],
    plan: Tuning = Tuning(),
    *,
    progress: Callable[[int, int, str], None] | None = None,
) -> Tuned:
    """Train a file's kernels, scales and biases until it answers as the teacher does.

    The loss is the divergence of the softmax of its logits from the teacher's scores (Hinton et al. 2015,
    arXiv:1503.02531); where the file ends in no softmax or sigmoid, squared differences. Scales learn with the weights
    (Esser et al. 2020, arXiv:1902.08153). The epoch that is nearest to the teacher on a fifth of the pictures is kept.

    Args:
        model: From `read_integer_file`; it is trained in place.
        inputs: The file's input integers for n pictures, (n, height, width, channels).
        teacher: What the float model answers to them, float32 (n, k).
        plan: How.
        progress: Called with epochs done, epochs in all, and the loss in words.

    Returns:
        What came of it.

    Raises:
        DataError: When there are fewer than 10 pictures.
    """
    if len(inputs) < _LEAST:
        raise DataError(f"there are {len(inputs)} pictures to learn from", hint=f"give {_LEAST} or more, best hundreds")
    keras.utils.set_random_seed(plan.seed)
    known, learned = held_out(len(inputs), plan)
    steps = plan.epochs * -(-len(learned) // plan.batch_size)
    step = _Step(model, plan, steps)
    losses = [step.loss_of(inputs[known], teacher[known])]
    best, kept = 0, model.get_weights()
    rng = np.random.default_rng(plan.seed + 1)
    for epoch in range(plan.epochs):
        for places in np.array_split(rng.permutation(learned), -(-len(learned) // plan.batch_size)):
            step.learn(tf.constant(inputs[places], tf.float32), tf.constant(teacher[places]))
        losses.append(step.loss_of(inputs[known], teacher[known]))
        if np.isfinite(losses[-1]) and losses[-1] < min(losses[:-1]):
            best, kept = epoch + 1, model.get_weights()
        if progress is not None:
            progress(epoch + 1, plan.epochs, f"held out {losses[-1]:.4f}, at first {losses[0]:.4f}")
    model.set_weights(kept)
    return Tuned(tuple(losses), best, len(learned), len(known))


def held_out(count: int, plan: Tuning) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The places of pictures that choose the epoch, and of those that are learned from."""
    order = np.random.default_rng(plan.seed).permutation(count)
    held = max(2, round(_HELD_OUT * count))
    return order[:held], order[held:]


class _Step:
    """One step of training, and the loss without one."""

    def __init__(self, model: IntegerFileModel, plan: Tuning, steps: int) -> None:
        self._model, self._plan = model, plan
        rate = keras.optimizers.schedules.CosineDecay(plan.learning_rate, max(1, steps))
        slow = keras.optimizers.schedules.CosineDecay(plan.learning_rate * _SCALES, max(1, steps))
        scales = {id(variable) for variable in model.scales.values()}
        weights = [variable for variable in model.trainable_variables if id(variable) not in scales]
        self._groups = [
            (keras.optimizers.Adam(rate, global_clipnorm=1.0), weights),
            (keras.optimizers.Adam(slow, global_clipnorm=1.0), list(model.scales.values())),
        ]
        for optimizer, variables in self._groups:
            optimizer.build(variables)
        self.learn = tf.function(self._learn, reduce_retracing=True)
        self._judge = tf.function(self._loss, reduce_retracing=True)

    def loss_of(self, inputs: NDArray[np.generic], teacher: NDArray[np.float32]) -> float:
        """The mean loss of pictures that are not learned from."""
        size, found = self._plan.batch_size, []
        for start in range(0, len(inputs), size):
            part = tf.constant(inputs[start : start + size], tf.float32)
            found += [float(self._judge(part, tf.constant(teacher[start : start + size])))] * len(part)
        return float(np.mean(found))

    def _loss(self, inputs: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
        logits, heat = self._model.logits(inputs), self._plan.temperature
        if not self._model.ends_in_function:
            return tf.reduce_mean(tf.square(logits - teacher))
        if self._model.ends_in_sigmoid:
            wanted = tf.clip_by_value(teacher, 1e-6, 1 - 1e-6)
            return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(wanted, logits))
        wanted = tf.nn.softmax(tf.math.log(tf.maximum(teacher, 1e-9)) / heat)
        told = tf.nn.log_softmax(logits / heat)
        known = tf.math.log(tf.maximum(wanted, 1e-9))
        return heat**2 * tf.reduce_mean(tf.reduce_sum(wanted * (known - told), axis=-1))

    def _learn(self, inputs: tf.Tensor, teacher: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            loss = self._loss(inputs, teacher)
        variables = [variables for _, variables in self._groups]
        for (optimizer, group), slopes in zip(self._groups, tape.gradient(loss, variables), strict=True):
            optimizer.apply(slopes, group)
