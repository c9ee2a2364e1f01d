"""The recipes that come with tfkit, and how one is found by its name."""

from dataclasses import dataclass
from difflib import get_close_matches
from importlib import resources
from pathlib import Path

from tfkit.errors import ConfigError

PACKAGE = "tfkit._recipes"


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
