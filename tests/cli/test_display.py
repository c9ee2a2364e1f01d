import io
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from tfkit.terminal.display import Display, PlainConsole


def display(*, terminal: bool, width: int = 80) -> tuple[Display, io.StringIO]:
    out = io.StringIO()
    return Display(Console(file=out, force_terminal=terminal, width=width, highlight=False, color_system=None)), out


def test_a_log_gets_one_line_a_stage() -> None:
    shown, out = display(terminal=False)
    with shown.stage("Head on cached features") as stage:
        for step in range(50):
            stage.progress(step, 50, "epoch 1/1")
        stage.result("accuracy 95.4 %")
        stage.note("early stopping after epoch 7")
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("  ✓ Head on cached features") and lines[0].endswith(" s   accuracy 95.4 %")
    assert lines[1].strip() == "early stopping after epoch 7"
    assert "\x1b" not in out.getvalue()


def test_a_terminal_sees_a_bar_with_the_count() -> None:
    shown, out = display(terminal=True, width=120)
    with shown.stage("Head") as stage:
        stage.progress(3, 8, "epoch [3/8]")
    text = out.getvalue()
    assert "3/8" in text and "epoch [3/8]" in text and "━" in text
    assert "✓ Head" in text


def test_a_stage_knows_its_title_and_seconds() -> None:
    shown, _ = display(terminal=False)
    with shown.stage("Head") as stage:
        assert stage.seconds == 0.0
    assert stage.title == "Head" and stage.seconds > 0


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt])
def test_a_failed_stage_is_marked_and_its_fault_goes_on(fault: type[BaseException]) -> None:
    shown, out = display(terminal=False)
    with pytest.raises(fault), shown.stage("Fine-tune"):
        raise fault
    assert out.getvalue().startswith("  ✗ Fine-tune")


def test_long_paths_are_not_broken_and_brackets_are_text() -> None:
    shown, out = display(terminal=True, width=40)
    report = Path("/home/someone/with/a/long/way/to/runs/[bold]/report.html")
    shown.next_steps(report, "tfkit predict runs/x photo.jpg")
    shown.note("classes [red] and [blue]")
    assert str(report) in out.getvalue()
    assert "classes [red] and [blue]" in out.getvalue()


def test_tables_are_shown() -> None:
    shown, out = display(terminal=False)
    table = Table("file", "size")
    table.add_row("model_int8.tflite", "97 kB")
    shown.table(table)
    assert "model_int8.tflite" in out.getvalue()


def test_names_out_of_data_are_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    console = PlainConsole()
    table = Table("class")
    for name in ("[red]apple", "[/b]", ":smile:", "\x1b[2Jgone", "\udcff"):
        table.add_row(name)
    console.print(table)
    Display(console).note("a file called [/x] and \x1b]0;title\x07")
    told = capsys.readouterr().out
    for shown in ("[red]apple", "[/b]", ":smile:", r"\x1b[2Jgone", r"\xff", r"[/x] and \x1b]0;title"):
        assert shown in told
    assert "\x1b" not in told
