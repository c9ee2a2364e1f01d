"""Every example in a docstring of tfkit runs and prints what it says, but for those marked as not to be run.

An example sees its module's names, the public names of every room, `keras`, `np`, `Path` and what
`docstring_values` has; it runs in a folder of its own.
"""

import ast
import doctest
import importlib
import io
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import tfkit

from .docstring_values import ExampleValues

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
PACKAGE = Path(tfkit.__file__).parent


def documented_modules() -> Iterator[str]:
    """Modules whose text holds an example that runs."""
    for file in sorted(PACKAGE.rglob("*.py")):
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if ">>>" in line]
        if any("+SKIP" not in line for line in lines):
            parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
            yield ".".join(parts).removesuffix(".__init__")


@pytest.fixture(scope="module")
def values(tmp_path_factory: pytest.TempPathFactory) -> tuple[ExampleValues, Path]:
    folder = tmp_path_factory.mktemp("examples")
    return ExampleValues(folder), folder


@pytest.fixture(scope="module")
def public_names() -> dict[str, Any]:
    names: dict[str, Any] = {"tfkit": tfkit, "keras": keras, "np": np, "Path": Path}
    for found in pkgutil.walk_packages([str(PACKAGE)], "tfkit."):
        if found.ispkg and not found.name.startswith(("tfkit.cli", "tfkit._")):
            room = importlib.import_module(found.name)
            names |= {name: getattr(room, name) for name in getattr(room, "__all__", ())}
    return names


@pytest.mark.slow
@pytest.mark.parametrize("name", documented_modules())
def test_examples_of(
    name: str, values: tuple[ExampleValues, Path], public_names: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, folder = values
    monkeypatch.chdir(folder)
    module = importlib.import_module(name)
    faults = []
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        run = [example for example in test.examples if not example.options.get(doctest.SKIP)]
        source = "\n".join(example.source for example in run)
        used = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
        test.globs = public_names | vars(module) | made.named_in(source, used)
        told = io.StringIO()
        keras.utils.set_random_seed(0)
        if doctest.DocTestRunner(optionflags=OPTIONS, verbose=False).run(test, out=told.write).failed:
            faults.append(told.getvalue())
    assert not faults, "\n".join(faults)
