"""The table at the end of a run."""

from collections.abc import Callable

import pytest
from rich.console import Console

from tfkit.reports import RunReport, result_table

MakeReport = Callable[..., RunReport]


def printed(report: RunReport, width: int) -> str:
    """What the terminal shows."""
    console = Console(width=width, record=True, file=None, quiet=False, force_terminal=False)
    with console.capture() as capture:
        console.print(result_table(report))
    return capture.get()


def test_table_shows_every_file_with_its_verdict_and_the_reasons(make_report: MakeReport) -> None:
    text = printed(make_report(12), 110)

    rows = [line for line in text.splitlines() if "tflite " in line or "saved_model" in line]
    assert [("refused" in row) for row in rows] == [False, False, False, True, False]
    assert "95.4 %" in rows[4] and "2.9 MB" in rows[4] and "3.7 ms" in rows[4]
    assert "✗ model_dynamic_int8.tflite: accuracy 0.9333" in text
    assert "the same head on a random backbone" in text


@pytest.mark.parametrize("width", [80, 100])
def test_table_fits_a_terminal(make_report: MakeReport, width: int) -> None:
    lines = printed(make_report(12), width).splitlines()

    assert max(len(line) for line in lines) <= width
    assert any("model_dynamic_int8.tflite " in line and "✗ refused" in line for line in lines)
