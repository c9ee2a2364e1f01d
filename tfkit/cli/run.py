"""`tfkit run`: a recipe from its data to its proved files; `tfkit check`: what would run, before training."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfkit.cli.options import Overrides
from tfkit.errors import ConfigError

if TYPE_CHECKING:
    from tfkit.terminal.display import Display

REFUSED = 3


def run(
    recipe: Annotated[
        str,
        typer.Argument(
            help="A recipe's name (tfkit recipes list), a YAML file, or a script of yours with --config.",
            metavar="RECIPE",
        ),
    ] = "",
    overrides: Overrides = None,
    config_file: Annotated[Path | None, typer.Option("--config", help="The YAML file, instead of RECIPE.")] = None,
) -> int:
    """Train, export, verify and report, as a recipe says."""
    from tfkit.config import find_recipe, find_script, load_recipe
    from tfkit.running import run_config
    from tfkit.terminal.display import Display
    from tfkit.terminal.interruption import kept_work_noted
    from tfkit.terminal.quiet import tensorflow_started

    script, changes = None, list(overrides or [])
    named = ("--config", str(config_file)) if config_file else ()
    again = shlex.join(("tfkit", "run", *([recipe] if recipe else ()), *changes, *named))
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
    with tensorflow_started(), kept_work_noted(config.run.directory / config.run.name, again=again):
        report = run_config(config, Display())
    return 0 if report.accepted else REFUSED


def check(
    recipe: Annotated[str, typer.Argument(help="A recipe's name or a YAML file.", metavar="RECIPE")],
    overrides: Overrides = None,
) -> int:
    """Check a recipe and its data; nothing is trained or written."""
    from tfkit.config import find_recipe, find_script, load_recipe
    from tfkit.terminal.display import Display
    from tfkit.terminal.quiet import tensorflow_started

    path = find_recipe(recipe)
    config = load_recipe(path, overrides or [])
    find_script(config.recipe)
    display = Display()
    display.header(f"{config.run.name}: {path}")
    with tensorflow_started():
        from tfkit.running.checking import check_config

        found = check_config(config, display)
    from tfkit.reports import coverage_tables, data_notes, data_table

    for table in coverage_tables(found.coverage) if found.coverage is not None else ():
        display.table(table)
    display.table(data_table(found.class_names, found.data))
    display.notes(data_notes(found.data))
    _show_stages(display, found.stages)
    display.notes(found.notes)
    return 0


def _show_stages(display: "Display", stages: tuple[tuple[str, str], ...]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 3))
    for name, text in stages:
        style = "" if text else "dim"
        table.add_row(Text(name, style="bold" if text else "dim"), Text(text or "does not run", style=style))
    display.table(table)
