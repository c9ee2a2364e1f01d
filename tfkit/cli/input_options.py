"""How the command line says what a model takes for a picture's raw pixels."""

import math
from typing import Annotated, Literal

import typer

from tfkit.artifacts import PixelScaling
from tfkit.errors import ConfigError

ChannelOrder = Literal["rgb", "bgr"]
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


def checked_scaling(
    given: tuple[float, float] | None,
    means: tuple[float, ...],
    deviations: tuple[float, ...],
    channels: ChannelOrder,
    *,
    called: str,
) -> PixelScaling | None:
    """The same of numbers, as a recipe gives them.

    Args:
        given: What pixels 0 and 255 become; None for 0 and 255.
        means: What is taken from them then: nothing, one number, or one a channel.
        deviations: What they are divided by then.
        channels: The order of the channels.
        called: What comes before `range`, `mean` and `std` where the user says it.

    Raises:
        ConfigError: Tells every fault of them.
    """
    faults: list[str] = []
    low, high = given or (0.0, 255.0)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        faults.append(f"{called}range is two numbers, the smaller one first: 0 1; got {low:g} {high:g}")
    if deviations and min(deviations) <= 0:
        faults.append(f"{called}std must be more than 0; got {min(deviations):g}")
    if {len(means), len(deviations)} not in ({0}, {0, 1}, {0, 3}, {1}, {3}, {1, 3}):
        faults.append(f"{called}mean and {called}std are one number, or three")
    if not faults and given is None and deviations and max(deviations) < 1 and max(means, default=0.0) <= 1:
        faults.append(
            f"{called}std {', '.join(f'{one:g}' for one in deviations)} is of pixels in 0..1, not in 0..255: "
            f"add {called}range 0 1, or multiply by 255"
        )
    if faults:
        raise ConfigError("\n".join(faults), hint="mean and std are of raw pixels, or of those in the range said")
    blue_first = channels == "bgr"
    if means or deviations:
        return PixelScaling.standardised(
            means or (0.0,), deviations or (1.0,), low=low, high=high, blue_first=blue_first
        )
    return PixelScaling.of_range(low, high, blue_first=blue_first) if given or blue_first else None


def _numbers(option: str, said: str | None, faults: list[str]) -> tuple[float, ...]:
    try:
        numbers = tuple(float(word) for word in said.split(",")) if said is not None else ()
    except ValueError:
        numbers = (math.nan,)
    if not all(map(math.isfinite, numbers)):
        faults.append(f"{option} is numbers with commas between them: 123.7,116.3,103.5; got '{said}'")
        return ()
    return numbers
