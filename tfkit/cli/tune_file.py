"""`tfkit tune-file`: an integer file trained against the float one that it was made of."""

from pathlib import Path
from typing import Annotated

import typer

from tfkit.cli.options import NEW, PixelOptions


def tune_file(
    file: Annotated[Path, typer.Argument(help="An int8 or uint8 .tflite file of pictures.", metavar="FILE")],
    data: Annotated[list[Path], NEW],
    teacher: Annotated[Path, typer.Option(help="The float file that it was made of.", metavar="FILE")],
    output: Annotated[Path, typer.Option(help="The file to write.", metavar="FILE")] = Path("tuned.tflite"),
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the pictures.")] = 10,
    learning_rate: Annotated[float, typer.Option(help="In steps of the weights.")] = 0.01,
    examples: Annotated[int, typer.Option(min=10, help="How many pictures to use, drawn at random.")] = 5000,
    seed: Annotated[int, typer.Option(help="Of what is drawn and held out.")] = 0,
    teacher_pixels: PixelOptions = PixelOptions(),  # noqa: B008 - a frozen value
) -> int:
    """Train an int8 file's weights until it answers as its float file does; pictures need no labels."""
    from tfkit.terminal import Display, chatter_dropped

    display = Display()
    with chatter_dropped():
        from tfkit.file_tuning import Tuning
        from tfkit.operations import tune_file as tuned

        plan = Tuning(epochs=epochs, learning_rate=learning_rate, seed=seed)
        told = tuned(
            file, teacher, list(data), output, plan=plan, pictures=examples, teacher_scaling=teacher_pixels.scaling(),
            display=display,
        )  # fmt: skip
    display.notes(told.sentences)
    return 0
