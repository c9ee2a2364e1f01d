"""What commands print for programs."""

import json

import typer


def print_document(document: object, *, ascii_only: bool = False) -> None:
    """Print plain values as JSON; bytes of a name that are not UTF-8 come out as `\\udcff`.

    Args:
        document: Dicts, lists, texts and numbers; what else is in it, such as a path, is printed as its text.
        ascii_only: Escape other letters too.

    Example:
        >>> print_document([1])
        [
          1
        ]
    """
    text = json.dumps(document, indent=2, default=str, ensure_ascii=ascii_only)
    typer.echo(text.encode("utf-8", "backslashreplace").decode())
