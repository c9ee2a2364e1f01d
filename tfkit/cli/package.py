"""`tfkit package`: an accepted run as a bundle that starts elsewhere.

Each script of `export/` is one of its commands: its function `command`, with typer's annotations.
"""

from importlib import import_module, resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from tfkit.cli.options import laid_open

if TYPE_CHECKING:
    from tfkit.deployment import Bundle
    from tfkit.terminal import Display

AcceptedRun = Annotated[Path, typer.Argument(help="The folder of an accepted run, such as runs/digits.", metavar="RUN")]
BundleFolder = Annotated[
    Path | None, typer.Option(help="The bundle's folder; NAME and the kind when left out.", metavar="DIR")
]
ModelName = Annotated[str | None, typer.Option(help="The model's name; the run's when left out.")]
ModelVersion = Annotated[int, typer.Option(help="The number of this version.")]
BuiltImage = Annotated[str | None, typer.Option(help="What the built image is to be called.")]

_SCRIPTS = "tfkit._export"
_PREFIX = "package_"


class _Scripts(TyperGroup):
    """The scripts of `export/`, imported when they are asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        files = (Path(file.name) for file in resources.files(_SCRIPTS).iterdir())
        stems = sorted(file.stem for file in files if file.suffix == ".py" and file.stem.startswith(_PREFIX))
        return [stem.removeprefix(_PREFIX).replace("_", "-") for stem in stems]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.list_commands(ctx):
            return None
        script = import_module(f"{_SCRIPTS}.{_PREFIX}{cmd_name.replace('-', '_')}")
        single = typer.Typer(add_completion=False, rich_markup_mode="rich")
        single.command(cmd_name)(laid_open(script.command))
        return typer.main.get_command(single)


app = typer.Typer(cls=_Scripts, no_args_is_help=True, help="Turn an accepted run into a bundle that others can start.")


@app.callback()
def _bundles() -> None:
    """Turn an accepted run into a bundle that others can start."""


def show_bundle(display: "Display", folder: Path, bundle: "Bundle", *, guide: str, start: str | None) -> int:
    """Say what was not checked, and how to go on; the exit status.

    Args:
        display: Where.
        folder: The bundle's.
        bundle: What it is.
        guide: The file in it to be read first.
        start: The command that starts it; None where there is none.
    """
    display.notes(f"not checked: {sentence}" for sentence in bundle.not_checked)
    display.next_steps(folder / guide, *([start] if start else []), f"tfkit verify {folder}")
    return 0
