"""`tfkit lineage`: a run that began with another run's backbone, and what becomes of the story when files change."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tfkit.artifacts.manifest import file_sha256, write_check_sums
from tfkit.cli.main import main


def _run(folder: Path, name: str, model: dict[str, Any], **changes: Any) -> Path:
    import tfkit

    said = {
        "recipe": "finetune_image",
        "run": {"name": name, "directory": str(folder)},
        "data": {
            "source": "digits",
            "classes": ["0", "1"],
            "labels_per_class": 20,
            "image_size": 16,
            "channels": 1,
            "resize": "stretch",
        },
        "model": model,
        "fine_tune": {"epochs": 1, "batch_norm": "train"},
        "export": {"formats": ["tflite_float32"]},
        "acceptance": {"max_accuracy_drop": 1.0, "min_agreement": 0.0},
        **changes,
    }
    recipe = folder / f"{name}.yaml"
    recipe.write_text(json.dumps(said))
    tfkit.run(recipe)
    return folder / name


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("runs")
    first = _run(folder, "first", {"backbone": "resnet8", "weights": "random", "dropout": 0.0})
    second = _run(folder, "second", {"backbone": str(first)}, distillation={"teacher": str(first)})
    return first, second


def _told(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["lineage", str(path), "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_a_file_tells_its_recipe_its_data_and_its_parents(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = runs
    told = _told(second / "artifacts/model_float32.tflite", capsys)
    assert told["run"] == "second" and told["recipe_sha256"] == file_sha256(second / "recipe.yaml")
    assert told["examples"]["train"] > 0 and set(told["figures"]) >= {"accuracy"} and "tensorflow" in told["versions"]
    parents = {parent["role"]: parent for parent in told["parents"]}
    assert set(parents) == {"backbone", "teacher"}
    for parent in parents.values():
        assert parent["sha256"] == file_sha256(first / "models/float.keras") and parent["state"] == "same"
        assert parent["ancestry"]["run"] == "first"
    of_first = _told(first, capsys)
    assert of_first == parents["backbone"]["ancestry"]
    assert [parent["state"] for parent in of_first["parents"]] == ["named", "named"]
    assert told["data_sha256"] == of_first["data_sha256"]
    assert main(["lineage", str(second)]) == 0
    tree = capsys.readouterr().out
    assert "second" in tree and "first" in tree and "here, the same bytes" in tree


def test_a_parent_that_changed_or_went_is_said(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = runs
    model = first / "models/float.keras"
    kept, labels = shutil.copy(model, tmp_path), (first / "artifacts/labels.txt").read_text()
    try:
        (first / "artifacts/labels.txt").write_text("other\n")  # its own story cannot be believed any more
        told = _told(second, capsys)["parents"]
        assert {(parent["state"], parent["ancestry"]) for parent in told} == {("same", None)}
        model.write_bytes(b"other")
        assert {parent["state"] for parent in _told(second, capsys)["parents"]} == {"changed"}
        model.unlink()
        assert {parent["state"] for parent in _told(second, capsys)["parents"]} == {"missing"}
    finally:
        shutil.copy(kept, model)
        (first / "artifacts/labels.txt").write_text(labels)


def test_an_exported_file_names_the_model_it_was_made_from(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, _ = runs
    model = first / "models/float.keras"
    words = ["export", str(model), "--output", str(tmp_path / "out"), "--format", "tflite_float32"]
    assert main(words) == 0
    told = _told(tmp_path / "out", capsys)
    assert told["run"] is None and told["parents"][0]["role"] == "model"
    assert told["parents"][0]["sha256"] == file_sha256(model) and told["parents"][0]["ancestry"]["run"] == "first"


def test_what_says_nothing_and_what_was_changed_are_named(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lineage", str(tmp_path)]) == 1
    assert "no manifest of tfkit" in capsys.readouterr().err
    copied = shutil.copytree(runs[0] / "artifacts", tmp_path / "artifacts")
    manifest = copied / "manifest.json"
    said = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**said, "lineage": {**said["lineage"], "run": "another"}}))
    assert main(["lineage", str(copied)]) == 1
    assert "manifest.json" in capsys.readouterr().err
    del said["lineage"]
    manifest.write_text(json.dumps(said))
    write_check_sums(copied)
    assert main(["lineage", str(copied)]) == 1
    assert "an older tfkit wrote it" in capsys.readouterr().err
    assert main(["verify", str(copied / "model_float32.tflite")]) == 0  # manifests of yesterday are read
    said["lineage"] = {"run": 3}
    manifest.write_text(json.dumps(said))
    write_check_sums(copied)
    assert main(["lineage", str(copied)]) == 1
    assert "is not a tfkit manifest" in capsys.readouterr().err
