"""`tfkit redact`: a table of texts without personal data."""

from pathlib import Path
from typing import Annotated

import typer


def redact(
    source: Annotated[
        Path, typer.Argument(help="A .csv, .tsv or .jsonl table, or a .txt of a text a line.", metavar="TABLE")
    ],
    output: Annotated[Path, typer.Option(help="The copy to write, of the same kind.", metavar="FILE")],
    text_column: Annotated[str | None, typer.Option(help="The texts' column: its name or number; text.")] = None,
    header: Annotated[bool | None, typer.Option(help="Whether the first line names the columns.")] = None,
    region: Annotated[
        str | None, typer.Option(help="The country whose phone numbers are written without +, such as US.")
    ] = None,
) -> int:
    """Write over e-mail addresses, links, phone, account and card numbers, before a model learns from them."""
    from tfkit.operations import TextTable
    from tfkit.operations import redact as redacted
    from tfkit.terminal import Display, plain_table

    told = redacted(source, output, table=TextTable(text_column=text_column, header=header), region=region)
    display, table = Display(), plain_table(["written over"], ["times"])
    for kind, times in told.found.most_common():
        table.add_row(f"<{kind}>", str(times))
    if told.found:
        display.table(table)
    display.note(f"{told.changed} of {told.rows} texts are changed in {output}")
    display.note("names of people and places have no pattern, and were not looked for")
    return 0
