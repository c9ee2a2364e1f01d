"""From a YAML file and `key=value` overrides to a checked RecipeConfig, with all faults told at once."""

import ast
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tfkit.arguments import takes_text
from tfkit.config.embedding_sections import EmbeddingRecipeConfig
from tfkit.config.faults import Places, describe_errors, nearest, section_types
from tfkit.config.recommend_sections import RecommendRecipeConfig, broken_recommend_rules
from tfkit.config.reply_sections import ReplyRecipeConfig, broken_reply_rules
from tfkit.config.rules import broken_embedding_rules, broken_rules, broken_text_rules
from tfkit.config.sections import RecipeConfig
from tfkit.config.shipped import CONTINUE, SCHEMA, SHAPE, RecipeScript, find_script
from tfkit.config.text_sections import TextRecipeConfig
from tfkit.config.training_sections import Section
from tfkit.config.yaml_document import Tree, dump_yaml, parse_yaml
from tfkit.errors import ConfigError, printable
from tfkit.files import read_regular_file

_MOST_FAULTS, _LONGEST_FAULT = 20, 500
_LONGEST = 100_000  # bytes; what is longer is something else, and takes YAML's parser seconds
TrainedRecipe = RecipeConfig | TextRecipeConfig | EmbeddingRecipeConfig  # trained step by step, in batches
UnlabelledRecipe = RecommendRecipeConfig | ReplyRecipeConfig  # their examples have no labels to tell apart
AnyRecipe = TrainedRecipe | UnlabelledRecipe
_Kind = (
    type[RecipeConfig]
    | type[TextRecipeConfig]
    | type[EmbeddingRecipeConfig]
    | type[RecommendRecipeConfig]
    | type[ReplyRecipeConfig]
)
_RULES = {
    TextRecipeConfig: broken_text_rules,
    EmbeddingRecipeConfig: broken_embedding_rules,
    RecommendRecipeConfig: broken_recommend_rules,
    ReplyRecipeConfig: broken_reply_rules,
    RecipeConfig: broken_rules,
}
_SCHEMAS = {one.__name__: one for one in _RULES}


@takes_text
def load_recipe(
    path: Path, overrides: Sequence[str] = (), *, script: Path | None = None, may_run: bool = True
) -> AnyRecipe:
    """Read a recipe.

    Args:
        path: The YAML file.
        overrides: `section.key=value`, the value written as in YAML; `section=null` drops a
            section. Later ones win.
        script: The recipe script to run, whatever the file says.
        may_run: Whether a user's script may be imported where it has a schema of its own.

    Returns:
        The recipe. `run.name` is the file's own name unless it says another.

    Raises:
        ConfigError: When the file cannot be read or says anything unknown or impossible; the message lists
            all faults with their lines.

    Example:
        >>> load_recipe(find_recipe("digits"), ["head.epochs=3"]).head.epochs
        3
    """
    return read_recipe(path, overrides, script=script, may_run=may_run).checked()


@dataclass(frozen=True, eq=False)
class RecipeTree:
    """A recipe as it was written: plain values, valid or not.

    Attributes:
        path: Its file.
        values: What the file and the overrides say.
        places: Where each value stands.
        kind: The schema of the script that it names.
        faults: What is wrong with the file's text and the overrides, in sentences.
    """

    path: Path
    values: Tree
    places: Places
    kind: _Kind
    faults: tuple[str, ...] = ()

    def checked(self) -> AnyRecipe:
        """The recipe.

        Raises:
            ConfigError: Tells everything that is wrong.
        """
        config, wrong = self.validated()
        if self.faults or wrong or config is None:
            raise config_error(self.path, [*self.faults, *wrong])
        if config.run.name:
            return config
        return config.model_copy(update={"run": config.run.model_copy(update={"name": self.path.stem})})

    def validated(self) -> tuple[AnyRecipe | None, list[str]]:
        """The recipe, None where it cannot be one, and what is wrong with its values."""
        broken = next(rules for schema, rules in _RULES.items() if issubclass(self.kind, schema))
        try:
            # Through JSON, because pydantic's strict mode then takes a list for a tuple and text for a path, but
            # still no "3" for 3.
            config = self.kind.model_validate_json(json.dumps(self.values, default=str))
        except ValidationError as fault:
            errors = fault.errors(include_url=False)
            at_fault = {tuple(error["loc"][:2]) for error in errors}
            told = describe_errors(errors, self.values, self.places, recipe=self.kind)
            return None, told + broken(self.values, at_fault, self.places)
        return config, broken(self.values, set(), self.places)


