"""`tfkit recipes`: the configs and scripts that come with tfkit - list, show, copy."""

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="List, show and copy the recipes that come with tfkit.", no_args_is_help=True)


@app.command("list")
def list_recipes() -> None:
    """List the recipes that come with tfkit."""
    from rich import box
    from rich.table import Table

    from tfkit.config import shipped_recipes
    from tfkit.terminal.display import PlainConsole

    console = PlainConsole()
    table = Table(
        "recipe", "task", "what it does", box=box.SIMPLE_HEAD, show_edge=False, header_style="bold", pad_edge=False
    )
    for recipe in shipped_recipes():
        table.add_row(recipe.name, recipe.task, recipe.summary)
    if console.is_terminal:
        console.print(table)
        console.print("tfkit recipes show NAME   tfkit recipes copy NAME   tfkit run NAME", style="dim")
        return
    for recipe in shipped_recipes():
        typer.echo(f"{recipe.name}\t{recipe.task}\t{recipe.summary}")


@app.command("show")
def show_recipe(name: Annotated[str, typer.Argument(help="A recipe's name.", metavar="NAME")]) -> None:
    """Print a recipe."""
    from tfkit.config import shipped_recipe

    text = shipped_recipe(name).path.read_text(encoding="utf-8")
    if not sys.stdout.isatty():
        typer.echo(text, nl=False)
        return
    from rich.console import Console
    from rich.syntax import Syntax

    Console().print(Syntax(text, "yaml", theme="ansi_dark", background_color="default", word_wrap=True))


@app.command("copy")
def copy_recipe(
    name: Annotated[str, typer.Argument(help="A recipe's name; with --script also a script's.", metavar="NAME")],
    destination: Annotated[
        Path | None, typer.Argument(help="A file or a folder; NAME.yaml here when left out.", metavar="[DEST]")
    ] = None,
    script: Annotated[bool, typer.Option("--script", help="Copy the Python script that runs it.")] = False,
) -> None:
    """Copy a recipe, or its script, to change it."""
    from tfkit.config import copy_shipped

    target = copy_shipped(name, destination, script=script)
    following = f"tfkit run {target} --config FILE.yaml" if script else f"tfkit check {target}"
    typer.echo(f"wrote {target}; change it, then: {following}")
