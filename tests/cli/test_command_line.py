"""The command as people meet it: help at once, errors without tracebacks, exit codes that scripts can trust."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tfkit._recipes

from tfkit import __version__
from tfkit.cli.main import main
from tfkit.config import load_recipe
from tfkit.errors import ConfigError

HEAVY = {"tensorflow", "keras", "numpy", "matplotlib", "sklearn", "pydantic", "ai_edge_litert"}
COMMANDS = ("run", "recipes", "check", "export", "verify", "benchmark", "predict", "doctor")
RECIPE = "recipe: {script}\ndata: {{source: digits}}\nhead: {{}}\n"


def tfkit_process(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tfkit.cli.main", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)  # type: ignore[call-overload,no-any-return]


def test_help_loads_little() -> None:
    """What help costs is what it loads: counted, not timed, so that a slow or busy machine cannot fail this."""
    code = (
        "import contextlib, io, sys\n"
        "from tfkit.cli.main import main\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    assert main(['--help']) == 0\n"
        f"print(len(sys.modules), *sorted({HEAVY!r} & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    modules, *heavy = printed.split()
    assert heavy == []
    assert int(modules) < 500  # 356 when this was written, in .16 s of processor time


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert f"Usage: tfkit {command}" in capsys.readouterr().out


def test_no_word_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "Usage: tfkit" in capsys.readouterr().out


def test_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tfkit {__version__}\n"


@pytest.mark.parametrize("words", [["bake"], ["run", "--fast"], ["predict"], ["verify", "x", "--threads", "0"]])
def test_wrong_usage_exits_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    told = capsys.readouterr()
    assert told.err.startswith("error: ") and "--help" in told.err and told.out == ""


SCRIPT = """
import json
from pathlib import Path

from tfkit.config import RecipeConfig
from tfkit.errors import DataError

CONFIG = RecipeConfig


class Report:
    accepted = False


def run(config, display):
    seen = {"epochs": config.head.epochs, "name": config.run.name, "display": type(display).__name__}
    Path(__file__).with_suffix(".json").write_text(json.dumps(seen))
    return Report()
