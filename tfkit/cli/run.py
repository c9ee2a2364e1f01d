"""`tfkit run`: a recipe from its data to its proved files; `tfkit check`: what would run, before training."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfkit.cli.options import Overrides
from tfkit.errors import ConfigError, printable

if TYPE_CHECKING:
    from tfkit.running.checking import RecipeCheck
    from tfkit.terminal.display import Display

REFUSED = 3
_MOST_SHOWN = 3


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
    if found.coverage is not None:
        from tfkit.reports.terminal import coverage_tables

        for table in coverage_tables(found.coverage):
            display.table(table)
    _show_data(display, found)
    _show_stages(display, found.stages)
    for note in found.notes:
        display.note(note)
    return 0


def _show_data(display: "Display", found: "RecipeCheck") -> None:
    """Show the classes, what was left out, and what is there twice."""
    from rich.text import Text

    from tfkit.terminal import plain_table

    report = found.data
    names = [name for name, counts in report.kept.items() if sum(counts.values())]
    table = plain_table(["class"], names)
    for kind in found.class_names:
        table.add_row(Text(printable(kind)), *(str(report.kept[name].get(kind, 0)) for name in names))
    table.add_section()
    table.add_row("examples", *(str(report.examples[name]) for name in names), style="bold")
    display.table(table)
    for note in report.notes:
        display.note(note)
    for title, rows in (
        ("left out", [f"{item.name}: {item.reason}" for item in report.left_out]),
        ("same content twice", [" = ".join(group) for group in report.duplicates]),
        ("same content in two splits, so its score is not earned", [" = ".join(group) for group in report.leakage]),
        ("groups that look the same", [" = ".join(group) for group in report.near_duplicates]),
        ("groups that look the same in two splits", [" = ".join(group) for group in report.near_leakage]),
    ):
        if rows:
            more = f", and {len(rows) - _MOST_SHOWN} more" if len(rows) > _MOST_SHOWN else ""
            display.note(f"{len(rows)} {title}: {'; '.join(rows[:_MOST_SHOWN])}{more}")


def _show_stages(display: "Display", stages: tuple[tuple[str, str], ...]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 3))
    for name, text in stages:
        style = "" if text else "dim"
        table.add_row(Text(name, style="bold" if text else "dim"), Text(text or "does not run", style=style))
    display.table(table)
