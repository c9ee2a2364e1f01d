"""What of a run is shared: accepted files and what describes them, and of its data nothing that was not agreed to."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deployment.hub_double import hub
from tfkit.artifacts import (
    Artifact,
    ImageSpec,
    Lineage,
    ModelSignature,
    Parent,
    RunDirectory,
    TensorSpec,
    read_lineage,
    read_manifest,
    write_manifest,
)
from tfkit.cli.main import main

SECRET = "photos/secret_patient_17.jpg"


def _written_run(folder: Path, **verdicts: tuple[str, ...]) -> RunDirectory:
    """The folder of a finished run, its files' names and why each was refused; the files themselves are no models."""
    run = RunDirectory(folder / "bees")
    for part in (run.artifacts, run.golden):
        part.mkdir(parents=True)
    made, results, golden = [], [], []
    pixels, scores = TensorSpec("pixels", (1, 8, 8, 3), "uint8"), TensorSpec("scores", (1, 2), "uint8")
    for stem, refusals in verdicts.items():
        path = run.artifacts / f"{stem}.tflite"
        path.write_bytes(stem.encode() * 9)
        signature = ModelSignature((pixels,), (scores,))
        made.append(Artifact(path, "tflite", "none", signature, ImageSpec(8, 8), ("ants", "bees"), "a test"))
        result = {"file": f"artifacts/{path.name}", "format": "tflite", "accepted": not refusals, "refusals": refusals}
        measured = {"bytes": 99, "agreement": 1.0, "max_difference": 0.0, "latency_ms_p50": 0.1, "latency_ms_p95": None}
        results.append({**result, **measured, "quality": 0.75, "figures": {"accuracy": 0.75, "macro_f1": 0.7}})
        golden.append({"file": path.name, "expected": f"expected_{stem}.npz"})
        (run.golden / f"expected_{stem}.npz").write_bytes(b"answers")
    parents = (Parent("backbone", "hf://google/vit-base-patch16-224"), Parent("weights", "imagenet"))
    write_manifest(tuple(made), run.artifacts, lineage=Lineage(run="bees", parents=parents))
    (run.golden / "image_0.png").write_bytes(b"a picture")
    said = {"images": [{"file": "image_0.png", "name": SECRET, "label": 0}], "artifacts": golden}
    (run.golden / "golden.json").write_text(json.dumps(said))
    recipe = {"recipe": "finetune_image", "data": {"source": "image_folder", "name": None}, "head": {"epochs": 3}}
    run.recipe.write_text(yaml.safe_dump(recipe))
    (run.path / "MODEL_CARD.md").write_text("# Bees\n\n![curve](pictures/curve.png) ![one](golden/image_0.png)\n")
    (run.path / "pictures").mkdir()
    (run.path / "pictures/curve.png").write_bytes(b"a curve")
    run.report.write_text(f"<img alt='{SECRET}'>")
    report = {
        "version": 1,
        "name": "bees",
        "task": "image classification",
        "accepted": not any(verdicts.values()),
        "evaluation": {"task": "classification", "metric": "accuracy", "keras": 0.75, "figures": {"accuracy": 0.75}},
        "artifacts": results,
        "model": {"image": {"height": 8}},
        "stages": [{"name": "head", "seconds": 2.0, "history": {"val_accuracy": [0.5, 0.6, 0.75]}}],
        "mistakes": [{"name": SECRET}],
        "data": {"left_out": [{"name": SECRET}]},
    }
    run.report_json.write_text(json.dumps(report))
    run.seal()
    return run


def _pushed(run: RunDirectory, folder: Path, *words: str) -> dict[str, Any]:
    """What a dry run writes above the card."""
    assert main(["push", str(run.path), "hf://me/bees", "--dry-run", str(folder), *words]) == 0
    found = re.match(r"---\n(.*?)\n---\n\n(.*)", (folder / "README.md").read_text(), re.DOTALL)
    assert found is not None and found[2] == (run.path / "MODEL_CARD.md").read_text()
    metadata: dict[str, Any] = yaml.safe_load(found[1])
    return metadata