"""


def script(tmp_path: Path, run: str = "") -> str:
    """A recipe script of one test, whose `run` ends in a statement, and a config that names it."""
    source = SCRIPT.replace("return Report()", run) if run else SCRIPT
    (tmp_path / "of_a_test.py").write_text(source)
    path = tmp_path / "of_a_test.yaml"
    path.write_text(RECIPE.format(script=tmp_path / "of_a_test.py"))
    return str(path)


def test_run_hands_config_and_display_to_the_script_and_refuses_as_its_report_does(tmp_path: Path) -> None:
    path, seen = script(tmp_path), tmp_path / "of_a_test.json"
    assert main(["run", path, "head.epochs=7"]) == 3
    assert json.loads(seen.read_text()) == {"epochs": 7, "name": "of_a_test", "display": "Display"}
    assert main(["run", "--config", path, "head.epochs=8"]) == 3
    assert json.loads(seen.read_text())["epochs"] == 8


def test_an_edited_copy_of_a_script_runs_itself_and_loads_no_library_of_texts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, config = tmp_path / "mine.py", tmp_path / "mine.yaml"
    assert main(["recipes", "copy", "digits", str(mine), "--script"]) == 0
    source = mine.read_text()
    assert '"""Run the recipe."""' in source
    loaded = "sorted({'keras_hub', 'tensorflow_text'} & set(sys.modules))"
    edit = f'import sys; print("MY EDIT RUNS", config.head.epochs, {loaded}); raise SystemExit(7)'
    mine.write_text(source.replace('"""Run the recipe."""', edit))
    config.write_text(RECIPE.format(script="finetune_image"))
    words = [str(mine), "--config", str(config), "head.epochs=2"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (7, "MY EDIT RUNS 2 []"), done.stderr
    capsys.readouterr()
    with pytest.raises(SystemExit, match="7"):
        main(["run", *words])
    assert capsys.readouterr().out.startswith("MY EDIT RUNS 2 ")


def test_a_script_has_the_schema_that_it_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = script(tmp_path)
    script_file = tmp_path / "of_a_test.py"
    script_file.write_text(SCRIPT.replace("RecipeConfig", "TextRecipeConfig"))
    assert main(["run", path]) == 1
    assert "head is not a section" in capsys.readouterr().err
    own = "from tfkit.config import RecipeConfig as Base\nclass RecipeConfig(Base):\n    wanted: int = 0\n"
    script_file.write_text(SCRIPT.replace("from tfkit.config import RecipeConfig\n", own))
    assert main(["run", path, "wanted=3"]) == 3


def test_the_recipe_of_a_folder_that_others_made_runs_nothing(tmp_path: Path) -> None:
    script(tmp_path)
    own = (
        "from tfkit.config import RecipeConfig\nopen('ran', 'w')\n\n\nclass Own(RecipeConfig): ...\n\n\nCONFIG = Own\n"
    )
    (tmp_path / "of_a_test.py").write_text(own)
    with pytest.raises(ConfigError, match="is not run for it"):
        load_recipe(tmp_path / "of_a_test.yaml", may_run=False)
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("CONFIG = 3\n\n\ndef run(config, display): ...", "does not name the schema"),
        ("from tfkit.config import RecipeConfig\nCONFIG = RecipeConfig\n", "has no run"),
        (
            "from tfkit.config import RecipeConfig\nCONFIG = RecipeConfig\nnothing_there()",
            "line 3 cannot be imported: NameError",
        ),
        ("def run(:", "cannot read the recipe script"),
    ],
)
def test_a_script_that_cannot_be_used_is_told(
    source: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = script(tmp_path)
    (tmp_path / "of_a_test.py").write_text(source)
    assert main(["run", path]) == 1
    assert told in capsys.readouterr().err


def test_a_fault_that_the_user_can_mend_is_told_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = script(tmp_path, "raise DataError(\"no images in 'x'\", hint='put some there')")
    assert main(["run", path]) == 1
    assert capsys.readouterr().err == "error: no images in 'x'\nhint: put some there\n"


def test_an_unexpected_fault_is_one_line_and_says_how_to_see_the_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = script(tmp_path, 'raise ZeroDivisionError("by\\nzero")')
    monkeypatch.delenv("TFKIT_DEBUG", raising=False)
    assert main(["run", path]) == 1
    told = capsys.readouterr().err
    assert "error: unexpected ZeroDivisionError: by\n" in told and "TFKIT_DEBUG=1" in told
    monkeypatch.setenv("TFKIT_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["run", path])


def test_interruption_exits_with_130(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", script(tmp_path, "raise KeyboardInterrupt")]) == 130
    assert "error: interrupted" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["finetune_imge", "configs", "__init__"])
def test_an_unknown_script_is_told(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(RECIPE.format(script=name))
    assert main(["run", str(path)]) == 1
    assert f"{name} is not a recipe script; there are" in capsys.readouterr().err


def test_a_closed_pipe_ends_quietly() -> None:
    command = f"{sys.executable} -m tfkit.cli.main recipes show image_folder | head -1"
    process = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert "Traceback" not in process.stderr and "BrokenPipe" not in process.stderr


def test_recipes_are_listed_one_a_line_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "list"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert all(len(row) == 3 for row in rows)
    assert {row[0] for row in rows} >= {"digits_base", "digits", "image_folder"}


def test_a_recipe_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "show", "digits"]) == 0
    folder = Path(tfkit._recipes.__file__).parent / "configs" / "image"
    assert capsys.readouterr().out == (folder / "digits.yaml").read_text()


def test_a_copied_recipe_is_never_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["recipes", "copy", "image_folder", "mine.yaml"]) == 0
    (tmp_path / "mine.yaml").write_text("changed")
    assert main(["recipes", "copy", "image_folder", "mine.yaml"]) == 1
    assert (tmp_path / "mine.yaml").read_text() == "changed"
    assert "exists already" in capsys.readouterr().err
    assert main(["recipes", "copy", "digits", str(tmp_path)]) == 0
    assert (tmp_path / "digits.yaml").is_file()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run"], "tfkit run needs a recipe"),
        (["run", "digts"], "no recipe is called 'digts'; did you mean digits?"),
        (["run", "none.yaml"], "there is no recipe file 'none.yaml'"),
        (["recipes", "show", "zzz"], "no recipe is called 'zzz'; there are beans, "),
        (["recipes", "copy", "digits", "digits.txt"], "must end in .yaml"),
        (["predict", "m.tflite", "none.jpg", "neither.jpg"], "there is no picture 'neither.jpg'"),
        (["verify", "m.tflite", "--reference", "m.keras"], "--reference needs --data"),
        (["verify", "m.tflite", "--min-agreement", "0.9"], "--min-agreement needs --reference"),
        (["export", "m.keras", "--output", "out"], "tflite_int8 needs --calibration"),
    ],
)
def test_mistakes_are_told(words: list[str], told: str, tmp_path: Path) -> None:
    process = tfkit_process(*words, cwd=tmp_path, env={**os.environ, "NO_COLOR": "1"})
    assert (process.returncode, process.stdout) == (1, "")
    assert told in process.stderr and "Traceback" not in process.stderr
