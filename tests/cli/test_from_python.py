"""What the commands do, asked from Python: values come back, and nothing is printed."""

import json
from pathlib import Path

import numpy as np
import pytest

import tfkit
from tfkit.cli.main import main
from tfkit.errors import ConfigError, RunError
from tfkit.operations import Images, Limits, Timing, time_model
from tfkit.search import Budget


def test_a_model_is_exported_asked_and_proved(
    model: Path, exported: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = str(exported / "labels.txt")
    capsys.readouterr()
    files = tfkit.export(str(model), tmp_path / "made", formats=["tflite_float32"], labels=labels)
    assert [file.class_names for file in files] == [("blue", "green", "red")]
    told = tfkit.predict(files[0].path, [pictures / "red", pictures / "blue" / "0.png"])
    assert told.scores.shape == (7, 3) and np.allclose(told.scores.sum(axis=1), 1, atol=1e-5)
    assert [row[0][0] for row in told.best(top=1)] == ["red"] * 6 + ["blue"]
    proof = tfkit.verify(tmp_path / "made", data=str(pictures), reference=str(model), limits=Limits(max_bytes=10))
    assert proof.reference == 1 and [file.quality for file in proof.files] == [1]
    assert not proof.accepted and "bytes" in proof.files[0].refusals[0]
    assert capsys.readouterr().out == ""


def test_the_command_prints_the_value_that_the_function_gives(
    exported: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, picture = exported / "model_int8.tflite", pictures / "green" / "1.png"
    capsys.readouterr()
    assert main(["predict", str(file), str(picture), "--top", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == tfkit.predict(file, picture).document(top=2)


def test_a_file_is_timed_for_as_long_as_was_said(exported: Path) -> None:
    timed = time_model(exported / "model_int8.tflite", timing=Timing(warmup_runs=1, min_runs=3, max_seconds=0.05))
    assert [file.kind for file in timed.files] == ["tflite int8"] and timed.files[0].latency.warmup_runs == 1


def test_what_cannot_be_done_is_told_before_anything_is_read(model: Path, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs --data"):
        tfkit.verify(model, reference=model)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="never overwritten"):
        tfkit.export(model, tmp_path, formats=["tflite_float32"])
    with pytest.raises(ConfigError, match="there is no model"):
        tfkit.optimize(tmp_path / "none.keras", Images("digits"), budget=Budget(max_accuracy_drop=0.1), folder=tmp_path)
