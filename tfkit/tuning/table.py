"""The trials of a sweep as a table for a terminal or a notebook."""

from rich.table import Table

from tfkit.terminal import plain_table
from tfkit.tuning.result import SweepResult
from tfkit.tuning.words import short_names, told_value

_MOST = 8


def trial_table(result: SweepResult) -> Table:
    """Draw the best trials of a sweep, best first, and the recipe as it is.

    Args:
        result: What `tfkit.tune` gave.
    """
    table = plain_table(["trial", f"validation {result.task.unit}", *short_names(result.keys).values()])
    ranked = result.ranked[:_MOST]
    for trial in [*ranked, *([result.recipe] if result.recipe and result.recipe not in ranked else [])]:
        name = f"{trial.number}, the recipe" if trial.number == 0 else str(trial.number)
        values = [told_value(trial.values[key]) for key in result.keys]
        style = "bold green" if trial is result.best else ""
        table.add_row(name, result.task.told(trial.figure), *values, style=style)
    return table
