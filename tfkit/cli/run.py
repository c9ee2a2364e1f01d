"""`tfkit run`: a recipe from its data to its proved files; `tfkit check`: what would run, before training."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfkit.errors import ConfigError, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from tfkit.compression import CompressionCoverage
    from tfkit.compression.channels.planning import ChannelPlan, PlannedGroup
    from tfkit.compression.pruning.rewriting import PrunableLayer, PruningCoverage
    from tfkit.running.checking import RecipeCheck
    from tfkit.terminal.display import Display

REFUSED = 3
_MOST_SHOWN = 3
_MOST_NAMES = 6


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
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Values to change, such as head.epochs=3.", metavar="KEY=VALUE")
    ] = None,
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
        _show_coverage(display, found.coverage)
    _show_data(display, found)
    _show_stages(display, found.stages)
    for note in found.notes:
        display.note(note)
    return 0


def _show_data(display: "Display", found: "RecipeCheck") -> None:
    """Show the classes, what was left out, and what is there twice."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    report = found.data
    names = [name for name, counts in report.kept.items() if sum(counts.values())]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, header_style="bold", pad_edge=False)
    table.add_column("class")
    for name in names:
        table.add_column(name, justify="right")
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


def _show_coverage(display: "Display", coverage: "CompressionCoverage") -> None:
    """Show what quantisation and pruning will do, layers that are treated alike in one row.

    Args:
        display: The terminal.
        coverage: What was found out before training.
    """
    if coverage.quantization:
        display.table(_quantization_table(coverage))
    if coverage.pruning is not None:
        display.table(_pruning_table(coverage.pruning))
    if coverage.channels is not None:
        display.table(_channel_table(coverage.channels))


def _quantization_table(coverage: "CompressionCoverage") -> "Table":
    from tfkit.compression import grouped_coverage

    table = _table("in the file", "layers", "why", "kinds")
    for group in grouped_coverage(coverage.quantization):
        style = "bold" if group.precision == "float32" else ""
        precision = "not there" if group.precision == "-" else group.precision
        table.add_row(precision, str(group.layers), group.reason, _listed(group.kinds), style=style)
    return table


def _pruning_table(coverage: "PruningCoverage") -> "Table":
    table = _table("pruning", "layers", "weights", "which")
    reasons: dict[str, list[PrunableLayer]] = {}
    for row in coverage.layers:
        reasons.setdefault("pruned" if row.pruned else f"dense: {row.reason}", []).append(row)
    for reason, rows in reasons.items():
        weights = sum(row.weights for row in rows)
        table.add_row(reason, str(len(rows)), f"{weights:,}", _listed([row.layer for row in rows]))
    return table


def _channel_table(plan: "ChannelPlan") -> "Table":
    table = _table("channels", "groups", "before", "which")
    kinds: dict[str, list[PlannedGroup]] = {}
    for group in plan.groups:
        narrower = len(group.kept) < group.width
        kinds.setdefault("narrower" if narrower else f"whole: {group.pinned or 'narrow enough'}", []).append(group)
    for kind, groups in kinds.items():
        before = sum(group.width for group in groups)
        table.add_row(kind, str(len(groups)), f"{before:,}", _listed([group.name for group in groups]))
    return table


def _table(first: str, second: str, third: str, fourth: str) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, header_style="bold", pad_edge=False)
    table.add_column(first)
    table.add_column(second, justify="right")
    table.add_column(third, justify="left" if third == "why" else "right")
    table.add_column(fourth, style="dim")
    return table


def _listed(names: "Sequence[str]") -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
