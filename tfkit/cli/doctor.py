"""`tfkit doctor`: is this machine ready, and if not, how to mend it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfkit.cli.documents import print_document

if TYPE_CHECKING:
    from rich.console import Console

    from tfkit.diagnosis import Finding


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> int:
    """Is this machine ready? If not, how to mend it."""
    from tfkit.terminal import chatter_dropped
    from tfkit.terminal.display import PlainConsole

    console = PlainConsole(stderr=as_json)
    findings: list[Finding] = []
    with console.status("looking") as status:
        for title, check in _checks():
            status.update(title)
            with chatter_dropped():
                found = check()
            findings += found
            if not as_json:
                for finding in found:
                    _show(console, finding)
    if as_json:
        from dataclasses import asdict

        print_document([asdict(finding) for finding in findings], ascii_only=True)
    else:
        _close(console, findings)
    return 1 if any(finding.level == "fail" for finding in findings) else 0


def _checks() -> "tuple[tuple[str, Callable[[], list[Finding]]], ...]":
    from tfkit import diagnosis as checks

    return (
        ("Python", lambda: [checks.check_python()]),
        ("packages", checks.check_packages),
        ("processor", checks.check_processor),
        ("disk", lambda: [checks.check_disk(Path.cwd())]),
        ("starting TensorFlow", checks.check_tensorflow),
        ("training narrow convolutions", lambda: [checks.check_narrow_convolutions()]),
    )


def _show(console: "Console", finding: "Finding") -> None:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    style = {"ok": "green", "warn": "yellow", "fail": "bold red"}[finding.level]
    line = Table.grid(padding=(0, 1))
    line.add_column(width=4)
    line.add_column(width=12)
    line.add_column()
    text = Text(finding.text)
    if finding.mend:
        text.append(f"\n→ {finding.mend}", style="cyan")
    line.add_row(Text(finding.level, style=style), Text(finding.subject), text)
    console.print(Padding(line, (0, 0, 0, 2)))


def _close(console: "Console", findings: "list[Finding]") -> None:
    failed = sum(finding.level == "fail" for finding in findings)
    warned = sum(finding.level == "warn" for finding in findings)
    if failed:
        console.print(f"\n  {failed} to mend before tfkit works")
    elif warned:
        console.print(f"\n  ready, with {warned} to look at")
    else:
        console.print("\n  ready: tfkit run digits_base")
