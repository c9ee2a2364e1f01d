"""`tfkit benchmark`: how fast a model answers on this machine."""

from typing import Annotated

import typer

from tfkit.cli.documents import print_document
from tfkit.cli.options import CustomObjects, ImageSize, ModelPath, PixelOptions, Threads


def benchmark(
    path: ModelPath,
    *,
    threads: Threads = 1,
    runs: Annotated[int, typer.Option(min=1, help="Timed runs, at least.")] = 50,
    warmup_runs: Annotated[int, typer.Option(min=0, help="Runs before the clock starts.")] = 10,
    seconds: Annotated[float, typer.Option(min=0, help="Go on timing for so long.")] = 5.0,
    image_size: ImageSize = None,
    custom_objects: CustomObjects = None,
    pixels: PixelOptions,
    sequence_length: Annotated[
        int | None, typer.Option(min=3, help="Tokens of a text, for a Keras model outside of its run.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> int:
    """Time a model on one image or text at a time, and say on what machine."""
    from tfkit.operations import Timing, time_model, timed_notes, timed_table
    from tfkit.terminal import Display, PlainConsole, chatter_dropped

    display = Display(PlainConsole(stderr=as_json))
    with chatter_dropped():
        timed = time_model(
            path,
            timing=Timing(warmup_runs, runs, seconds),
            threads=threads,
            image_size=image_size,
            sequence_length=sequence_length,
            scaling=pixels.scaling(),
            custom_objects=custom_objects,
            display=display,
        )
    if as_json:
        print_document(timed.document(), ascii_only=True)
    else:
        display.table(timed_table(timed))
        display.notes(timed_notes(timed))
    return 0
