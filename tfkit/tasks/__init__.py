"""What is asked of a model: one class of several, several labels, or numbers."""

import numpy as np

from tfkit.artifacts import TaskName
from tfkit.data.targets import target_kind
from tfkit.tasks.classification import CLASSIFICATION
from tfkit.tasks.multilabel import MULTILABEL
from tfkit.tasks.regression import REGRESSION
from tfkit.tasks.task import PLAIN, Decision, Quality, Task

TASKS = (CLASSIFICATION, MULTILABEL, REGRESSION)

__all__ = [
    "CLASSIFICATION",
    "MULTILABEL",
    "PLAIN",
    "REGRESSION",
    "TASKS",
    "Decision",
    "Quality",
    "Task",
    "task_named",
    "task_of",
]


def task_named(name: TaskName) -> Task:
    """The task of a manifest or a recipe."""
    return next(task for task in TASKS if task.name == name)


def task_of(labels: np.ndarray) -> Task:
    """The task that an array of labels is of; see `tfkit.data.targets`."""
    return next(task for task in TASKS if task.targets == target_kind(labels))
