"""`tfkit drift`: whether what a model is asked still is what it was proved on."""

from pathlib import Path
from typing import Annotated

import typer

from tfkit.cli.documents import print_document
from tfkit.cli.options import NEW, Column, FinishedRun, Header
from tfkit.errors import ConfigError

ALARM = 3


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
    stream: Annotated[
        bool, typer.Option("--stream", help="The new ones are in the order they came: say when something changed.")
    ] = False,
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
            stream=stream,
            display=display,
        )
    from tfkit import reports

    if prometheus is not None:
        reports.write_drift_metrics(told, prometheus, run=run.name)
    if html is not None:
        reports.write_drift_page(told, html, run=run.name)
    if as_json:
        print_document(reports.drift_document(told))
    else:
        display.notes(reports.unread_notes(told))
        display.table(reports.drift_table(told))
        display.notes(reports.drift_notes(told))
    return ALARM if told.alarm else 0
