"""`tfkit tune`: a recipe trained again and again with other values, and the best of them written out."""

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from tfkit.errors import TrainingError

if TYPE_CHECKING:
    from rich.table import Table

    from tfkit.tuning import SweepResult


def tune(
    recipe: Annotated[str, typer.Argument(help="A recipe's name or a YAML file, with tune:.", metavar="RECIPE")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Values to change, such as tune.trials=40.", metavar="KEY=VALUE")
    ] = None,
) -> int:
    """Try other values of a recipe's keys, compared on the validation split; the same command goes on."""
    from tfkit.config import find_recipe, load_tuned_recipe
    from tfkit.terminal import Display, tensorflow_started
    from tfkit.terminal.interruption import kept_work_noted

    tuned = load_tuned_recipe(find_recipe(recipe), overrides or [])
    again, display = shlex.join(("tfkit", "tune", recipe, *(overrides or []))), Display()
    with tensorflow_started(), kept_work_noted(tuned.folder, again=again):
        from tfkit.tuning import tune_recipe

        result = tune_recipe(tuned, display)
    display.note(f"the sweep ended: {result.ended}")
    if result.best is None:
        raise TrainingError("no trial was trained to its end", hint=f"see {result.report}")
    display.table(_best_trials(result))
    boards = f"tensorboard --logdir {tuned.folder / 'tensorboard'}"
    display.next_steps(result.report, f"tfkit run {result.best_recipe}", boards)
    return 0


def _best_trials(result: "SweepResult") -> "Table":
    from tfkit.terminal import plain_table
    from tfkit.tuning.words import short_names, told_value

    table = plain_table(["trial", f"validation {result.task.unit}", *short_names(result.keys).values()])
    ranked = result.ranked[:8]
    for trial in [*ranked, *([result.recipe] if result.recipe and result.recipe not in ranked else [])]:
        name = f"{trial.number}, the recipe" if trial.number == 0 else str(trial.number)
        values = [told_value(trial.values[key]) for key in result.keys]
        style = "bold green" if trial is result.best else ""
        table.add_row(name, result.task.told(trial.figure), *values, style=style)
    return table
