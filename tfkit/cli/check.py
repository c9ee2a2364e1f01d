"""`tfkit check`: read a recipe and its data, and say what would run, before anything is trained."""

from typing import TYPE_CHECKING, Annotated

import typer

from tfkit.errors import printable

if TYPE_CHECKING:
    from tfkit.cli.display import Display
    from tfkit.running.checking import RecipeCheck

_MOST_SHOWN = 3


def check(
    recipe: Annotated[str, typer.Argument(help="A recipe's name or a YAML file.", metavar="RECIPE")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Values to change, such as head.epochs=3.", metavar="KEY=VALUE")
    ] = None,
) -> int:
    """Check a recipe and its data; nothing is trained or written."""
    from tfkit.cli.coverage import show_coverage
    from tfkit.cli.display import Display
    from tfkit.cli.quiet import tensorflow_started
    from tfkit.config import find_recipe, find_script, load_recipe

    path = find_recipe(recipe)
    config = load_recipe(path, overrides or [])
    find_script(config.recipe)
    display = Display()
    display.header(f"{config.run.name}: {path}")
    with tensorflow_started():
        from tfkit.running.checking import check_config

        found = check_config(config, display)
    if found.coverage is not None:
        show_coverage(display, found.coverage)
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
