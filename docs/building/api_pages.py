"""One page for each room of tfkit that shows names to the outside; mkdocstrings fills it from the docstrings."""

import ast
from pathlib import Path

_NOT_FOR_CALLERS = ("tfkit.cli", "tfkit.config")  # the command line; the recipe pages


def api_pages(package: Path) -> list[tuple[str, str, str]]:
    """Title, file name and text of each page.

    Args:
        package: The folder `tfkit/`.
    """
    pages = []
    for file in sorted(package.rglob("__init__.py")):
        name = ".".join(file.parent.relative_to(package.parent).parts)
        names = _public_names(file)
        if names and not name.startswith(_NOT_FOR_CALLERS):
            members = "\n".join(f"        - {member}" for member in names)
            text = f"# {name}\n\n::: {name}\n    options:\n      show_root_heading: false\n      members:\n{members}\n"
            pages.append((name, f"{name}.md", text))
    return pages


def _public_names(file: Path) -> list[str]:
    stub = file.with_suffix(".pyi")  # of a room that loads its modules on demand
    for statement in ast.parse((stub if stub.exists() else file).read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and getattr(statement.targets[0], "id", "") == "__all__":
            return list(ast.literal_eval(statement.value))
    return []
