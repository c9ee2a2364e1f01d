"""A recipe with what is to be tried of it: its `tune:` section, every value of which has been checked."""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from tfkit.arguments import takes_text
from tfkit.config.faults import Places, nearest, section_types, shown
from tfkit.config.loader import RecipeTree, TrainedRecipe, UnlabelledRecipe, config_error, read_recipe
from tfkit.config.recommend_sections import RecommendRecipeConfig
from tfkit.config.reply_sections import ReplyRecipeConfig
from tfkit.config.tune_section import TuneSection
from tfkit.config.yaml_document import KeyPath, Plain
from tfkit.errors import ConfigError

# Sections whose keys may be tried, and the keys of `data:` that leave the examples and their splits as they are.
_TUNED_SECTIONS = ("augmentation", "model", "head", "fine_tune", "pruning", "quantization", "distillation")
_TUNED_DATA = ("batch_size", "image_size", "channels", "resize", "sequence_length", "buckets")
_HINT = (
    "tune: {space: {head.learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}, model.dropout: [0.0, 0.3]}} "
    "in the recipe, or tune.space.head.epochs=[10,20] behind it"
)
_OTHER_WAYS: dict[type, str] = {
    RecommendRecipeConfig: "list the values to choose from in model.regularization and model.text_weight",
    ReplyRecipeConfig: "run it with other values and another run.name, and compare validation figures",
}


@dataclass(frozen=True)
class Choices:
    """Values of a key, of which each trial takes one.

    Attributes:
        values: Two or more, all different.
    """

    values: tuple[Plain, ...]

    def has(self, value: Plain) -> bool:
        """Whether it is one of them."""
        return any(_same(value, one) for one in self.values)

    @property
    def told(self) -> str:
        """The values in words."""
        return ", ".join(map(shown, self.values))


