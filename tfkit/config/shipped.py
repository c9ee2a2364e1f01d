"""The recipes that come with tfkit, and how one is found by its name."""

import importlib.util
import sys
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any

from tfkit.config.yaml_document import parse_yaml
from tfkit.errors import ConfigError, RunError

PACKAGE = "tfkit._recipes"
CONTINUE = "continue"  # what `recipe:` says for the earlier run's own script


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

    Example:
        >>> "digits" in [recipe.name for recipe in shipped_recipes()]
        True
    """
    try:
        folder = Path(str(resources.files(PACKAGE))) / "configs"
    except ModuleNotFoundError:
        raise ConfigError(
            "the recipes that come with tfkit are not installed", hint="install tfkit again: pip install -e ."
        ) from None
    return tuple(ShippedRecipe(path.stem, path.parent.name, path) for path in sorted(folder.glob("*/*.yaml")))


def shipped_recipe(name: str) -> ShippedRecipe:
    """The shipped config of a name.

    Raises:
        ConfigError: When there is none; names the nearest.

    Example:
        >>> shipped_recipe("digits").task
        'image'
    """
    recipes = {recipe.name: recipe for recipe in shipped_recipes()}
    if name in recipes:
        return recipes[name]
    close = get_close_matches(name, recipes, n=1)
    meant = f"did you mean {close[0]}?" if close else f"there are {', '.join(recipes)}"
    raise ConfigError(f"no recipe is called '{name}'; {meant}", hint="a file of your own must end in .yaml")


def find_recipe(name: str) -> Path:
    """The file of a recipe.

    Args:
        name: The name of a shipped config, or a path to a YAML file.

    Raises:
        ConfigError: When there is none; names the nearest.

    Example:
        >>> find_recipe("digits").name
        'digits.yaml'
    """
    path = Path(name).expanduser()
    if path.suffix in {".yaml", ".yml"} or len(path.parts) > 1:
        if not path.is_file():
            raise ConfigError(
                f"there is no recipe file '{name}'",
                hint="tfkit recipes copy image_folder makes one to start from, for texts text_table",
            )
        return path
    return shipped_recipe(name).path


SCHEMA = "CONFIG"


@dataclass(frozen=True)
class RecipeScript:
    """A Python file with a function `run(config, display)`, and `CONFIG`, the schema of its configs.

    Attributes:
        path: The file.
        shipped: Whether it comes with tfkit.
    """

    path: Path
    shipped: bool

    def load(self) -> ModuleType:
        """Import the script, which starts TensorFlow in most.

        Raises:
            ConfigError: When it cannot be imported, or has no `run` or no `CONFIG`.
        """
        name = f"{PACKAGE}.{self.path.stem}" if self.shipped else f"_tfkit_recipe_{self.path.stem}"
        if self.shipped:
            return importlib.import_module(name)
        module = _imported(self.path, name)
        missing = [part for part in ("run", SCHEMA) if not hasattr(module, part)]
        if missing:
            raise ConfigError(f"the recipe script '{self.path}' has no {' and no '.join(missing)}", hint=SHAPE)
        return module


SHAPE = (
    "a recipe script has CONFIG = RecipeConfig (or another of tfkit.config), and run(config, display); "
    "tfkit recipes copy NAME --script makes one to start from"
)


def find_script(recipe: str) -> RecipeScript:
    """The script that a config names.

    Args:
        recipe: What its `recipe:` says: the name of a script that comes with tfkit, or the path of a `.py` file.

    Raises:
        ConfigError: When there is no such script.

    Example:
        >>> find_script("finetune_image").shipped
        True
    """
    if recipe.endswith(".py"):
        path = Path(recipe).expanduser()
        if not path.is_file():
            raise ConfigError(f"recipe: there is no script '{recipe}'", hint="relative paths start at this folder")
        return RecipeScript(path, shipped=False)
    scripts = shipped_scripts()
    if recipe not in scripts:
        raise ConfigError(
            f"recipe: {recipe} is not a recipe script; there are {', '.join(scripts)}",
            hint="the key recipe: names a script in recipes/ or a .py file of yours, not a config",
        )
    return RecipeScript(scripts[recipe], shipped=True)


def shipped_scripts() -> dict[str, Path]:
    """The scripts that come with tfkit, by name.

    Example:
        >>> "finetune_image" in shipped_scripts()
        True
    """
    folder = Path(str(resources.files(PACKAGE)))
    return {path.stem: path for path in sorted(folder.glob("[!_]*.py"))}


def _imported(path: Path, name: str) -> ModuleType:
    found = importlib.util.spec_from_file_location(name, path)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    try:
        found.loader.exec_module(module)
    except Exception as fault:
        del sys.modules[name]
        lines = [frame for frame in _frames(fault) if frame[0] == str(path)]
        place = f", line {lines[-1][1]}" if lines else ""
        raise ConfigError(f"'{path}'{place} cannot be imported: {type(fault).__name__}: {fault}", hint=SHAPE) from fault
    return module


def _frames(fault: BaseException) -> list[tuple[str, int]]:
    frames, trace = [], fault.__traceback__
    while trace is not None:
        frames.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    return frames


def copy_shipped(name: str, destination: Path | None = None, *, script: bool = False) -> Path:
    """Copy a shipped config, or the script that runs it, to be changed.

    Args:
        name: Of the config; with `script` also of a script.
        destination: A new file, or a folder; None for the working folder.
        script: Whether the script is wanted.

    Returns:
        The new file.

    Raises:
        ConfigError: When nothing is called so, or the new file's name does not end as it must.
        RunError: When it is there already, or cannot be written.

    Example:
        >>> copy_shipped("digits", Path("mine.txt"))
        Traceback (most recent call last):
        tfkit.errors.ConfigError: 'mine.txt' must end in .yaml
    """
    source, suffixes = (_script_of(name), [".py"]) if script else (shipped_recipe(name).path, [".yaml", ".yml"])
    target = destination or Path(source.name)
    if target.is_dir():
        target /= source.name
    if target.suffix not in suffixes:
        raise ConfigError(f"'{target}' must end in {suffixes[0]}", hint=f"try {target}{suffixes[0]}")
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(source.read_text(encoding="utf-8"))
    except FileExistsError:
        raise RunError(f"'{target}' exists already", hint="name another file") from None
    except OSError as fault:
        raise RunError(f"cannot write '{target}': {fault.strerror}", hint="name another place") from None
    return target


def _script_of(name: str) -> Path:
    """The script of that name, or the one that the recipe of that name runs."""
    scripts = shipped_scripts()
    if name in scripts:
        return scripts[name]
    recipe: Any = parse_yaml(shipped_recipe(name).path.read_text(encoding="utf-8")).value
    if recipe["recipe"] == CONTINUE:
        raise ConfigError(
            f"'{name}' runs the script of the run that it goes on from", hint="copy that: finetune_image, or another"
        )
    return scripts[recipe["recipe"]]
