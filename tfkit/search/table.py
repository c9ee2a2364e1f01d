"""The files of a search as a table for a terminal or a notebook."""

from rich.table import Table
from rich.text import Text

from tfkit.reports.quantities import percent
from tfkit.search.result import SearchResult
from tfkit.search.words import latency, points
from tfkit.terminal import plain_table


def candidate_table(result: SearchResult) -> Table:
    """Draw the files that a search made, beside the float model.

    Args:
        result: How the search ended.

    Example:
        >>> candidate_table(tfkit.optimize("model.keras", images, budget=budget).result)  # doctest: +SKIP
    """
    table = plain_table([f"file, on {result.chosen_on}"], ["accuracy", "points", "bytes", "p50"], ["budget"])
    reference = result.reference
    figures = (percent(reference.accuracy, decimals=2), "", f"{reference.bytes:,}", latency(reference.latency_ms), "")
    table.add_row("Float model", *figures, end_section=True)
    for file in result.candidates:
        met = Text("met", style="green") if file.within else Text("missed", style="bold red")
        if file is result.chosen:
            met = Text("chosen", style="bold green")
        gained = points(file.accuracy - reference.accuracy)
        shown = (percent(file.accuracy, decimals=2), gained, f"{file.bytes:,}", latency(file.latency_ms), met)
        table.add_row(Text(file.title), *shown)
    return table
