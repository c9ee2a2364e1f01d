"""YAML with memory: values together with the place each was written.

Scalars follow the YAML 1.2 core schema, not PyYAML's 1.1: `1e-3` is a number, `no` and `on` are words, and
`007` stays text.
"""

import re
from dataclasses import dataclass, field
from typing import TypeAlias, cast

import yaml

KeyPath = tuple[str | int, ...]

# What a recipe's text holds: plain values, valid or not; and a section, or the whole recipe.
Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"
Tree: TypeAlias = dict[str, Plain]

# (tag, pattern, first characters) of the words that are not text.
_SCALARS = (
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("tag:yaml.org,2002:int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
)


_MOST_VALUES = 10_000  # keys, lists and mappings too
_DEEPEST = 16
_TOO_DEEP = f"lists or mappings stand more than {_DEEPEST} deep in one another"
_PLAIN_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


class _Loader(yaml.SafeLoader):
    """Counts while it reads: what an alias stands for counts again, so that aliases of aliases end before they grow."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own name and form

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._values, self._depth = 0, 0
        self._behind: dict[int, int] = {}  # values that a node holds, itself among them

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """PyYAML's own, within `_MOST_VALUES` and `_DEEPEST`."""
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        mark, before = cast("yaml.Mark", event.start_mark), self._values
        if self._depth > _DEEPEST:
            raise yaml.MarkedYAMLError(problem=_TOO_DEEP, problem_mark=mark)
        is_alias = isinstance(event, yaml.AliasEvent)
        self._values += 0 if is_alias else 1
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if is_alias:
            self._values += self._behind.get(id(node), 1)  # 1: it stands inside its own anchor
        self._behind.setdefault(id(node), self._values - before)
        if self._values > _MOST_VALUES:
            raise yaml.MarkedYAMLError(problem=f"more than {_MOST_VALUES:,} values", problem_mark=mark)
        return node


class _Dumper(yaml.SafeDumper):
    """Keeps the rules of YAML 1.1 as well: what either version would misread is quoted."""


for _tag, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), _first)
    _Dumper.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), _first)


@dataclass
class YamlDocument:
    """The values of a YAML text and where they stand.

    Attributes:
        value: Plain dicts, lists and scalars.
        lines: Line (from 1) of every key and list item, by its path.
        faults: What is wrong with the text itself: syntax, keys that stand twice, keys that are not text.
        empty: Paths whose value was left out (`head:` and nothing after it).
    """

    value: Plain = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    faults: list[tuple[int, str]] = field(default_factory=list)
    empty: set[KeyPath] = field(default_factory=set)


def parse_yaml(text: str) -> YamlDocument:
    """Read one YAML document; faults are collected, never raised.

    Args:
        text: The document.

    Returns:
        Its values, their lines and its faults.

    Example:
        >>> parse_yaml("head: {learning_rate: 1e-3}").value
        {'head': {'learning_rate': 0.001}}
    """
    document = YamlDocument()
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is not None:
            document.value = _value(node, (), document, loader, frozenset())
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        problem = getattr(fault, "problem", None) or str(fault)
        document.faults.append((mark.line + 1 if mark else 1, f"not valid YAML: {problem}"))
    finally:
        if loader is not None:
            loader.dispose()
    return document


def dump_yaml(value: object) -> str:
    """Write plain values as YAML that `parse_yaml` reads back to the same values.

    Example:
        >>> dump_yaml({"head": {"epochs": 3}}).split()
        ['head:', 'epochs:', '3']
    """
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def _value(node: yaml.Node, path: KeyPath, document: YamlDocument, loader: "_Loader", parents: frozenset[int]) -> Plain:
    if id(node) in parents:
        document.faults.append((node.start_mark.line + 1, "an alias (*) stands inside its own anchor (&)"))
        return None
    parents |= {id(node)}
    line = node.start_mark.line + 1
    if len(path) > _DEEPEST:  # through aliases
        document.faults.append((line, _TOO_DEEP))
        return None
    if not isinstance(node, yaml.ScalarNode) and node.tag not in _PLAIN_TAGS:
        document.faults.append(
            (node.start_mark.line + 1, f"not valid YAML: a recipe holds plain values; got a {node.tag}")
        )
        return None
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, document, loader, parents)
    if isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            document.lines[(*path, position)] = item.start_mark.line + 1
        return [_value(item, (*path, i), document, loader, parents) for i, item in enumerate(node.value)]
    assert isinstance(node, yaml.ScalarNode)  # there is no fourth kind
    if node.value == "" and node.style is None:
        document.empty.add(path)
    try:
        value: Plain = loader.construct_object(node)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):  # `!!int foo`, or thousands of digits
        document.faults.append((line, f"not valid YAML: '{node.value[:40]}' is no {node.tag.rpartition(':')[2]}"))
        return None
    if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
        document.faults.append((line, "a text holds half a character (a surrogate)"))
        return None
    return value


def _mapping(
    node: yaml.MappingNode, path: KeyPath, document: YamlDocument, loader: "_Loader", parents: frozenset[int]
) -> Tree:
    values: Tree = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            document.faults.append((line, "a key must be a word; got a list or a mapping"))
            continue
        # The key's own text, so that a class called 5 or true is a name.
        key = key_node.value
        key_path = (*path, key)
        if key in values:
            name = ".".join(str(part) for part in key_path)
            document.faults.append((line, f"{name} stands twice; first in line {document.lines[key_path]}"))
            continue
        document.lines[key_path] = line
        values[key] = _value(value_node, key_path, document, loader, parents)
    return values
