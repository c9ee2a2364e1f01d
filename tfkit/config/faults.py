"""Faults of a recipe as sentences: which key, what it must be, what came, and where it stands."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, get_args

from pydantic.fields import FieldInfo

from tfkit.config.training_sections import Section
from tfkit.config.yaml_document import KeyPath, Tree

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_LONGEST_VALUE = 60


class Places:
    """Where each key of a recipe was written: a line of the file, or the command line."""

    def __init__(self, file_name: str, lines: Mapping[KeyPath, int]) -> None:
        self._file_name = file_name
        self._lines = lines
        self._overridden: set[KeyPath] = set()

    def came_from_command_line(self, path: KeyPath) -> None:
        """Remember that an override set this key."""
        self._overridden.add(path)

    def of(self, path: KeyPath) -> str:
        """`(file.yaml:14)` or `(command line)` of the key, or of the nearest section around it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._overridden:
                return "(command line)"
            if path[:length] in self._lines:
                return f"({self._file_name}:{self._lines[path[:length]]})"
        return f"({self._file_name})"


def section_types(recipe: type[Section]) -> dict[str, type[Section]]:
    """The sections of a kind of recipe by name: `{"head": HeadSection, ...}`."""
    found: dict[str, type[Section]] = {}
    for name, field in recipe.model_fields.items():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, Section):
                found[name] = kind
    return found


def describe_errors(
    errors: Sequence["ErrorDetails"], tree: Tree, places: Places, *, recipe: type[Section]
) -> list[str]:
    """One sentence for every key at fault.

    Args:
        errors: What pydantic found (`ValidationError.errors()`).
        tree: The recipe's plain values.
        places: Where they stand.
        recipe: The kind of recipe.

    Returns:
        Sentences such as `head.epochs must be a whole number of 1 or more; got 0 (mine.yaml:14)`.
    """
    sentences: dict[KeyPath, str] = {}
    for error in errors:
        # Deeper parts name the branches of a union and the items of a list: the key itself is what is told.
        path = tuple(error["loc"][:2])
        if path not in sentences:
            sentences[path] = f"{_sentence(path, error, tree, recipe)} {places.of(path)}"
    return list(sentences.values())


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean epochs?`, or all known names when none is near.

    Example:
        >>> nearest("epoch", ["epochs", "learning_rate"])
        'did you mean epochs?'
    """
    names = list(known)
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"expected one of {', '.join(names)}"


def shown(value: object) -> str:
    """A value as a recipe would write it, cut when it is long.

    Example:
        >>> shown({"epochs": 3})
        "{'epochs': 3}"
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 3]}..."


def _sentence(path: KeyPath, error: "ErrorDetails", tree: Tree, recipe: type[Section]) -> str:
    name = ".".join(str(part) for part in path)
    kinds = section_types(recipe)
    inside = len(error["loc"]) > len(path)  # a fault of an item: the key itself is told
    if error["type"] == "extra_forbidden" and not inside:
        if len(path) == 1:
            return f"{name} is not a section; {nearest(name, recipe.model_fields)}"
        return f"{name} is not a known key; {nearest(str(path[1]), kinds[str(path[0])].model_fields)}"
    if len(path) == 1 and name in kinds:
        if error["type"] == "missing":
            return f"the section {name}: is missing"
        keys = ", ".join(kinds[name].model_fields)
        return f"{name} must be a section of keys ({keys}); got {shown(tree[name])}"
    field = (kinds[str(path[0])] if len(path) == 2 else recipe).model_fields[str(path[-1])]
    expected = _expected(field, error)
    if error["type"] == "missing" and not inside:
        return f"{name} is missing; it must be {expected}"
    value = tree[str(path[0])]
    if len(path) == 2 and isinstance(value, dict):
        value = value[str(path[1])]
    return f"{name} must be {expected}; got {shown(value)}"


def _bound(error: "ErrorDetails") -> str:
    """The limit that the words leave out, because nobody comes near it but by mistake."""
    limits, came = error.get("ctx", {}), error.get("input")
    if error["type"] == "less_than_equal" and limits["le"] > 1:
        return f", at most {limits['le']:,}"
    tiny = error["type"] == "greater_than_equal" and 0 < limits["ge"] < 1 and isinstance(came, float) and came > 0
    return f", at least {limits['ge']:g}" if tiny else ""


def _expected(field: FieldInfo, error: "ErrorDetails") -> str:
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "expected" in extra:
        return str(extra["expected"]) + _bound(error)
    choices = [shown(choice) for choice in get_args(field.annotation)]
    return f"{', '.join(choices[:-1])} or {choices[-1]}"
