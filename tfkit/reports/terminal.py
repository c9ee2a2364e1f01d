"""The table at the end of a run, in the terminal."""

from rich import box
from rich.table import Table
from rich.text import Text

from tfkit.reports.quantities import counted, file_size, milliseconds, percent
from tfkit.reports.run_report import ArtifactResult, RunReport
from tfkit.tasks import Task


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
        table.add_row(
            Text(control.counterpart, style="dim"),
            "",
            told(control.counterpart_accuracy),
            "",
            "",
            "",
        )
    table.add_row(Text("Keras model"), "", told(report.evaluation.keras), "", "", "", end_section=True)
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