def read_recipe(
    path: Path, overrides: Sequence[str] = (), *, script: Path | None = None, may_run: bool = True
) -> RecipeTree:
    """Read a recipe's text, and put the overrides into it; arguments as of `load_recipe`.

    Raises:
        ConfigError: When the file cannot be read, or holds no sections.
    """
    try:
        content = read_regular_file(path)
        if len(content) > _LONGEST:
            raise OSError(0, f"it has {len(content):,} bytes; a recipe has at most {_LONGEST:,}")
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "it is not UTF-8 text"
        raise ConfigError(
            f"cannot read the recipe '{path}': {reason}",
            hint="tfkit recipes list shows what comes with tfkit; tfkit recipes copy NAME makes one your own",
        ) from None
    document = parse_yaml(text)
    places = Places(path.name, document.lines)
    faults = [f"{message} ({path.name}:{line})" for line, message in document.faults]
    tree = document.value
    if not isinstance(tree, dict):
        faults = faults or [f"a recipe is made of sections (data:, model:, ...); got {_short(tree)} ({path.name})"]
        raise config_error(path, faults)
    if _script_named(tree, overrides) == CONTINUE:
        from tfkit.config.continuing import continued

        tree, overrides = continued(path, tree, overrides)
    overrides = [*overrides, *([] if script is None else [f"recipe={json.dumps(str(script.absolute()))}"])]
    kind = _schema(tree, overrides, may_run=may_run)
    if "earlier" in tree and "earlier" not in kind.model_fields:
        raise ConfigError(
            f"'{path}': a run of this recipe cannot be gone on from",
            hint="train on the old and the new examples together",
        )
    for (name,) in (key for key in document.empty if len(key) == 1 and key[0] in section_types(kind)):
        tree[str(name)] = {}  # `head:` with nothing below it is there, with its defaults
    for override in overrides:
        faults += _apply(override, tree, places, kind)
    return RecipeTree(path, tree, places, kind, tuple(faults))


def dump_recipe(config: AnyRecipe) -> str:
    """Write a recipe with every default spelled out, as YAML that `load_recipe` reads to the same recipe.

    Args:
        config: The recipe.

    Returns:
        YAML text; sections that do not run are left out, and so is `tune:`, which is no part of a run.

    Example:
        >>> config = load_recipe(find_recipe("digits"))
        >>> dump_recipe(config).splitlines()[0]
        'recipe: finetune_image'
    """
    tree = config.model_dump(mode="json", exclude={"tune"})
    return dump_yaml({name: value for name, value in tree.items() if value is not None})


def _schema(tree: Tree, overrides: Sequence[str], *, may_run: bool) -> _Kind:
    """The schema of the script that a recipe names; that of images for a name that is to be refused."""
    name = _script_named(tree, overrides)
    try:
        return script_schema(find_script(name), may_run=may_run)
    except ConfigError:
        if name.endswith(".py"):
            raise
        return RecipeConfig


def _script_named(tree: Tree, overrides: Sequence[str]) -> str:
    said = [parse_yaml(text).value for key, _, text in (one.partition("=") for one in overrides) if key == "recipe"]
    return str(said[-1] if said else tree.get("recipe"))


