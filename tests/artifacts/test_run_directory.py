"""A run's folder is new, or set aside when asked; nothing is ever deleted."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tfkit.artifacts import create_run_directory, running_process
from tfkit.errors import RunError


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert create_run_directory(tmp_path / "run").path.is_dir()


def test_an_existing_run_is_refused_with_both_ways_out(tmp_path: Path) -> None:
    (create_run_directory(tmp_path / "run").path / "report.json").write_text("{}")
    with pytest.raises(RunError, match="never silently overwritten") as told:
        create_run_directory(tmp_path / "run")
    assert "run.name" in told.value.hint
    assert "run.overwrite" in told.value.hint


def test_overwriting_sets_each_older_run_aside(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        folder = create_run_directory(tmp_path / "run", overwrite=True)
        folder.recipe.write_text(str(number))
    kept = {path.name: (path / "recipe.yaml").read_text() for path in tmp_path.iterdir()}
    assert kept == {"run.previous-1": "1", "run.previous-2": "2", "run": "3"}


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot make the run's folder"):
        create_run_directory(tmp_path / "file" / "run")


def test_a_run_that_is_still_going_is_not_set_aside(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib, tfkit.artifacts as a\n"
        "run = a.create_run_directory(pathlib.Path(sys.argv[1])); print('made', flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "run")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None and first.stdout.readline() == b"made\n"
        assert running_process(tmp_path / "run") == first.pid
        for overwrite in (True, False):
            with pytest.raises(RunError, match=f"process {first.pid} is working"):
                create_run_directory(tmp_path / "run", overwrite=overwrite)
        first.kill()  # as the system would end it: the lock goes with the process
    assert running_process(tmp_path / "run") is None
    assert create_run_directory(tmp_path / "run").path.is_dir(), "nothing had been written yet"


def test_a_run_keeps_its_folder_while_it_lives(tmp_path: Path) -> None:
    run = create_run_directory(tmp_path / "run")
    assert running_process(run.path) == os.getpid()
    del run
    assert running_process(tmp_path / "run") is None


RECIPE = "run: {name: a, overwrite: false}\nhead: {epochs: 3}\n"


def begun(path: Path, recipe: str = RECIPE, *, overwrite: bool = False, data: str = "these") -> None:
    """A run that was stopped after it had begun."""
    run = create_run_directory(path, recipe=recipe, overwrite=overwrite)
    run.record(recipe=recipe, data_report={}, data=data)
    run.artifacts.mkdir(exist_ok=True)
    (run.artifacts / "half.tflite").write_bytes(b"half")


def test_a_run_that_was_stopped_goes_on(tmp_path: Path) -> None:
    begun(tmp_path / "run")
    run = create_run_directory(tmp_path / "run", recipe=RECIPE)
    assert run.goes_on and not run.artifacts.exists()
    run.record(recipe=RECIPE, data_report={}, data="these")
    with pytest.raises(RunError, match="the data are not those"):
        run.record(recipe=RECIPE, data_report={}, data="others")


def test_another_recipe_does_not_go_on_with_it(tmp_path: Path) -> None:
    begun(tmp_path / "run")
    with pytest.raises(RunError, match=r"unfinished run of another recipe: head\.epochs was 3 and is 4$") as told:
        create_run_directory(tmp_path / "run", recipe=RECIPE.replace("3", "4"))
    assert "run.name" in told.value.hint and "run.overwrite" in told.value.hint


def test_overwriting_begins_anew_but_goes_on_with_its_own(tmp_path: Path) -> None:
    begun(tmp_path / "run")
    overwriting = RECIPE.replace("false", "true")
    begun(tmp_path / "run", overwriting, overwrite=True)
    assert (tmp_path / "run.previous-1").is_dir()
    assert create_run_directory(tmp_path / "run", recipe=overwriting, overwrite=True).goes_on
    assert not (tmp_path / "run.previous-2").exists()


def test_a_finished_run_is_refused_as_ever(tmp_path: Path) -> None:
    begun(tmp_path / "run")
    run = create_run_directory(tmp_path / "run", recipe=RECIPE)
    run.report_json.write_text("{}")
    assert not run.is_sealed, "stopped between its report and its check sums"
    run.seal()
    with pytest.raises(RunError, match="holds the finished run of this recipe, and is never silently overwritten"):
        create_run_directory(tmp_path / "run", recipe=RECIPE)
