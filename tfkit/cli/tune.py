"""`tfkit tune`: a recipe trained again and again with other values, and the best of them written out."""

import shlex
from typing import Annotated

import typer

from tfkit.errors import TrainingError


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
        from tfkit.tuning import trial_table, tune_recipe

        result = tune_recipe(tuned, display)
    display.note(f"the sweep ended: {result.ended}")
    if result.best is None:
        raise TrainingError("no trial was trained to its end", hint=f"see {result.report}")
    display.table(trial_table(result))
    boards = f"tensorboard --logdir {tuned.folder / 'tensorboard'}"
    display.next_steps(result.report, f"tfkit run {result.best_recipe}", boards)
    return 0
