"""`tfkit lineage`, `push` and `sign`: where exported files come from, where they go, and who says so."""

from pathlib import Path
from typing import Annotated

import typer

from tfkit.cli.documents import print_document
from tfkit.cli.options import FinishedRun


def lineage(
    path: Annotated[Path, typer.Argument(help="A run, an artifacts folder, a bundle, or a file in one.")],
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


def push(
    run: FinishedRun,
    destination: Annotated[str, typer.Argument(help="hf://USER/NAME or mlflow:EXPERIMENT.", metavar="TO")],
    dry_run: Annotated[Path | None, typer.Option(help="Write the repository there, send nothing.")] = None,
    private: Annotated[bool, typer.Option("--private", help="A new repository is private.")] = False,
    revision: Annotated[str | None, typer.Option(help="The repository's branch.")] = None,
    no_golden: Annotated[bool, typer.Option("--no-golden", help="Without real examples of the data.")] = False,
) -> int:
    """Share the accepted files of a run: on the Hugging Face Hub, or in MLflow."""
    from tfkit.operations import PushOptions, push
    from tfkit.terminal import Display

    pushed = push(run, destination, PushOptions(not no_golden, dry_run, private, revision))
    Display().notes((*pushed.files, *pushed.notes, f"pushed to {pushed.place}"))
    return 0


def sign(
    path: Annotated[Path, typer.Argument(help="A run's folder, an artifacts folder or a bundle.", metavar="PATH")],
    key: Annotated[Path, typer.Option(help="A private key (P-256, PEM).", metavar="FILE")],
) -> int:
    """Sign all files of a folder with a key; tfkit verify PATH --public-key compares them."""
    from tfkit.deployment import sign_folder
    from tfkit.terminal import Display

    signature = sign_folder(path, key=key)
    Display().note(f"{signature.file}: {signature.signed} files, by the key {signature.key_sha256[:12]}")
    return 0
