"""`tfkit lineage`: where exported files come from."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

    from tfkit.operations import Ancestry

_STATES = {
    "same": "here, the same bytes",
    "changed": "here, with OTHER bytes than went in",
    "missing": "not here",
    "named": "a name, no file",
}
_SHOWN = 12  # characters of a digest


def lineage(
    path: Annotated[
        Path, typer.Argument(help="A run's folder, an artifacts folder, or a file in one.", metavar="PATH")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, digests whole.")] = False,
) -> int:
    """Say which recipe, data and earlier models made a file."""
    from rich.tree import Tree

    from tfkit.operations import trace
    from tfkit.terminal import Display

    found = trace(path)
    if as_json:
        typer.echo(json.dumps(found.document(), indent=2, ensure_ascii=False))
        return 0
    tree = Tree(_line(str(path), ""))
    _grow(tree, found)
    Display().table(tree)
    return 0


def _grow(tree: "Tree", found: "Ancestry") -> None:
    said = found.lineage
    if said.run is not None:
        tree.add(_line("run", said.run))
    if said.recipe_sha256 is not None:
        tree.add(_line("recipe", f"sha256 {said.recipe_sha256[:_SHOWN]}"))
    if said.data_sha256:
        counts = ", ".join(f"{count} {name}" for name, count in said.examples.items())
        tree.add(_line("data", f"sha256 {said.data_sha256[:_SHOWN]}: {counts}"))
    if said.figures:
        tree.add(_line("Keras model", ", ".join(f"{name} {value:.4g}" for name, value in said.figures.items())))
    tree.add(_line("made by", ", ".join(f"{name} {version}" for name, version in said.versions.items())))
    for one in found.ancestors:
        digest = "" if one.parent.sha256 is None else f"sha256 {one.parent.sha256[:_SHOWN]}, "
        branch = tree.add(_line(one.parent.role, f"{one.parent.name} ({digest}{_STATES[one.state]})"))
        if one.ancestry is not None:
            _grow(branch, one.ancestry)


def _line(name: str, told: str) -> "Text":
    from rich.text import Text

    from tfkit.errors import printable

    return Text.assemble((name, "bold"), f"  {printable(told)}" if told else "")
