"""From a recipe's `task:` to what data, models and files are made of."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from tfkit.config import AnyRecipe, EmbeddingRecipeConfig, RecipeConfig, TaskSection

if TYPE_CHECKING:
    import numpy as np

    from tfkit.data.targets import Targets
    from tfkit.models import HeadSpec

RecipeT = TypeVar("RecipeT", bound=AnyRecipe)


def targets_of(config: AnyRecipe) -> "Targets":
    """What a recipe's examples are labelled with."""
    from tfkit.data.targets import CLASSES, Targets

    if isinstance(config, EmbeddingRecipeConfig):
        return CLASSES
    targets = Targets(**config.task.target_options())
    column = getattr(config.data, "label_column", None)
    if targets.kind == "numbers" and not targets.columns and isinstance(column, str):
        return replace(targets, columns=(column,))
    return targets


def head_of(task: TaskSection, labels: "np.ndarray | None" = None) -> "HeadSpec":
    """What stands behind the logits of a recipe's model.

    Args:
        task: The recipe's section.
        labels: Of numbers: those of the training split, whose mean and deviation the head works with.
    """
    from tfkit.models import HeadSpec
    from tfkit.tasks import task_named
    from tfkit.tasks.regression import spread

    activation = task_named(task.kind).activation
    if activation != "linear" or labels is None:
        return HeadSpec(activation)
    means, deviations = spread(labels)
    return HeadSpec(activation, tuple(map(float, means)), tuple(map(float, deviations)))


def with_float_head(config: RecipeT, outputs: int) -> tuple[RecipeT, str]:
    """A recipe for images that leaves the last layer of several numbers in float, and a sentence on it.

    One integer tensor has one scale: an age and a price would share steps as wide as the price needs.
    """
    section: Any = getattr(config, "quantization", None)
    if not isinstance(config, RecipeConfig) or section is None or config.task.kind != "regression" or outputs < 2:
        return config, ""
    from tfkit.models.classifier import LOGITS

    if LOGITS in section.skip:
        return config, ""
    section = section.model_copy(update={"skip": (*section.skip, LOGITS)})
    note = f"the last layer of {outputs} numbers stays in float: one integer tensor would give all of them one step"
    return config.model_copy(update={"quantization": section}), note
