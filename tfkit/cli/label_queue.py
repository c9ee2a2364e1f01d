"""`tfkit label-queue`: which new pictures or texts are worth a label."""

from pathlib import Path
from typing import Annotated

import typer

from tfkit.cli.options import NEW, Column, FinishedRun, Header


def label_queue(
    run: FinishedRun,
    new: Annotated[list[Path], NEW],
    output: Annotated[Path, typer.Option(help="The table to write, with empty labels.", metavar="FILE.csv")] = Path(
        "to_label.csv"
    ),
    count: Annotated[int, typer.Option(min=1, help="How many to choose.")] = 50,
    examples: Annotated[int, typer.Option(min=1, help="How many to choose from, drawn at random.")] = 10_000,
    text_column: Column = None,
    header: Header = None,
    seed: Annotated[int, typer.Option(help="Of what is drawn.")] = 0,
) -> int:
    """Choose what to label next: inputs the model is unsure of, and that are unlike each other."""
    from tfkit.errors import DataError
    from tfkit.terminal import Display, chatter_dropped

    if output.exists():
        raise DataError(f"'{output}' exists already, and may hold labels", hint="name another with --output")
    display = Display()
    with chatter_dropped():
        from tfkit.operations import TextTable, queue_table
        from tfkit.operations import label_queue as queued

        table = TextTable(text_column=text_column, header=header)
        told = queued(run, new, count=count, examples=examples, table=table, seed=seed, display=display)
    told.save(output)
    display.table(queue_table(told))
    display.notes(told.notes)
    if told.left_out:
        first = told.left_out[0]
        display.note(f"{len(told.left_out)} cannot be read, the first '{first.name}': {first.reason}")
    display.note(
        f"{len(told.rows)} of {told.examples} {told.noun}s are in {output}: fill in {', '.join(told.columns[1:])}"
    )
    return 0
