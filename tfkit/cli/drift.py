"""`tfkit drift`: whether what a model is asked still is what it was proved on."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfkit.cli.options import NEW, Column, FinishedRun, Header
from tfkit.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from tfkit.monitoring import Drift
    from tfkit.terminal import Display

ALARM = 3
_NAMED = 3  # files that cannot be read


def drift(
    run: FinishedRun,
    new: Annotated[list[Path] | None, NEW] = None,
    reference: Annotated[
        Path | None,
        typer.Option(help="Compare with this instead of the run's test split: data, or a profile.", metavar="DATA"),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Write the reference's profile, for machines without the data.", metavar="NPZ")
    ] = None,
    alpha: Annotated[float, typer.Option(help="Chance of a false alarm.")] = 0.01,
    examples: Annotated[int, typer.Option(min=20, help="How many of each are compared, drawn at random.")] = 2000,
    text_column: Column = None,
    header: Header = None,
    html: Annotated[Path | None, typer.Option(help="Write the comparison as a page.", metavar="FILE")] = None,
    prometheus: Annotated[
        Path | None, typer.Option(help="Write metrics for node_exporter's textfile collector.", metavar="FILE")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> int:
    """Compare new pictures or texts, and the answers to them, with those the model was proved on."""
    from tfkit.terminal import Display, PlainConsole, chatter_dropped

    if not new and save is None:
        raise ConfigError("there is nothing to compare", hint="name new pictures or texts, or --save PROFILE.npz")
    display = Display(PlainConsole(stderr=as_json))
    with chatter_dropped():
        from tfkit.operations import TextTable, save_profile
        from tfkit.operations import drift as compared

        table = TextTable(text_column=text_column, header=header)
        if save is not None:
            profile = save_profile(run, save, reference=reference, examples=examples, table=table, display=display)
            display.note(f"{profile.count} {profile.noun}s are described in {save}")
            if not new:
                return 0
        told = compared(
            run,
            list(new or ()),
            reference=save or reference,
            alpha=alpha,
            examples=examples,
            table=table,
            display=display,
        )
    from tfkit.reports import drift_document, write_drift_metrics, write_drift_page

    if prometheus is not None:
        write_drift_metrics(told, prometheus, run=run.name)
    if html is not None:
        write_drift_page(told, html, run=run.name)
    if as_json:
        typer.echo(json.dumps(drift_document(told), indent=2, ensure_ascii=False))
    else:
        _show(told, display)
    return ALARM if told.alarm else 0


def _show(told: "Drift", display: "Display") -> None:
    from tfkit.reports import drift_headline, drift_rows

    for left in told.left_out[:_NAMED]:
        display.note(f"left out: '{left.name}': {left.reason}")
    if len(told.left_out) > _NAMED:
        display.note(f"left out: {len(told.left_out) - _NAMED} more that cannot be read")
    display.table(_table(told))
    for row in drift_rows(told):
        if row.alarm and row.changes:
            display.note(f"{row.name} that changed most: {row.changes}")
    for note in told.notes:
        display.note(note)
    display.note(drift_headline(told))


def _table(told: "Drift") -> "Table":
    from rich.text import Text

    from tfkit.reports import drift_rows
    from tfkit.terminal import plain_table

    table = plain_table(["compared"], ["reference", "new", "difference", "alarm above", "p"])
    for row in drift_rows(told):
        style = "bold red" if row.alarm else ""
        cells = (row.name, row.reference, row.new, row.value, row.threshold, row.p_value)
        table.add_row(*(Text(cell, style=style) for cell in cells))
    return table
