"""No module of tfkit needs itself, whichever imports are counted: those for annotations and inside functions too."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

_HOUSE = Path(__file__).parents[1]


def _name_of(path: Path) -> str:
    parts = path.relative_to(_HOUSE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _given_by(room: Path) -> dict[str, str]:
    """The module that each name of a room comes from, as its `__init__.pyi` says."""
    return {
        name.name: f"{_name_of(room)}.{node.module}"
        for node in ast.walk(ast.parse(room.with_suffix(".pyi").read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level
        for name in node.names
    }


def _imported(tree: ast.AST, modules: set[str], given: dict[str, dict[str, str]]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for name in node.names:
                inner = f"{node.module}.{name.name}"
                yield inner if inner in modules else given.get(node.module, {}).get(name.name, node.module)


def _import_graph() -> dict[str, set[str]]:
    paths = {_name_of(path): path for path in (_HOUSE / "tfkit").rglob("*.py")}
    given = {name: _given_by(path) for name, path in paths.items() if path.with_suffix(".pyi").exists()}
    found = {
        name: set(_imported(ast.parse(path.read_text(encoding="utf-8")), set(paths), given))
        for name, path in paths.items()
    }
    return {name: imported & set(paths) - {name} for name, imported in found.items()}


def test_imports_make_no_circle():
    graph = _import_graph()
    assert "tfkit.compression.folded" in graph["tfkit.compression.kinds.kernels"]  # for annotations alone
    assert "tfkit.compression.kinds.known" in graph["tfkit.compression.folding"]  # by the name that its room gives
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as fault:
        pytest.fail(" -> ".join(fault.args[1]))
