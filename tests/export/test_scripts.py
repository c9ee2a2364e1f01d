"""A script of `export/` is a command of `tfkit package`; an edited copy of it runs itself."""

import runpy
import sys
from pathlib import Path

import pytest

from tfkit.cli.main import main

SCRIPTS = sorted(Path(__file__).parents[2].glob("export/package_*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_each_script_is_a_command(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    word = script.stem.removeprefix("package_").replace("_", "-")
    assert main(["package", word, "no/such/run"]) == 1
    assert "no/such/run" in capsys.readouterr().err
    assert main(["package", "--help"]) == 0
    assert f" {word} " in capsys.readouterr().out


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_an_edited_copy_runs_itself(script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = script.read_text()
    assert source.count("    display = Display()\n") == 1
    mine = tmp_path / "mine.py"
    mine.write_text(source.replace("    display = Display()\n", "    raise SystemExit(7)\n"))
    monkeypatch.setattr(sys, "argv", [str(mine), "runs/any"])
    with pytest.raises(SystemExit, match="7"):
        runpy.run_path(str(mine), run_name="__main__")


def test_a_bundle_of_no_kind_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["package", "toaster", "runs/any"]) == 2
    assert "No such command 'toaster'" in capsys.readouterr().err
