"""What several commands are asked in the same words, said once."""

import functools
import inspect
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from tfkit.artifacts import ChannelOrder, PixelScaling, checked_scaling
from tfkit.errors import ConfigError

ModelPath = Annotated[
    Path,
    typer.Argument(help="A run's folder, a .tflite file, a SavedModel's folder or a .keras file.", metavar="PATH"),
]
KerasModel = Annotated[Path, typer.Argument(help="A .keras or .h5 file, or a run's folder.", metavar="MODEL")]
FinishedRun = Annotated[Path, typer.Argument(help="The folder of a finished run, such as runs/digits.", metavar="RUN")]
NEW = typer.Argument(help="New pictures or folders of them; of texts .txt files or tables.", metavar="NEW...")
Overrides = Annotated[
    list[str] | None, typer.Argument(help="Values to change, such as head.epochs=3.", metavar="KEY=VALUE")
]
CustomObjects = Annotated[
    str | None,
    typer.Option(help="A Python file or module that defines the model's own layers; it is run.", metavar="MODULE"),
]
Labels = Annotated[Path | None, typer.Option(help="A file with one label a line.", metavar="FILE")]
ImageSize = Annotated[int | None, typer.Option(min=1, help="For a model that takes any size.")]
TaskOption = Annotated[
    str | None,
    typer.Option(
        help="What the outputs are, where the model does not say: classification, multilabel or regression.",
        metavar="TASK",
    ),
]
Column = Annotated[str | None, typer.Option(help="Of texts: its name or number; as the run's data.")]
Header = Annotated[bool | None, typer.Option(help="Of texts: whether the first line names the columns.")]
Threads = Annotated[int, typer.Option(min=1, help="CPU threads.")]


@dataclass(frozen=True)
class PixelOptions:
    """What a model took for a pixel. A command that takes this value has these four options."""

    input_range: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="LOW HIGH", help="What pixels 0 and 255 became before the model saw them: 0 1, or -1 1."),
    ] = None
    input_mean: Annotated[
        str | None,
        typer.Option(metavar="R,G,B", help="What was taken from the pixels, one number or one a channel; 0..255."),
    ] = None
    input_std: Annotated[
        str | None,
        typer.Option(metavar="R,G,B", help="What they were divided by then; with --input-range 0 1 both are of 0..1."),
    ] = None
    input_channels: Annotated[ChannelOrder, typer.Option(help="The order of the channels that the model takes.")] = (
        "rgb"
    )

    def scaling(self) -> PixelScaling | None:
        """What the options say together; None when nothing was said.

        Raises:
            ConfigError: Tells every fault of them.
        """
        faults: list[str] = []
        means = _numbers("--input-mean", self.input_mean, faults)
        deviations = _numbers("--input-std", self.input_std, faults)
        if faults:
            raise ConfigError("\n".join(faults), hint="--help says what each of them means")
        return checked_scaling(self.input_range, means, deviations, self.input_channels, called="--input-")


def _numbers(option: str, said: str | None, faults: list[str]) -> tuple[float, ...]:
    try:
        numbers = tuple(float(word) for word in said.split(",")) if said is not None else ()
    except ValueError:
        numbers = (math.nan,)
    if not all(map(math.isfinite, numbers)):
        faults.append(f"{option} is numbers with commas between them: 123.7,116.3,103.5; got '{said}'")
        return ()
    return numbers


def min_runtime_option(refused: str) -> Any:
    """The option `--min-runtime`, its value checked.

    Args:
        refused: What is refused by it, such as `a file`.
    """
    told = f"Refuse {refused} that this TensorFlow Lite runtime cannot read."
    return typer.Option(help=told, metavar="2.14", callback=_runtime_version)


def _runtime_version(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"\d+(\.\d+){1,2}", value):
        raise ConfigError(f"--min-runtime must be a version of TensorFlow Lite such as 2.14; got '{value}'")
    return value


def laid_open(command: Callable[..., int]) -> Callable[..., int]:
    """A command as typer takes it: in place of each value of options, such as `PixelOptions`, its fields.

    Args:
        command: A function; typer's annotations stand at its arguments and at the fields of their dataclasses.

    Returns:
        The same, asked by keywords alone.
    """
    arguments = inspect.signature(command).parameters
    groups: dict[str, Any] = {name: one.annotation for name, one in arguments.items() if is_dataclass(one.annotation)}

    @functools.wraps(command)
    def asked(**said: Any) -> int:
        for name, group in groups.items():
            said[name] = group(**{field.name: said.pop(field.name) for field in fields(group)})
        return command(**said)

    def parameters() -> Iterator[inspect.Parameter]:
        for name, one in arguments.items():
            if name not in groups:
                yield one.replace(kind=inspect.Parameter.KEYWORD_ONLY)
                continue
            for field in fields(groups[name]):
                kind = inspect.Parameter.KEYWORD_ONLY
                yield inspect.Parameter(field.name, kind, default=field.default, annotation=field.type)

    asked.__signature__ = inspect.Signature(list(parameters()))  # type: ignore[attr-defined]
    return asked
