"""The option of every command that loads Keras models: where layers of the user's own are defined."""

from typing import Annotated

import typer

CustomObjects = Annotated[
    str | None,
    typer.Option(help="A Python file or module that defines the model's own layers; it is run.", metavar="MODULE"),
]