@dataclass(frozen=True)
class Range:
    """A range of a key's numbers.

    Attributes:
        low, high: Its ends, both within it; two whole numbers where `whole`.
        log: Whether the numbers' orders of magnitude are equally likely, and not the numbers.
        step: What the numbers lie apart, counted from `low`; None for any.
        whole: Whether it is one of whole numbers.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False

    def has(self, value: Plain) -> bool:
        """Whether a number is in it, and on one of its steps."""
        number = isinstance(value, int if self.whole else int | float) and not isinstance(value, bool)
        if not number or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        steps = 0.0 if self.step is None else (value - self.low) / self.step
        return abs(steps - round(steps)) < 1e-8

    @property
    def told(self) -> str:
        """The range in words."""
        further = [*(["log"] if self.log else []), *([] if self.step is None else [f"step {self.step:g}"])]
        return f"{self.low:g} to {self.high:g}" + "".join(f", {word}" for word in further)


Values: TypeAlias = Choices | Range


@dataclass(frozen=True, eq=False)
class TunedRecipe:
    """A recipe, and what is to be tried of it.

    Attributes:
        config: The recipe as it is.
        tune: Its section.
        space: The values of each key that are tried, by `section.key`.
    """

    config: TrainedRecipe
    tune: TuneSection
    space: Mapping[str, Values]
    _tree: RecipeTree

    @property
    def folder(self) -> Path:
        """Where its trials are kept, `runs/NAME-tune`."""
        return self.config.run.directory / f"{self.config.run.name}-tune"

    def at(self, values: Mapping[str, Plain]) -> TrainedRecipe:
        """The recipe with other values.

        Args:
            values: By `section.key`.

        Raises:
            ConfigError: When they do not go together.
        """
        config = _with_values(self._tree, values).checked()
        assert not isinstance(config, UnlabelledRecipe)  # `load_tuned_recipe` refuses it
        return config.model_copy(update={"tune": None})

    def own(self, key: str) -> Plain:
        """What the recipe itself says of a key."""
        section, _, name = key.partition(".")
        value: Plain = self.config.model_dump(mode="json", include={section: {name}})[section][name]
        return value


@takes_text
def load_tuned_recipe(path: Path, overrides: Sequence[str] = (), *, script: Path | None = None) -> TunedRecipe:
    """Read a recipe together with its `tune:` section; each value and both ends of each range are checked.

    Args:
        path: The YAML file.
        overrides: As for `load_recipe`; `tune.space.head.epochs=[5,10]` adds a key to try.
        script: The recipe script to run, whatever the file says.

    Raises:
        ConfigError: Tells all faults of the recipe; where it has none, all faults of what is to be tried.

    Example:
        >>> tuned = load_tuned_recipe(find_recipe("digits_base"), ["tune.space.fine_tune.epochs=[5,10]"])
        >>> tuned.own("fine_tune.epochs"), tuned.at({"fine_tune.epochs": 5}).fine_tune.epochs
        (15, 5)
    """
    tree = read_recipe(path, overrides, script=script)
    config = tree.checked()
    if isinstance(config, UnlabelledRecipe):
        raise ConfigError(f"the recipe '{path}' has no stages that trials could watch", hint=_OTHER_WAYS[type(config)])
    if getattr(config, "earlier", None) is not None:
        raise ConfigError(
            f"the recipe '{path}' goes on from an earlier run, and its trials would begin with a backbone",
            hint="tune the recipe of that run, or leave earlier: out",
        )
    if config.tune is None or not config.tune.space:
        raise ConfigError(f"the recipe '{path}' does not say what to try", hint=_HINT)
    faults: list[str] = []
    space = {key: _values(key, said, tree, config, faults) for key, said in config.tune.space.items()}
    if faults:
        raise config_error(path, faults)
    return TunedRecipe(config, config.tune, {key: one for key, one in space.items() if one is not None}, tree)


def _values(key: str, said: Plain, tree: RecipeTree, config: TrainedRecipe, faults: list[str]) -> Values | None:
    """What is tried of a key; None when `faults` has become longer."""
    place, before = tree.places.of(("tune", "space", key)), len(faults)
    found: Values | None = None
    if fault := _not_tuned(key, tree, config):
        faults.append(f"{fault} {place}")
    elif isinstance(said, list):
        if len({json.dumps(value, sort_keys=True) for value in said}) < max(2, len(said)):
            faults.append(f"tune.space.{key} must have two or more values, all different; got {shown(said)} {place}")
        faults += _refused(tree, key, said)
        found = Choices(tuple(said))
    elif isinstance(said, dict):
        wrong = _range_faults(said)
        faults += [f"tune.space.{key} must be {fault} {place}" for fault in wrong]
        found = None if wrong else _range(key, said, tree, faults)
    else:
        faults.append(f"tune.space.{key} must be a list, or {{low, high, log, step}}; got {shown(said)} {place}")
    return found if len(faults) == before else None


def _range(key: str, said: Mapping[str, Plain], tree: RecipeTree, faults: list[str]) -> Range:
    low, high, step = said["low"], said["high"], said.get("step")
    assert isinstance(low, int | float) and isinstance(high, int | float)
    faults += _refused(tree, key, [low, high])
    # A key of whole numbers refuses what lies between two of them.
    whole = isinstance(low, int) and isinstance(high, int) and bool(_refused(tree, key, [low + 0.5]))
    if whole and isinstance(step, float):
        place = tree.places.of(("tune", "space", key))
        faults.append(f"tune.space.{key} is of whole numbers, so its step must be one; got {step:g} {place}")
    return Range(low, high, said.get("log") is True, step if isinstance(step, int | float) else None, whole)


def _not_tuned(key: str, tree: RecipeTree, config: TrainedRecipe) -> str:
    """Why a key cannot be tried; empty when it can."""
    section, _, name = key.partition(".")
    kinds = section_types(tree.kind)
    known = [one for one in (*_TUNED_SECTIONS, "data") if one in kinds]
    if section not in kinds:
        return f"tune.space.{key}: {section} is not a section; {nearest(section, known)}"
    fields = kinds[section].model_fields
    if name not in fields:
        return f"tune.space.{key}: {section}.{name} is not a known key; {nearest(name, fields)}"
    if section not in known or (section == "data" and name not in _TUNED_DATA):
        of_data = ", ".join(f"data.{one}" for one in _TUNED_DATA if one in kinds["data"].model_fields)
        told = f"keys of {', '.join(one for one in known if one != 'data')}, and {of_data}"
        return f"tune.space.{key} cannot be tried: trials are compared on the same examples; what can be: {told}"
    if getattr(config, section) is None:
        return f"tune.space.{key}: the recipe has no section {section}: to try its keys"
    return ""


def _range_faults(said: Mapping[str, Plain]) -> list[str]:
    """What is wrong with the words of a range; each goes on behind "must be"."""
    low, high, step, log = (said.get(name) for name in ("low", "high", "step", "log"))
    wrong = [f"a range of low, high, log and step; got {name}" for name in said if name not in _OF_RANGE]
    if not _is_number(low) or not _is_number(high):
        return [*wrong, f"a range whose low and high are numbers; got {shown(low)} and {shown(high)}"]
    assert isinstance(low, int | float) and isinstance(high, int | float)
    if low >= high:
        wrong.append(f"a range whose low is below its high; got {low:g} and {high:g}")
    if log not in (None, True, False):
        wrong.append(f"a range whose log is true or false; got {shown(log)}")
    if log is True and low <= 0:
        wrong.append(f"a range whose low is above 0, as log is true; got {low:g}")
    if step is not None and (not _is_number(step) or not 0 < float(str(step)) <= high - low):
        wrong.append(f"a range whose step is a number above 0 and not more than high - low; got {shown(step)}")
    if step is not None and log is True:
        wrong.append("a range with step or with log: true, not both")
    return wrong


_OF_RANGE = ("low", "high", "log", "step")


def _is_number(value: Plain) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


def _same(one: Plain, other: Plain) -> bool:
    """Whether two values are one: 1 and 1.0 are, 1 and true are not."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


class _InSpace(Places):
    """Every fault stands where the values to try were written."""

    def __init__(self, places: Places, key: str) -> None:
        super().__init__("", {})
        self._place = places.of(("tune", "space", key))

    def of(self, path: KeyPath) -> str:
        return self._place


def _refused(tree: RecipeTree, key: str, values: Sequence[Plain]) -> list[str]:
    """What the recipe's own schema and rules say against each value."""
    places = _InSpace(tree.places, key)
    told = [
        fault for value in values for fault in replace(_with_values(tree, {key: value}), places=places).validated()[1]
    ]
    return [f"tune.space: {fault}" for fault in dict.fromkeys(told)]


def _with_values(tree: RecipeTree, values: Mapping[str, Plain]) -> RecipeTree:
    changed = copy.deepcopy(tree.values)
    for key, value in values.items():
        section, _, name = key.partition(".")
        inner = changed.setdefault(section, {})
        assert isinstance(inner, dict)
        inner[name] = value
    return replace(tree, values=changed)
