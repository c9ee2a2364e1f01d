"""`tfkit run`: a recipe from its data to its proved files."""

from pathlib import Path
from typing import Annotated

import typer

from tfkit.errors import ConfigError

REFUSED = 3


def run(
    recipe: Annotated[
        str,
        typer.Argument(
            help="A recipe's name (tfkit recipes list), a YAML file, or a script of yours with --config.",
            metavar="RECIPE",
        ),
    ] = "",
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Values to change, such as head.epochs=3.", metavar="KEY=VALUE")
    ] = None,
    config_file: Annotated[Path | None, typer.Option("--config", help="The YAML file, instead of RECIPE.")] = None,
) -> int:
    """Train, export, verify and report, as a recipe says."""
    from tfkit.config import find_recipe, find_script, load_recipe
    from tfkit.running import run_config
    from tfkit.terminal.display import Display
    from tfkit.terminal.interruption import kept_work_noted
    from tfkit.terminal.quiet import tensorflow_started

    script, changes = None, list(overrides or [])
    if recipe.endswith(".py"):  # `python my_recipe.py --config FILE key=value` comes here too
        script, recipe = Path(recipe), ""
    if config_file is not None:
        changes = [recipe, *changes] if recipe else changes
        path = config_file
    elif recipe:
        path = find_recipe(recipe)
    elif script is not None:
        raise ConfigError(f"'{script}' needs its config", hint=f"tfkit run {script} --config FILE.yaml")
    else:
        raise ConfigError("tfkit run needs a recipe", hint="tfkit recipes list shows those that come with tfkit")
    config = load_recipe(path, changes, script=script)
    find_script(config.recipe)
    with tensorflow_started(), kept_work_noted(config.run.directory / config.run.name):
        report = run_config(config, Display())
    return 0 if report.accepted else REFUSED
