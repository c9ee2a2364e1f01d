"""What a command draws is a value that a notebook draws too; options of a group are options as any other."""

from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

import tfkit
from tfkit.cli.main import main
from tfkit.cli.options import laid_open
from tfkit.operations import ancestry_tree, prediction_table, trace, verified_notes, verified_table
from tfkit.terminal import PlainConsole


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _drawn(renderable: Any) -> list[str]:
    console = PlainConsole()
    console.file = StringIO()
    console.print(renderable)
    return _lines(console.file.getvalue())


def test_answers_and_ancestry_are_drawn_by_functions(
    exported: Path, pictures: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    file, red = exported / "model_int8.tflite", pictures / "red"
    capsys.readouterr()
    assert main(["predict", str(file), str(red)]) == 0
    assert _lines(capsys.readouterr().out)[1:] == _drawn(prediction_table(tfkit.predict(file, [red])))
    assert main(["lineage", str(exported)]) == 0
    assert _lines(capsys.readouterr().out) == _drawn(ancestry_tree(trace(exported), title=str(exported)))


def test_proof_is_drawn_by_functions(exported: Path, pictures: Path) -> None:
    proof = tfkit.verify(exported / "model_int8.tflite", data=pictures)
    rows = _drawn(verified_table(proof))
    assert any(row.split() == ["accuracy", "100.00", "%", "of", "18", "images"] for row in rows)
    assert not any("verdict" in row for row in rows) and verified_notes(proof) == []
    assert _drawn(verified_table(proof, judged=True))[-1].split() == ["verdict", "accepted"]


@dataclass(frozen=True)
class _Corner:
    left: Annotated[int, typer.Option(help="From the left.")] = 3
    top: Annotated[int | None, typer.Option(help="From the top.")] = None


def test_a_value_of_options_stands_in_its_place() -> None:
    said: list[Any] = []

    def crop(
        picture: Annotated[str, typer.Argument()], *, corner: _Corner, width: Annotated[int, typer.Option()] = 5
    ) -> int:
        """Cut a part out."""
        said.append((picture, corner, width))
        return 0

    app = typer.Typer()
    app.command()(laid_open(crop))
    told = CliRunner().invoke(app, ["--help"]).output
    assert told.index("--left") < told.index("--top") < told.index("--width") and "Cut a part out." in told
    assert CliRunner().invoke(app, ["a.png", "--top", "7"]).exit_code == 0
    assert said == [("a.png", _Corner(3, 7), 5)]
