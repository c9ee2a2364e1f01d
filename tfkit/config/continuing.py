"""A recipe that says `recipe: continue`: the earlier run's own, on new examples."""

import json
from collections.abc import Sequence
from pathlib import Path

from tfkit.artifacts import RunDirectory
from tfkit.config.yaml_document import Tree, parse_yaml
from tfkit.errors import ConfigError

# Where examples come from: the new ones have their own place, whatever the earlier recipe says of its own.
_PLACES = ("source", "directory", "name", "train", "validation", "test", "classes", "labels_per_class")
_NOT_TAKEN_OVER = ("run", "tune", "earlier")


def continued(path: Path, tree: Tree, overrides: Sequence[str]) -> tuple[Tree, list[str]]:
    """The earlier run's recipe with what a recipe that continues it says otherwise.

    Args:
        path: The recipe's file, for messages.
        tree: Its values.
        overrides: `key=value`, which may name the earlier run too.

    Returns:
        The values of the whole recipe, and the overrides but for `recipe=continue`.

    Raises:
        ConfigError: When no earlier run is named, or it has no recipe.
    """
    run = _earlier_run(tree, overrides)
    if run is None:
        raise ConfigError(
            f"'{path}' continues an earlier run, and does not name it", hint="say earlier.run=runs/NAME, its folder"
        )
    folder = RunDirectory(Path(run).expanduser())
    try:
        before = parse_yaml(folder.recipe.read_text(encoding="utf-8")).value
    except (OSError, UnicodeDecodeError):
        before = None
    if not isinstance(before, dict) or not folder.is_finished:
        raise ConfigError(
            f"earlier.run: there is no finished run in '{run}'", hint="name the folder of a run, such as runs/intents"
        )
    whole = {name: value for name, value in before.items() if name not in _NOT_TAKEN_OVER}
    whole["data"] = {key: value for key, value in _section(before, "data").items() if key not in _PLACES}
    for name in tree.keys() - {"recipe"}:
        section, old = tree[name], whole.get(name)
        whole[name] = {**old, **section} if isinstance(section, dict) and isinstance(old, dict) else section
    _section(whole, "data").setdefault("source", _section(before, "data").get("source"))
    return whole, [one for one in overrides if one.partition("=")[0].strip() != "recipe"]


def _section(tree: Tree, name: str) -> Tree:
    section = tree.get(name)
    return section if isinstance(section, dict) else {}


def _earlier_run(tree: Tree, overrides: Sequence[str]) -> str | None:
    said = _section(tree, "earlier").get("run")
    for one in overrides:
        name, _, text = one.partition("=")
        if name.strip() == "earlier.run":
            said = parse_yaml(text).value
        elif name.strip() == "earlier":
            inner = parse_yaml(text).value
            said = inner.get("run") if isinstance(inner, dict) else said
    return None if said is None else said if isinstance(said, str) else json.dumps(said)
