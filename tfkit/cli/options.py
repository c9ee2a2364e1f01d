"""Options that several commands have: what a model takes and gives, and where its own layers are defined."""

import math
import re
from typing import Annotated

import typer

from tfkit.artifacts import ChannelOrder, PixelScaling, checked_scaling
from tfkit.errors import ConfigError
from tfkit.opening.judging import Task

CustomObjects = Annotated[
    str | None,
    typer.Option(help="A Python file or module that defines the model's own layers; it is run.", metavar="MODULE"),
]
TaskOption = Annotated[
    Task | None,
    typer.Option("--task", help="What the outputs are, where the model does not say: one class, several, or numbers."),
]
InputRange = Annotated[
    tuple[float, float] | None,
    typer.Option(
        "--input-range",
        metavar="LOW HIGH",
        help="What pixels 0 and 255 became before the model saw them: 0 1, or -1 1.",
    ),
]
InputMean = Annotated[
    str | None,
    typer.Option(
        "--input-mean", metavar="R,G,B", help="What was taken from the pixels, one number or one a channel; 0..255."
    ),
]
InputStd = Annotated[
    str | None,
    typer.Option(
        "--input-std", metavar="R,G,B", help="What they were divided by then; with --input-range 0 1 both are of 0..1."
    ),
]
InputChannels = Annotated[
    ChannelOrder, typer.Option("--input-channels", help="The order of the channels that the model takes.")
]


def pixel_scaling(
    given: tuple[float, float] | None, mean: str | None, deviation: str | None, channels: ChannelOrder
) -> PixelScaling | None:
    """What the four options say together.

    Args:
        given: `--input-range`.
        mean: `--input-mean`: numbers with commas between them, in the model's order of channels.
        deviation: `--input-std`, likewise.
        channels: `--input-channels`.

    Returns:
        The scaling; None when nothing was said.

    Raises:
        ConfigError: Tells every fault of them.
    """
    faults: list[str] = []
    means, deviations = _numbers("--input-mean", mean, faults), _numbers("--input-std", deviation, faults)
    if faults:
        raise ConfigError("\n".join(faults), hint="--help says what each of them means")
    return checked_scaling(given, means, deviations, channels, called="--input-")


def _numbers(option: str, said: str | None, faults: list[str]) -> tuple[float, ...]:
    try:
        numbers = tuple(float(word) for word in said.split(",")) if said is not None else ()
    except ValueError:
        numbers = (math.nan,)
    if not all(map(math.isfinite, numbers)):
        faults.append(f"{option} is numbers with commas between them: 123.7,116.3,103.5; got '{said}'")
        return ()
    return numbers


def runtime_version(value: str | None) -> str | None:
    """The value of `--min-runtime`, as it came.

    Raises:
        ConfigError: When it is no version.
    """
    if value is not None and not re.fullmatch(r"\d+(\.\d+){1,2}", value):
        raise ConfigError(f"--min-runtime must be a version of TensorFlow Lite such as 2.14; got '{value}'")
    return value
