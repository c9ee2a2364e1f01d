"""Who names a task: its own module, the list of tasks, the list of kinds of labels, and its section of a recipe."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import tfkit
from tfkit.tasks import CLASSIFICATION, EMBEDDING, MULTILABEL, RANKING, REGRESSION, SEGMENTATION, TASKS

PACKAGE = Path(tfkit.__file__).parent
NAMED_BY_ALL = (CLASSIFICATION, EMBEDDING)  # what a model is when nobody says more, and a recipe of its own


def _identifiers(tree: ast.Module) -> Iterator[str]:
    """Every name that a module reads or imports, and every string that is compared, looked up or listed."""
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents:
            yield node.value


def _files_that_name(*names: str) -> set[str]:
    files = set()
    for file in PACKAGE.rglob("*.py"):
        if not set(_identifiers(ast.parse(file.read_text(encoding="utf-8")))).isdisjoint(names):
            files.add(file.relative_to(PACKAGE).as_posix())
    return files


def _modules_of(task: str, kind: str) -> set[str]:
    return {f"tasks/{task}.py", f"data/target_kinds/{kind}.py"}


@pytest.mark.parametrize("task", [MULTILABEL, REGRESSION], ids=lambda task: task.name)
def test_at_most_three_files_beside_its_own_modules_name_a_task(task) -> None:  # type: ignore[no-untyped-def]
    found = _files_that_name(task.name, task.name.upper()) - _modules_of(task.name, task.targets.name)
    assert found == {"tasks/__init__.py", "config/task_section.py"}
    found |= _files_that_name(task.targets.name.upper()) - _modules_of(task.name, task.targets.name)
    found -= {f"tasks/{RANKING.name}.py"}  # what a user took is a set of labels too
    assert found == {
        "tasks/__init__.py",
        "config/task_section.py",
        "data/target_kinds/__init__.py",
    }


def test_a_segmenter_is_named_where_masks_are_read_and_nowhere_else() -> None:
    rooms = {file.split("/")[0] for file in _files_that_name(SEGMENTATION.name, SEGMENTATION.name.upper())}
    assert rooms == {"tasks", "config"}


def test_only_the_default_and_the_embedders_are_named_elsewhere() -> None:
    names = {task.name for task in TASKS if task not in NAMED_BY_ALL}
    rooms = {file.split("/")[0] for file in _files_that_name(*names)}
    assert rooms == {"tasks", "config"}
