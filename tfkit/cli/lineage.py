"""`tfkit lineage`: where exported files come from."""

from pathlib import Path
from typing import Annotated

import typer

from tfkit.cli.documents import print_document


def lineage(
    path: Annotated[
        Path, typer.Argument(help="A run's folder, an artifacts folder, or a file in one.", metavar="PATH")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, digests whole.")] = False,
) -> int:
    """Say which recipe, data and earlier models made a file."""
    from tfkit.operations import ancestry_tree, trace
    from tfkit.terminal import Display

    found = trace(path)
    if as_json:
        print_document(found.document())
    else:
        Display().table(ancestry_tree(found, title=str(path)))
    return 0
