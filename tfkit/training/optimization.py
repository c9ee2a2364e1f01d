"""How weights are moved, and towards what: optimizer, learning rate, weight of each class, loss and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import keras
import numpy as np
from sklearn.utils.class_weight import compute_class_weight

from tfkit.arguments import fields_take_text
from tfkit.data import Examples
from tfkit.errors import DataError
from tfkit.keras_types import LayerConfig, Tensor
from tfkit.tasks import CLASSIFICATION, Task, task_of

if TYPE_CHECKING:
    from tfkit.data import Examples


OptimizerName = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "cosine", "linear"]


@fields_take_text
@dataclass(frozen=True)
class Optimization:
    """Everything about a stage's steps that is not about its images.

    Attributes:
        epochs: Passes over the training images.
        learning_rate: Peak learning rate.
        optimizer: `adam`, `adamw` or `sgd` (with Nesterov momentum 0.9).
        weight_decay: Decoupled weight decay (Loshchilov & Hutter, arXiv:1711.05101).
        schedule: `constant`, or down to 0: `cosine` (arXiv:1608.03983, without restarts) or `linear` (as BERT was
            trained, arXiv:1810.04805).
        warmup: Share of the steps over which the learning rate rises linearly from 0, in [0, 1).
        label_smoothing: Share of the target spread over all classes (arXiv:1512.00567), in [0, 1).
        class_weights: None, `balanced` (inverse frequency), or a weight by class name; names left out weigh 1.
        early_stopping: Epochs without a better validation loss before stopping; the best weights come back. None
            trains to the end and keeps the last ones.
        ema: Momentum of an exponential moving average of the weights, which is then what is kept; None for none.
        gradient_accumulation: Batches whose gradients are averaged into one step.

    Example:
        >>> Optimization(epochs=3, learning_rate=1e-3, schedule="cosine", warmup=0.1).optimizer
        'adam'
    """

    epochs: int
    learning_rate: float
    optimizer: OptimizerName = "adam"
    weight_decay: float = 0.0
    schedule: Schedule = "constant"
    warmup: float = 0.0
    label_smoothing: float = 0.0
    class_weights: Literal["balanced"] | Mapping[str, float] | None = None
    early_stopping: int | None = None
    ema: float | None = None
    gradient_accumulation: int = 1


@keras.saving.register_keras_serializable(package="tfkit")
class LinearDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises from 0 in a straight line, and falls to 0 in another.

    Args:
        peak: The highest learning rate.
        steps: Steps until it is 0 again; it stays there.
        warmup_steps: Steps until the peak, fewer than `steps`.
    """

    def __init__(self, peak: float, *, steps: int, warmup_steps: int = 0) -> None:
        self.peak, self.steps, self.warmup_steps = peak, steps, warmup_steps

    def __call__(self, step: int | Tensor) -> Tensor:
        done = keras.ops.cast(step, "float32")
        share = keras.ops.maximum(self.steps - done, 0.0) / max(1, self.steps - self.warmup_steps)
        if self.warmup_steps:
            share = keras.ops.minimum(share, done / self.warmup_steps)
        return self.peak * share

    def get_config(self) -> LayerConfig:
        return {"peak": self.peak, "steps": self.steps, "warmup_steps": self.warmup_steps}


def build_optimizer(optimization: Optimization, *, steps: int) -> keras.optimizers.Optimizer:
    """Build the optimizer of a stage.

    Args:
        optimization: What was asked for.
        steps: Number of batches in the whole stage.

    Returns:
        A Keras optimizer.

    Example:
        >>> type(build_optimizer(Optimization(epochs=1, learning_rate=1e-3), steps=10)).__name__
        'Adam'
    """
    options: dict[str, object] = {"learning_rate": _learning_rate(optimization, steps)}
    if optimization.weight_decay:
        options["weight_decay"] = optimization.weight_decay
    if optimization.ema is not None:
        options |= {"use_ema": True, "ema_momentum": optimization.ema}
    if optimization.gradient_accumulation > 1:
        options["gradient_accumulation_steps"] = optimization.gradient_accumulation
    if optimization.optimizer == "sgd":
        return keras.optimizers.SGD(momentum=0.9, nesterov=True, **options)
    kinds = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW}
    return kinds[optimization.optimizer](**options)


def class_weights(optimization: Optimization, examples: Examples) -> dict[int, float] | None:
    """The weight of each class in the loss.

    Args:
        optimization: What was asked for.
        examples: The training images or texts.

    Returns:
        Weight by class index as Keras's `fit` takes it, or None when all weigh the same.

    Raises:
        DataError: When a weight is given for a class that the data do not have.

    Example:
        >>> class_weights(Optimization(epochs=1, learning_rate=1e-3, class_weights="balanced"), splits.train)
        {0: 1.0, 1: 1.0}
    """
    wanted = optimization.class_weights
    names = examples.class_names
    if wanted is None:
        return None
    if isinstance(wanted, str):
        balanced = compute_class_weight("balanced", classes=np.arange(len(names)), y=examples.labels)
        return {index: float(weight) for index, weight in enumerate(balanced)}
    if unknown := sorted(set(wanted) - set(names)):
        raise DataError(
            f"class_weights names classes that the data do not have: {', '.join(unknown)}",
            hint="the classes are: " + ", ".join(names),
        )
    return {index: float(wanted.get(name, 1.0)) for index, name in enumerate(names)}


def _learning_rate(optimization: Optimization, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    warmup_steps = round(optimization.warmup * steps)
    if optimization.schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup_steps else optimization.learning_rate,
            decay_steps=max(1, steps - warmup_steps),
            warmup_target=optimization.learning_rate if warmup_steps else None,
            warmup_steps=warmup_steps,
        )
    if optimization.schedule == "linear":
        return LinearDecay(optimization.learning_rate, steps=steps, warmup_steps=warmup_steps)
    if warmup_steps:
        return keras.optimizers.schedules.PolynomialDecay(
            initial_learning_rate=0.0, decay_steps=warmup_steps, end_learning_rate=optimization.learning_rate
        )
    return optimization.learning_rate


@dataclass(frozen=True)
class Aim:
    """What `fit` is given.

    Attributes:
        loss: A Keras loss on logits.
        metrics: Keras metrics on logits.
        class_weight: Weight by class index; None when all weigh the same.
    """

    loss: keras.losses.Loss
    metrics: tuple[keras.metrics.Metric, ...]
    class_weight: dict[int, float] | None = None


def aim_of(optimization: Optimization, train: Examples) -> Aim:
    """The aim of training on some examples.

    Args:
        optimization: Its label smoothing and class weights.
        train: The training images or texts; their labels say the task.

    Raises:
        DataError: When classes are weighed, or labels smoothed, that are none.
    """
    task = task_of(train.labels)
    if task is not CLASSIFICATION and optimization.class_weights is not None:
        raise DataError(f"class_weights is for one class of several; this is {task.title}", hint="leave it out")
    weights = class_weights(optimization, train) if task is CLASSIFICATION else None
    return _aim(task, train.labels, optimization, weights)


def plain_aim(optimization: Optimization) -> Aim:
    """The aim of telling classes apart that all weigh the same."""
    return _aim(CLASSIFICATION, np.zeros(0, np.int32), optimization, None)


def _aim(task: Task, labels: np.ndarray, optimization: Optimization, weights: dict[int, float] | None) -> Aim:
    objective = task.learned_from_labels()
    return Aim(objective.loss(labels, optimization.label_smoothing), tuple(objective.metrics()), weights)
