"""`tfkit recipes`: the configs that come with tfkit - list, show, copy - and how a recipe is found by name."""

import sys
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from tfkit.errors import ConfigError, RunError

app = typer.Typer(help="List, show and copy the recipes that come with tfkit.", no_args_is_help=True)
_PACKAGE = "tfkit._recipes"


@dataclass(frozen=True)
class ShippedRecipe:
    """A config inside the package.

    Attributes:
        name: What it is called on the command line.
        task: The folder it lies in (`image`).
        path: Its file.
    """

    name: str
    task: str
    path: Path

    @property
    def summary(self) -> str:
        """The first line of its opening comment."""
        return self.path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ").rstrip(".")


def shipped_recipes() -> tuple[ShippedRecipe, ...]:
    """All configs that come with tfkit, by task and name.

    Raises:
        ConfigError: When the package was installed without them.
    """
    try:
        folder = Path(str(resources.files(_PACKAGE))) / "configs"
    except ModuleNotFoundError:
        raise ConfigError(
            "the recipes that come with tfkit are not installed", hint="install tfkit again: pip install -e ."
        ) from None
    return tuple(ShippedRecipe(path.stem, path.parent.name, path) for path in sorted(folder.glob("*/*.yaml")))


def find_recipe(name: str) -> Path:
    """The file of a recipe.

    Args:
        name: The name of a shipped config, or a path to a YAML file.

    Raises:
        ConfigError: When there is none; names the nearest.
    """
    path = Path(name).expanduser()
    if path.suffix in {".yaml", ".yml"} or len(path.parts) > 1:
        if not path.is_file():
            raise ConfigError(
                f"there is no recipe file '{name}'",
                hint="tfkit recipes copy image_folder makes one to start from, for texts text_table",
            )
        return path
    return _shipped(name).path


def _shipped(name: str) -> ShippedRecipe:
    recipes = {recipe.name: recipe for recipe in shipped_recipes()}
    if name in recipes:
        return recipes[name]
    close = get_close_matches(name, recipes, n=1)
    meant = f"did you mean {close[0]}?" if close else f"there are {', '.join(recipes)}"
    raise ConfigError(f"no recipe is called '{name}'; {meant}", hint="a file of your own must end in .yaml")


@app.command("list")
def list_recipes() -> None:
    """List the recipes that come with tfkit."""
    from rich import box
    from rich.table import Table

    from tfkit.cli.display import PlainConsole

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
    text = _shipped(name).path.read_text(encoding="utf-8")
    if not sys.stdout.isatty():
        typer.echo(text, nl=False)
        return
    from rich.console import Console
    from rich.syntax import Syntax

    Console().print(Syntax(text, "yaml", theme="ansi_dark", background_color="default", word_wrap=True))


@app.command("copy")
def copy_recipe(
    name: Annotated[str, typer.Argument(help="A recipe's name.", metavar="NAME")],
    destination: Annotated[
        Path | None, typer.Argument(help="A file or a folder; NAME.yaml here when left out.", metavar="[DEST]")
    ] = None,
) -> None:
    """Copy a recipe, to change it."""
    recipe = _shipped(name)
    target = destination or Path(f"{name}.yaml")
    if target.is_dir():
        target /= f"{name}.yaml"
    if target.suffix not in {".yaml", ".yml"}:
        raise ConfigError(f"'{target}' must end in .yaml", hint=f"try {target}.yaml")
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(recipe.path.read_text(encoding="utf-8"))
    except FileExistsError:
        raise RunError(f"'{target}' exists already", hint="name another file") from None
    except OSError as fault:
        raise RunError(f"cannot write '{target}': {fault.strerror}", hint="name another place") from None
    shown = target if len(target.parts) > 1 else f"{target}"
    typer.echo(f"wrote {target}; change it, then: tfkit check {shown}")