def test_a_dry_run_writes_the_repository(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, hub = _written_run(tmp_path, model_float32=(), model_int8=()), tmp_path / "hub"
    card = _pushed(run, hub)
    told = capsys.readouterr().out
    assert "1 REAL examples" in told and "--no-golden" in told and "nothing was sent" in told
    assert card["pipeline_tag"] == "image-classification" and card["library_name"] == "litert"
    assert card["base_model"] == ["google/vit-base-patch16-224"] and "license" not in card and "no licence" in told
    (results,) = card["model-index"][0]["results"]
    measured = {metric["name"]: metric["value"] for metric in results["metrics"]}
    assert measured["accuracy of artifacts/model_int8.tflite"] == 0.75 and len(measured) == 4
    assert (hub / "pictures/curve.png").read_bytes() == b"a curve" and (hub / "golden/image_0.png").is_file()
    assert {one.name for one in (hub / "artifacts").iterdir()} == {one.name for one in run.artifacts.iterdir()}
    assert not (hub / "report.html").exists() and SECRET not in (hub / "report.json").read_text()
    assert main(["push", str(run.path), "hf://me/bees", "--dry-run", str(hub)]) == 1, "nothing is written over"


def test_golden_samples_of_private_data_stay_at_home(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, hub = _written_run(tmp_path, model_int8=()), tmp_path / "hub"
    _pushed(run, hub, "--no-golden")
    assert "REAL examples" not in (told := capsys.readouterr().out) and "shows golden/image_0.png" in told
    content = b"".join(file.read_bytes() for file in hub.rglob("*") if file.is_file())
    assert not (hub / "golden").exists() and SECRET.encode() not in content and b"a picture" not in content


def test_refused_files_are_left_out_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, hub = _written_run(tmp_path, model_float32=(), model_int8=("it is worse.",)), tmp_path / "hub"
    (run.artifacts / "model.sig").write_text("a signature of both")
    _pushed(run, hub)
    told = capsys.readouterr().out
    assert "because it was refused: artifacts/model_int8.tflite" in told and "sign the new folder" in told
    assert [one.path.name for one in read_manifest(hub / "artifacts")] == ["model_float32.tflite"]
    assert read_lineage(hub / "artifacts") == read_lineage(run.artifacts)
    assert not any("int8" in file.name or file.name == "model.sig" for file in hub.rglob("*"))
    assert [one["file"] for one in json.loads((hub / "golden/golden.json").read_text())["artifacts"]] == [
        "model_float32.tflite"
    ]


def test_what_must_not_be_shared_is_refused_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused = _written_run(tmp_path / "refused", model_int8=("it is worse.",))
    assert main(["push", str(refused.path), "hf://me/bees"]) == 1
    assert "every file was refused: it is worse." in capsys.readouterr().err
    run = _written_run(tmp_path, model_int8=())
    for destination in ("hf://a", "hf://a/b/c", "hf://a b/c", "hf:a/b/c", "mlflow:", "bees"):
        assert main(["push", str(run.path), destination]) == 1
        assert "such as hf://" in (told := capsys.readouterr().err) or "name hf://" in told
    assert main(["push", str(run.path), "mlflow:bees", "--private"]) == 1
    assert "are for hf://USER/NAME" in capsys.readouterr().err
    (run.artifacts / "model_int8.tflite").write_bytes(b"other")
    assert main(["push", str(run.path), "hf://me/bees", "--dry-run", str(tmp_path / "hub")]) == 1
    assert "model_int8.tflite" in capsys.readouterr().err and not (tmp_path / "hub").exists()
    run.report_json.unlink()
    assert main(["push", str(run.path), "hf://me/bees"]) == 1
    assert "is no finished run" in capsys.readouterr().err


def test_whoever_releases_the_model_has_the_last_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = _written_run(tmp_path, model_int8=())
    card = run.path / "MODEL_CARD.md"
    text = card.read_text()
    card.write_text(f"---\nlicense: apache-2.0\ntags: [insects]\n---\n\n{text}")
    assert main(["push", str(run.path), "hf://me/bees", "--dry-run", str(tmp_path / "hub")]) == 0
    said = (tmp_path / "hub/README.md").read_text()
    assert said.endswith(f"---\n\n{text}") and said.count("---\n") == 2 and "no licence" not in capsys.readouterr().out
    metadata = yaml.safe_load(said.split("---\n")[1])
    assert metadata["license"] == "apache-2.0" and metadata["tags"] == ["insects"] and metadata["model-index"]
    card.write_text("---\n- a list\n---\n")
    assert main(["push", str(run.path), "hf://me/bees", "--dry-run", str(tmp_path / "other")]) == 1
    assert "no YAML mapping" in capsys.readouterr().err


def test_no_network_and_no_token_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_TOKEN", "hf_none")
    run = _written_run(tmp_path, model_int8=())
    assert main(["push", str(run.path), "hf://me/bees"]) == 1
    told = capsys.readouterr().err
    assert "could not be uploaded" in told and "HF_TOKEN" in told and "Traceback" not in told


def test_an_upload_removes_what_an_earlier_one_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from huggingface_hub import constants

    run = _written_run(tmp_path, model_float32=(), model_int8=("it is worse.",))
    with hub() as double:
        monkeypatch.setattr(constants, "ENDPOINT", double.address)
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        double.files = {"artifacts/model_int8.tflite": b"older", "golden/image_9.png": b"older", "notes.md": b"mine"}
        words = ["push", str(run.path), "hf://me/bees", "--private", "--revision", "v2", "--no-golden"]
        assert main(words) == 0, capsys.readouterr().err
    assert "/me/bees/commit/1" in capsys.readouterr().out
    assert double.made["name"] == "bees" and double.made["organization"] == "me"
    assert double.made.get("private") or double.made.get("visibility") == "private"
    assert ("POST", "/api/models/me/bees/branch/v2", "Bearer hf_secret") in double.asked
    assert any(path.endswith("/commit/v2") for _, path, _ in double.asked)
    assert double.files["artifacts/model_float32.tflite"] == (run.artifacts / "model_float32.tflite").read_bytes()
    assert double.files["README.md"].startswith(b"---\n") and double.files["notes.md"] == b"mine"
    assert not any("int8" in name or name.startswith("golden/") for name in double.files)


@pytest.mark.slow
def test_a_run_is_logged_to_mlflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs the extra 'mlflow'")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    run = _written_run(tmp_path, model_float32=(), model_int8=("it is worse.",))
    for _ in range(2):  # the experiment is made once
        assert main(["push", str(run.path), "mlflow:insects"]) == 0
    assert "REAL examples" in capsys.readouterr().out
    client = mlflow.MlflowClient()
    first, second = client.search_runs([client.get_experiment_by_name("insects").experiment_id])
    assert first.info.status == second.info.status == "FINISHED"
    data, identity = first.data, first.info.run_id
    assert data.params["head.epochs"] == "3" and data.params["data.source"] == "image_folder"
    assert data.metrics["artifacts/model_float32.tflite/accuracy"] == 0.75 and data.metrics["keras/accuracy"] == 0.75
    assert not any("int8" in name for name in data.metrics)
    history = client.get_metric_history(identity, "head/val_accuracy")
    assert [(one.step, one.value) for one in history] == [(1, 0.5), (2, 0.6), (3, 0.75)]
    assert data.tags["tfkit.parent.weights"] == "imagenet" and "int8" in data.tags["tfkit.refused"]
    names = {one.path for one in client.list_artifacts(identity)}
    assert names >= {"recipe.yaml", "report.json", "report.html", "MODEL_CARD.md", "artifacts", "golden"}
    files = {one.path for one in client.list_artifacts(identity, "artifacts")}
    assert "artifacts/model_float32.tflite" in files and "artifacts/model_int8.tflite" not in files
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://nowhere")
    assert main(["push", str(run.path), "mlflow:insects"]) == 1
    assert "MLFLOW_TRACKING_URI" in capsys.readouterr().err
