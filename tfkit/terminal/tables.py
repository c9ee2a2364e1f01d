"""The one look of tables in the terminal."""

from collections.abc import Sequence

from rich import box
from rich.table import Table


def plain_table(texts: Sequence[str], numbers: Sequence[str] = (), marks: Sequence[str] = ()) -> Table:
    """A table without rows: a rule below its headings and no frame.

    Args:
        texts: Headings of columns of words, which are broken where the terminal is narrow.
        numbers: Behind them: headings of columns of figures, to the right and never broken.
        marks: Last: headings of short words such as a verdict, never broken.

    Example:
        >>> table = plain_table(["file"], ["size"])
        >>> table.add_row("model_int8.tflite", "96 kB")
        >>> [column.header for column in table.columns]
        ['file', 'size']
    """
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, header_style="bold", pad_edge=False)
    for heading in texts:
        table.add_column(heading, overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in marks:
        table.add_column(heading, no_wrap=True)
    return table
