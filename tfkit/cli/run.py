"""`tfkit run`: a recipe from its data to its proved files."""

import importlib
import importlib.util
from pathlib import Path
from typing import Annotated, Any

import typer

from tfkit.errors import ConfigError


def run(
    recipe: Annotated[
        str, typer.Argument(help="A recipe's name (tfkit recipes list) or a YAML file.", metavar="RECIPE")
    ] = "",
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Values to change, such as head.epochs=3.", metavar="KEY=VALUE")
    ] = None,
    config_file: Annotated[Path | None, typer.Option("--config", help="The YAML file, instead of RECIPE.")] = None,
) -> int:
    """Train, export, verify and report, as a recipe says."""
    from tfkit.cli.display import Display
    from tfkit.cli.kept_work import kept_work_noted
    from tfkit.cli.quiet import tensorflow_started
    from tfkit.cli.recipes import find_recipe
    from tfkit.config import load_recipe

    changes = list(overrides or [])
    if config_file is not None:  # `python recipes/finetune_image.py --config FILE key=value` comes here too
        changes = [recipe, *changes] if recipe else changes
        path = config_file
    elif recipe:
        path = find_recipe(recipe)
    else:
        raise ConfigError("tfkit run needs a recipe", hint="tfkit recipes list shows those that come with tfkit")
    config = load_recipe(path, changes)
    script = find_script(config.recipe)
    with tensorflow_started(), kept_work_noted(config.run.directory / config.run.name):
        return int(importlib.import_module(script).run(config, Display()))


def find_script(recipe: str) -> str:
    """The module of a recipe script.

    Args:
        recipe: What the config's `recipe:` says.

    Raises:
        ConfigError: When there is no such script.
    """
    module = f"tfkit._recipes.{recipe}"
    found = importlib.util.find_spec(module)
    if found is None or found.submodule_search_locations is not None or recipe.startswith("_"):
        raise ConfigError(
            f"recipe: {recipe} is not a recipe script; there are {', '.join(_scripts())}",
            hint="the key recipe: names a script in recipes/, not a config",
        )
    return module


def _scripts() -> list[str]:
    import pkgutil

    package: Any = importlib.import_module("tfkit._recipes")
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.ispkg)
