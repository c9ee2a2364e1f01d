"""What a training minimises and what it shows, from the task of its examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np

from tfkit.errors import DataError
from tfkit.tasks import CLASSIFICATION, Task, task_of
from tfkit.training.optimization import Optimization, class_weights

if TYPE_CHECKING:
    from tfkit.data import Examples


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
