"""The recipe from class folders to proved files, through the command line."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

RECIPES = Path(__file__).parents[2] / "recipes"
PROMISED = {
    "file", "format", "quantization", "bytes", "accuracy", "agreement", "max_difference", "float_ops",
    "latency_ms_p50", "latency_ms_p95", "sha256",
}  # fmt: skip


def report_of(run: Path) -> dict:
    return json.loads((run / "report.json").read_text())


def weights_of(run: Path) -> list[np.ndarray]:
    from tfkit.models import load_model_file

    return load_model_file(run).get_weights()


def test_report_json_has_what_was_promised(finished_run):
    report = report_of(finished_run)
    assert report["accepted"] is True
    assert report["evaluation"].items() >= {"examples": 12, "metric": "accuracy"}.items()
    assert 0.0 <= report["evaluation"]["keras"] <= 1.0
    assert [artifact["quantization"] for artifact in report["artifacts"]] == ["none", "none", "int8"]
    for artifact in report["artifacts"]:
        assert artifact.keys() >= PROMISED
        assert artifact["latency_ms_p95"] >= artifact["latency_ms_p50"] > 0
    assert report["artifacts"][2]["float_ops"] == 0


def test_reported_files_are_there_as_reported(finished_run):
    for artifact in report_of(finished_run)["artifacts"]:
        path = finished_run / artifact["file"]
        if artifact["format"] == "tflite":
            assert path.stat().st_size == artifact["bytes"]
            assert hashlib.sha256(path.read_bytes()).hexdigest() == artifact["sha256"]
        else:
            assert (path / "saved_model.pb").is_file()


def test_run_folder_is_complete(finished_run):
    for file in ("recipe.yaml", "data_report.json", "report.html", "MODEL_CARD.md", "models/float.keras"):
        assert (finished_run / file).stat().st_size > 100, file
    assert (finished_run / "artifacts" / "labels.txt").read_text().split() == ["apple", "leaf", "sky"]
    assert len(json.loads((finished_run / "artifacts" / "manifest.json").read_text())["artifacts"]) == 3
    assert (finished_run / "golden" / "golden.json").is_file() and (finished_run / "golden" / "inputs.npz").is_file()
    for stage in ("head", "fine_tune"):
        assert any((finished_run / "tensorboard" / stage).rglob("events.out.tfevents.*")), stage
    assert not [path.name for path in finished_run.rglob("*") if "unfinished" in path.name]


def test_report_page_needs_no_other_file(finished_run):
    page = (finished_run / "report.html").read_text()
    assert "<html" in page and 'src="http' not in page and "<link" not in page
    assert all(name in page for name in ("apple", "leaf", "sky"))


def test_resolved_recipe_runs_as_it_is(finished_run, tfkit, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    told = tfkit("check", finished_run / "recipe.yaml", "run.name=again")
    assert told.status == 0 and "leaf" in told.out


@pytest.fixture(scope="module")
def scripted(finished_run, tmp_path_factory):
    """The same recipe and seed in another process and folder, by its script, with only one file exported."""
    here = tmp_path_factory.mktemp("scripted")
    words = ["--config", finished_run.parents[1] / "mine.yaml", "export.formats=[tflite_float32]", "run.name=other"]
    command = [sys.executable, RECIPES / "finetune_image.py", *words]
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return here / "runs" / "other", subprocess.run(command, cwd=here, capture_output=True, text=True, env=environment)


@pytest.mark.slow
def test_the_script_does_what_tfkit_run_does_with_the_same_weights_and_accuracy(finished_run, scripted):
    again, process = scripted
    assert process.returncode == 0, process.stderr
    for ours, theirs in zip(weights_of(finished_run), weights_of(again), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert report_of(again)["evaluation"] == report_of(finished_run)["evaluation"]
    first, second = (report_of(run)["artifacts"] for run in (finished_run, again))
    assert second[0]["accuracy"] == next(each["accuracy"] for each in first if each["file"] == second[0]["file"])


@pytest.mark.slow
def test_the_script_is_as_quiet_as_tfkit_run(scripted):
    assert scripted[1].stderr == ""


@pytest.mark.slow
def test_another_seed_gives_other_weights(finished_run, recipe, tfkit):
    assert tfkit("run", recipe, "run.seed=1", "export=null").status == 0
    pairs = zip(weights_of(finished_run), weights_of(Path("runs/mine")), strict=True)
    assert any(not np.array_equal(ours, theirs) for ours, theirs in pairs)


def test_predict_shows_where_any_file_looked(finished_run, photos, tfkit, tmp_path):
    picture, folder = next(iter(sorted((photos / "leaf").glob("*.jpg")))), tmp_path / "heat"
    for number, model in enumerate(
        ("", "artifacts/saved_model/1", "artifacts/model_int8.tflite", "models/float.keras")
    ):
        told = tfkit("predict", finished_run / model, picture, "--heat-maps", folder / str(number), "--json")
        assert told.status == 0, told.err
        (answer,) = json.loads(told.out)["images"]
        explained = answer["explanation"]
        assert explained["label"] == answer["top"][0]["label"] and Path(explained["heat_map"]).is_file()
        assert 0 <= explained["insertion"] <= 1 and len(explained["random_insertion"]) == 2
    again = tfkit("predict", finished_run, picture, "--heat-maps", folder / "0")
    assert again.status == 1 and "exists already" in again.err


def test_the_report_shows_where_the_file_looked(finished_run):
    report = json.loads((finished_run / "report.json").read_text())
    maps = report["heat_maps"]
    assert maps["file"] == "model_int8.tflite" and maps["method"] == "Grad-CAM"
    assert len(maps["pictures"]) == min(12, len(report["mistakes"]))
    page = (finished_run / "report.html").read_text()
    assert page.count('alt="where the file looked"') == len(maps["pictures"])
