"""Names of a package that are imported when they are first asked for (PEP 562)."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def names_on_demand(package: str, names_of_modules: Mapping[str, str]) -> Callable[[str], Any]:
    """What a package has as its `__getattr__`, so that importing it loads none of its modules.

    Args:
        package: Its `__name__`.
        names_of_modules: For each module the names that the package gives, with blanks between.

    Example:
        >>> names_on_demand("tfkit.data", {"targets": "CLASSES"})("CLASSES").kind
        'classes'
    """
    module_of = {name: module for module, names in names_of_modules.items() for name in names.split()}

    def find(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        return getattr(importlib.import_module(f"{package}.{module_of[name]}"), name)

    return find
