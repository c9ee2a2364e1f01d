"""How a sweep words its figures and values."""

from collections import Counter
from collections.abc import Iterable, Mapping

from tfkit.config.faults import shown
from tfkit.config.yaml_document import Plain
from tfkit.tasks import Task
from tfkit.tuning.result import SweepResult


def told_value(value: Plain) -> str:
    """A value of a key, a number with three significant digits.

    Example:
        >>> told_value(0.00123456), told_value("adam"), told_value(None)
        ('0.00123', 'adam', 'null')
    """
    if isinstance(value, str):
        return value
    return f"{value:.3g}" if isinstance(value, float) else shown(value)


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """Keys without their sections, where one name is enough.

    Example:
        >>> short_names(["head.epochs", "fine_tune.epochs", "model.dropout"])
        {'head.epochs': 'head.epochs', 'fine_tune.epochs': 'fine_tune.epochs', 'model.dropout': 'dropout'}
    """
    names = {key: key.partition(".")[2] for key in keys}
    counts = Counter(names.values())
    return {key: name if counts[name] == 1 else key for key, name in names.items()}


def told_values(values: Mapping[str, Plain]) -> str:
    """Values of keys on one line.

    Example:
        >>> told_values({"head.epochs": 20, "model.dropout": 0.25})
        'epochs 20, dropout 0.25'
    """
    names = short_names(values)
    return ", ".join(f"{names[key]} {told_value(value)}" for key, value in values.items())


def told_figure(task: Task, figure: float | None) -> str:
    """The deciding figure with its name.

    Example:
        >>> told_figure(CLASSIFICATION, 0.954)
        'accuracy 95.4 %'
    """
    return f"{task.unit} {task.told(figure)}"


def headline(result: SweepResult) -> str:
    """How a sweep came out, in a sentence."""
    best, recipe = result.best, result.recipe
    if best is None:
        return "No trial was trained to its end"
    told = f"Validation {told_figure(result.task, best.figure)}"
    if recipe is None or recipe.figure is None:
        return f"{told}; the recipe as it is was not trained to its end"
    if best is recipe:
        return f"{told}: the recipe as it is, which no trial beats"
    return f"{told}; the recipe as it is has {result.task.told(recipe.figure)}"
