"""Runs that are not what was written: unfinished, still going, changed since."""

import shutil
from pathlib import Path

import pytest

from tfkit.artifacts import RunDirectory, create_run_directory
from tfkit.artifacts.manifest import write_check_sums
from tfkit.cli.main import main
from tfkit.data.text import learn_word_pieces


@pytest.fixture
def run(model: Path, exported: Path, tmp_path: Path) -> RunDirectory:
    """A finished run around the tiny model and its files."""
    run = RunDirectory(tmp_path / "run")
    run.models.mkdir(parents=True)
    shutil.copy(model, run.float_model)
    shutil.copytree(exported, run.artifacts)
    run.record(recipe="recipe: finetune_image\n", data_report={"kept": {"train": {"blue": 6, "green": 6, "red": 6}}})
    run.report_json.write_text("{}")
    run.seal()
    return run


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_an_unfinished_run_is_told_by_every_command(
    tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    run = create_run_directory(folder)
    run.record(recipe="recipe: finetune_image\n", data_report={})
    run.models.mkdir()
    run.float_model.write_bytes(b"a model")
    picture = str(pictures / "red" / "0.png")
    for words in (["predict", str(folder), picture], ["verify", str(folder)], ["benchmark", str(folder)]):
        assert main(words) == 1
        assert "is still going, in process" in capsys.readouterr().err
    del run
    for words in (["predict", str(folder), picture], ["verify", str(folder)], ["benchmark", str(folder)]):
        assert main(words) == 1
        told = capsys.readouterr().err
        assert "is unfinished: it has no report" in told and "models/float.keras" in told


@pytest.mark.parametrize(
    "changed", ["model_int8.tflite", "manifest.json", "labels.txt", "saved_model/1/saved_model.pb"]
)
def test_a_changed_artifact_is_told_by_every_command(
    run: RunDirectory, changed: str, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flip(run.artifacts / changed)
    picture = str(pictures / "red" / "0.png")
    for words in (["predict", str(run.path), picture], ["verify", str(run.path)], ["benchmark", str(run.artifacts)]):
        assert main(words) == 1
        assert changed.removesuffix("/saved_model.pb") in capsys.readouterr().err


@pytest.mark.parametrize("changed", ["models/float.keras", "data_report.json"])
def test_a_changed_model_of_a_run_is_told(
    run: RunDirectory, changed: str, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flip(run.path / changed)
    export = ["export", str(run.float_model), "--output", str(tmp_path / "again"), "--format", "tflite_float32"]
    for words in (
        ["predict", str(run.float_model), str(pictures / "red" / "0.png")],
        ["verify", str(run.path)],
        export,
    ):
        assert main(words) == 1
        assert f"{changed}: other bytes than" in capsys.readouterr().err
    assert not (tmp_path / "again" / "manifest.json").exists()


def test_a_changed_tokenizer_of_a_run_is_told(
    run: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run.record(recipe="recipe: finetune_text\n", data_report={"token_lengths": {"sequence_length": 8}})
    learn_word_pieces(["where is my parcel"] * 4, size=60).save(run.tokenizer)
    write_check_sums(run.artifacts)
    run.seal()
    flip(run.tokenizer / "vocabulary.txt")
    export = ["export", str(run.float_model), "--output", str(tmp_path / "again"), "--format", "tflite_float32"]
    for words in (["predict", str(run.float_model), "my parcel"], export):
        assert main(words) == 1
        assert "vocabulary.txt: other bytes than" in capsys.readouterr().err
