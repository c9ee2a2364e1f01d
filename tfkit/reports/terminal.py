"""Tables in the terminal: data and what compression will do before a run, its files at its end, drift after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from tfkit.errors import printable
from tfkit.reports.drift import change_notes, drift_headline, drift_rows
from tfkit.reports.quantities import counted, file_size, milliseconds, percent
from tfkit.reports.run_report import ArtifactResult, RunReport
from tfkit.tasks import Task
from tfkit.terminal import plain_table

# Only for the type checker: this room loads TensorFlow, and `tfkit --help` must not.
if TYPE_CHECKING:
    from tfkit.compression import CompressionCoverage
    from tfkit.compression.channels.planning import ChannelPlan, PlannedGroup
    from tfkit.compression.pruning.rewriting import PrunableLayer, PruningCoverage
    from tfkit.data import DataReport
    from tfkit.monitoring import Drift

_MOST_NAMES = 6
_MOST_SHOWN = 3  # files that cannot be read, or are there twice


_KERAS_MODEL = "Keras model"


def result_table(report: RunReport) -> Table:
    """Build the table of the exported files, the Keras model first.

    Args:
        report: The run.

    Returns:
        A table for `rich.console.Console.print`; the reasons of refusals stand below it.
    """
    title = f"{report.name}: {counted(report.evaluation.examples, f'evaluation {report.noun}')}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    table.add_column("file", overflow="fold")
    agreement = "same nearest" if report.search else "agreement"
    for heading in ("size", report.evaluation.task.unit, agreement, "p50"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    told = report.evaluation.task.told
    if control := report.control:
        table.add_row(Text(control.name, style="dim"), "", told(control.accuracy), "", "", "")
        if control.counterpart != _KERAS_MODEL:
            table.add_row(
                Text(control.counterpart, style="dim"),
                "",
                told(control.counterpart_accuracy),
                "",
                "",
                "",
            )
    table.add_row(Text(_KERAS_MODEL), "", told(report.evaluation.keras), "", "", "", end_section=True)
    for file in report.artifacts:
        table.add_row(*_cells(file, report.evaluation.task))
    reasons = [reason for file in report.artifacts for reason in file.refusals]
    if reasons:
        table.caption = Text("\n".join(f"✗ {reason}" for reason in reasons), style="red", justify="left")
        table.caption_justify = "left"
    return table


def _cells(file: ArtifactResult, task: Task) -> tuple[Text | str, ...]:
    return (
        Text(file.file.removeprefix("artifacts/")),
        file_size(file.bytes),
        task.told(file.quality),
        percent(file.agreement),
        milliseconds(file.latency_ms_p50),
        Text("✓ accepted", style="green") if file.accepted else Text("✗ refused", style="bold red"),
    )


def coverage_tables(coverage: CompressionCoverage) -> list[Table]:
    """What quantisation and pruning will do, layers that are treated alike in one row.

    Args:
        coverage: What was found out before training.

    Returns:
        A table for each of them that the recipe asks for.
    """
    tables = [_quantization_table(coverage)] if coverage.quantization else []
    if coverage.pruning is not None:
        tables.append(_pruning_table(coverage.pruning))
    if coverage.channels is not None:
        tables.append(_channel_table(coverage.channels))
    return tables


def _quantization_table(coverage: CompressionCoverage) -> Table:
    from tfkit.compression import grouped_coverage

    table = _counted_table("in the file", "layers", "why", "kinds")
    for group in grouped_coverage(coverage.quantization):
        style = "bold" if group.precision == "float32" else ""
        precision = "not there" if group.precision == "-" else group.precision
        table.add_row(precision, str(group.layers), group.reason, _listed(group.kinds), style=style)
    return table


def _pruning_table(coverage: PruningCoverage) -> Table:
    table = _counted_table("pruning", "layers", "weights", "which")
    reasons: dict[str, list[PrunableLayer]] = {}
    for row in coverage.layers:
        reasons.setdefault("pruned" if row.pruned else f"dense: {row.reason}", []).append(row)
    for reason, rows in reasons.items():
        weights = sum(row.weights for row in rows)
        table.add_row(reason, str(len(rows)), f"{weights:,}", _listed([row.layer for row in rows]))
    return table


def _channel_table(plan: ChannelPlan) -> Table:
    table = _counted_table("channels", "groups", "before", "which")
    kinds: dict[str, list[PlannedGroup]] = {}
    for group in plan.groups:
        narrower = len(group.kept) < group.width
        kinds.setdefault("narrower" if narrower else f"whole: {group.pinned or 'narrow enough'}", []).append(group)
    for kind, groups in kinds.items():
        before = sum(group.width for group in groups)
        table.add_row(kind, str(len(groups)), f"{before:,}", _listed([group.name for group in groups]))
    return table


def _counted_table(*headings: str) -> Table:
    table = plain_table(headings)
    table.columns[1].justify = "right"
    table.columns[-1].style = "dim"
    return table


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def data_table(class_names: Sequence[str], report: DataReport) -> Table:
    """Build the table of a data set: examples of each class in each split.

    Args:
        class_names: The classes or labels.
        report: The account of the data.
    """
    names = [name for name, counts in report.kept.items() if sum(counts.values())]
    table = plain_table(["class"], names)
    for kind in class_names:
        table.add_row(Text(printable(kind)), *(str(report.kept[name].get(kind, 0)) for name in names))
    table.add_section()
    table.add_row("examples", *(str(report.examples[name]) for name in names), style="bold")
    return table


def data_notes(report: DataReport) -> list[str]:
    """What is to be said below that table: decisions, what was left out, and what is there twice."""
    found = (
        ("left out", [f"{item.name}: {item.reason}" for item in report.left_out]),
        ("same content twice", [" = ".join(group) for group in report.duplicates]),
        ("same content in two splits, so its score is not earned", [" = ".join(group) for group in report.leakage]),
        ("groups that look the same", [" = ".join(group) for group in report.near_duplicates]),
        ("groups that look the same in two splits", [" = ".join(group) for group in report.near_leakage]),
    )
    notes = list(report.notes)
    for title, rows in found:
        more = f", and {len(rows) - _MOST_SHOWN} more" if len(rows) > _MOST_SHOWN else ""
        notes += [f"{len(rows)} {title}: {'; '.join(rows[:_MOST_SHOWN])}{more}"] if rows else []
    return notes


def drift_table(drift: Drift) -> Table:
    """Build the table of what was compared, what differs in red.

    Args:
        drift: The comparison.
    """
    table = plain_table(["compared"], ["reference", "new", "difference", "alarm above", "p"])
    for row in drift_rows(drift):
        style = "bold red" if row.alarm else ""
        cells = (row.name, row.reference, row.new, row.value, row.threshold, row.p_value)
        table.add_row(*(Text(cell, style=style) for cell in cells))
    return table


def drift_notes(drift: Drift) -> list[str]:
    """What is to be said below that table: what changed most, what was not known, and what came of it."""
    changed = [row for row in drift_rows(drift) if row.alarm and row.changes]
    return [
        *(f"{row.name} that changed most: {row.changes}" for row in changed),
        *drift.notes,
        *change_notes(drift),
        drift_headline(drift),
    ]


def unread_notes(drift: Drift) -> list[str]:
    """The first files that could not be compared, and why."""
    more = len(drift.left_out) - _MOST_SHOWN
    notes = [f"left out: '{left.name}': {left.reason}" for left in drift.left_out[:_MOST_SHOWN]]
    return [*notes, f"left out: {more} more that cannot be read"] if more > 0 else notes