def _apply(override: str, tree: Tree, places: Places, kind: type[Section]) -> list[str]:
    """Put one `key=value` into the tree; faults come back as sentences."""
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if parts[:2] == ["tune", "space"] and len(parts) > 2:
        parts = [*parts[:2], ".".join(parts[2:])]  # `tune.space.head.epochs=[5,10]`: that key has a dot in it
    if not equals or not all(parts):
        return [f"'{override}' must be section.key=value, such as head.epochs=3 (command line)"]
    document = parse_yaml(text)
    if document.faults:
        return [f"{key}: '{text}' is {document.faults[0][1]} (command line)"]
    if parts[0] not in kind.model_fields:
        return [_unknown_section(parts, tree, kind)]
    branch = tree
    for part in parts[:-1]:
        if branch.get(part) is None:
            branch[part] = {}
        inner = branch[part]
        if not isinstance(inner, dict):
            return [f"{key} cannot be set, because {part} is not a section (command line)"]
        branch = inner
    empty_section = len(parts) == 1 and not text.strip() and parts[0] in section_types(kind)
    branch[parts[-1]] = {} if empty_section else document.value
    places.came_from_command_line(tuple(parts))
    return []


def _unknown_section(parts: list[str], tree: Tree, kind: type[Section]) -> str:
    """An unknown first word; a key without its section (`epochs=3`) is told which sections have it."""
    name = parts[0]
    homes = [section for section, keys in section_types(kind).items() if name in keys.model_fields]
    if len(parts) == 1 and homes:
        used = [section for section in homes if section in tree] or homes
        return f"{name} needs its section: {' or '.join(f'{section}.{name}' for section in used)} (command line)"
    return f"{name} is not a section; {nearest(name, kind.model_fields)} (command line)"


def config_error(path: Path, faults: Sequence[str]) -> ConfigError:
    """All faults of a recipe as one error, the first twenty of them told."""
    shown = [printable(_cut(fault)) for fault in faults]
    if len(faults) == 1:
        return ConfigError(shown[0])
    more = [f"and {len(faults) - _MOST_FAULTS} more"] if len(faults) > _MOST_FAULTS else []
    listed = "\n".join(f"  {fault}" for fault in (*shown[:_MOST_FAULTS], *more))
    return ConfigError(f"{len(faults)} faults in the recipe '{path}':\n{listed}")


def _cut(fault: str) -> str:
    """A sentence without the middle of whatever makes it endless; its place stands at the end."""
    if len(fault) <= _LONGEST_FAULT:
        return fault
    half = _LONGEST_FAULT // 2
    return f"{fault[:half]} ... {fault[-half:]}"


def _short(value: object) -> str:
    return "an empty file" if value is None else f"'{value}'"[:60]


def script_schema(script: RecipeScript, *, may_run: bool = True) -> type[Any]:
    """The schema of a script's configs: read from its `CONFIG = ...` without running it, where that is tfkit's own.

    Args:
        script: The script; it is imported when its schema is its own.
        may_run: Whether it may be imported, which runs it; False for the recipe of a folder that others made.

    Returns:
        `tfkit.config.RecipeConfig` or another of them, or a class derived from one.

    Raises:
        ConfigError: When the script names none, or cannot be read.

    Example:
        >>> script_schema(find_script("finetune_text")).__name__
        'TextRecipeConfig'
    """
    try:
        tree = ast.parse(script.path.read_bytes(), filename=str(script.path))
    except (OSError, SyntaxError, ValueError) as fault:
        raise ConfigError(f"cannot read the recipe script '{script.path}': {fault}", hint=SHAPE) from None
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and [getattr(one, "id", "") for one in statement.targets] == [SCHEMA]:
            known = _names_of_config(tree).get(getattr(statement.value, "id", ""))
            if not known and not may_run:
                raise ConfigError(f"the schema of '{script.path}' is its own, and the script is not run for it")
            schema = _SCHEMAS.get(known) if known else getattr(script.load(), SCHEMA)
            if isinstance(schema, type) and issubclass(schema, Section):
                return schema
    raise ConfigError(f"the recipe script '{script.path}' does not name the schema of its configs", hint=SHAPE)


def _names_of_config(tree: ast.Module) -> dict[str, str]:
    """What a script calls the things that it imports from `tfkit.config`, and their own names."""
    imports = [statement for statement in tree.body if isinstance(statement, ast.ImportFrom)]
    taken = [one for statement in imports if statement.module == "tfkit.config" for one in statement.names]
    return {one.asname or one.name: one.name for one in taken}
