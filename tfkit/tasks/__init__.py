"""What is asked of a model: a class, labels, numbers, a vector, masks, boxes, a list of items, or a text."""

import numpy as np

from tfkit.artifacts import TaskName
from tfkit.data.target_kinds import kind_of
from tfkit.errors import ModelError
from tfkit.tasks.classification import CLASSIFICATION
from tfkit.tasks.detection import DETECTION
from tfkit.tasks.embedding import EMBEDDING
from tfkit.tasks.generation import GENERATION
from tfkit.tasks.multilabel import MULTILABEL
from tfkit.tasks.ranking import RANKING
from tfkit.tasks.regression import REGRESSION
from tfkit.tasks.segmentation import SEGMENTATION
from tfkit.tasks.task import PLAIN, Decision, Objective, Quality, Task

TASKS = (CLASSIFICATION, MULTILABEL, REGRESSION, EMBEDDING, SEGMENTATION, DETECTION, RANKING, GENERATION)

__all__ = [
    "CLASSIFICATION",
    "DETECTION",
    "EMBEDDING",
    "GENERATION",
    "MULTILABEL",
    "PLAIN",
    "RANKING",
    "REGRESSION",
    "SEGMENTATION",
    "TASKS",
    "Decision",
    "Objective",
    "Quality",
    "Task",
    "task_named",
    "task_of",
]


def task_named(name: TaskName) -> Task:
    """The task of a manifest or a recipe.

    Raises:
        ModelError: When there is none of this name.

    Example:
        >>> task_named("regression").metric
        'r2'
    """
    for task in TASKS:
        if task.name == name:
            return task
    known = ", ".join(task.name for task in TASKS)
    raise ModelError(f"there is no task '{name}': this tfkit knows {known}", hint="a newer tfkit may know it")


def task_of(labels: np.ndarray) -> Task:
    """The task that an array of labels is of; classes are `CLASSIFICATION`'s. See `tfkit.data.targets`."""
    return next(task for task in TASKS if task.targets is kind_of(labels))
