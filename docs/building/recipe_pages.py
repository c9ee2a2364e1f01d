"""Every key of every recipe, from the models that recipes are checked with."""

import json
import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tfkit.config import find_script, shipped_scripts
from tfkit.config.loader import script_schema

_HEAD = """# Recipe keys: `{recipe}`

Every key of a recipe with `recipe: {recipe}`, written from the code that checks it. Change any of them on the command
line: `tfkit run RECIPE section.key=value`. `section=null` leaves a section out. A key without a default must be given.
"""


def recipe_pages() -> list[tuple[str, str, str]]:
    """Title, file name and text of a page for each recipe script that comes with tfkit."""
    scripts = {name: script_schema(find_script(name)) for name in shipped_scripts()}
    return [(name, f"recipe_{name}.md", _page(name, schema)) for name, schema in scripts.items()]


def _page(recipe: str, kind: type[BaseModel]) -> str:
    text = [_HEAD.format(recipe=recipe)]
    for name, field in kind.model_fields.items():
        for section in _models_in(field.annotation):
            runs = " Left out, it does not run." if field.default is None else ""
            text += [f"## {name}", _sentence(section) + runs, *_tables(section)]
    return "\n\n".join(text) + "\n"


def _tables(section: type[BaseModel]) -> Iterator[str]:
    rows = ["| key | default | takes | what it does |", "| --- | --- | --- | --- |"]
    rows += [_row(name, field) for name, field in section.model_fields.items()]
    yield "\n".join(rows)
    for name, field in section.model_fields.items():
        for inner in _models_in(field.annotation):
            yield f"Each of `{name}`: {_sentence(inner)}"
            yield from _tables(inner)


def _row(name: str, field: FieldInfo) -> str:
    extra = field.json_schema_extra
    expected = extra.get("expected") if isinstance(extra, dict) else None
    cells = [f"`{name}`", _default(field), str(expected or _values(field.annotation)), field.description or ""]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, BaseModel):
        return "see below"
    return f"`{json.dumps(value, default=str)}`"


def _values(annotation: Any) -> str:
    """What a key takes, where its type says it all."""
    parts = _union_parts(annotation)
    if len(parts) > 1:
        return " or ".join(_values(part) for part in parts)
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if annotation is type(None):
        return "null"
    return {bool: "true or false", str: "text", int: "a whole number", float: "a number"}.get(annotation, "see below")


def _union_parts(annotation: Any) -> list[Any]:
    return list(get_args(annotation)) if get_origin(annotation) in (Union, types.UnionType) else [annotation]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a type is made of: `Section | None`, `tuple[Pair, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _sentence(model: type[BaseModel]) -> str:
    """What a model's docstring says of it, without the key that it begins with."""
    first = (model.__doc__ or "").strip().split("\n\n")[0]
    _, dash, rest = first.partition(" - ")
    return (rest if dash else first)[:1].upper() + (rest if dash else first)[1:]
