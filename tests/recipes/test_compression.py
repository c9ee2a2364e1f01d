"""Pruning, quantisation-aware training and distillation as a recipe says, through the command line, on digits."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

RECIPE = """\
recipe: finetune_image
data: {source: digits, classes: ["0", "1", "2"], labels_per_class: 40, image_size: 16, channels: 1, resize: stretch}
augmentation: {policy: light, flip: false}
model: {backbone: resnet8, weights: random, dropout: 0.0}
fine_tune: {epochs: 6, learning_rate: 3.0e-3, batch_norm: train}
pruning: {sparsity: 0.6, epochs: 2, learning_rate: 1.0e-3}
quantization: {epochs: 2, learning_rate: 3.0e-4}
distillation: {}
export: {formats: [tflite_float32, tflite_int8]}
"""
CHANNELS = "pruning={method: channels, keep: 0.5, epochs: 2, learning_rate: 1.0e-3, batch_norm: train}"


def run_in(folder: Path, name: str, *overrides: str, status: int = 0) -> Path:
    """The folder of a run of the recipe, made in this process."""
    from tfkit.cli.main import main

    (folder / f"{name}.yaml").write_text(RECIPE)
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert main(["run", f"{name}.yaml", *overrides]) == status
    finally:
        os.chdir(before)
    return folder / "runs" / name


def report_of(run: Path) -> dict:
    return json.loads((run / "report.json").read_text())


def scalars_of(folder: Path) -> set[str]:
    """The names of what TensorBoard shows of a stage."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    names: set[str] = set()
    for file in folder.rglob("events.out.tfevents.*"):
        events = EventAccumulator(str(file))
        events.Reload()
        names |= set(events.Tags()["tensors"])
    return names


@pytest.fixture(scope="module")
def compressed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_in(tmp_path_factory.mktemp("compressed"), "mine")


def test_every_stage_leaves_its_model_and_its_accuracy(compressed: Path) -> None:
    from tfkit.compression import is_quantize_aware
    from tfkit.compression.pruning import sparsity
    from tfkit.models import load_model_file

    models = {
        name: load_model_file(compressed / "models" / f"{name}.keras") for name in ("float", "pruned", "quantized")
    }
    assert sparsity(models["float"]).masked_share == 0 and not is_quantize_aware(models["pruned"])
    assert sparsity(models["pruned"]).masked_share == pytest.approx(0.6, abs=0.001)
    assert sparsity(models["quantized"]).masked_share == pytest.approx(0.6, abs=0.001)
    assert is_quantize_aware(models["quantized"])
    accuracies = {stage["name"]: stage["accuracy"] for stage in report_of(compressed)["stages"]}
    assert all(accuracies[name] is not None for name in ("fine_tune", "pruning", "quantization"))
    assert report_of(compressed)["evaluation"]["keras"] == accuracies["quantization"]


def test_the_int8_file_holds_the_zeros_of_the_masks_and_answers_like_the_last_model(compressed: Path) -> None:
    report = report_of(compressed)
    (integer,) = (file for file in report["artifacts"] if file["quantization"] == "int8")
    layers = report["compression"]["sparsity"]["layers"]
    zeros, weights = (sum(layer[key] for layer in layers) for key in ("zeros", "weights"))
    assert integer["stored_weights"] == weights
    assert integer["stored_zeros"] / weights == pytest.approx(zeros / weights, abs=0.001)
    assert integer["deflated_bytes"] < 0.8 * integer["bytes"]
    assert integer["float_ops"] == 0 and integer["agreement"] >= 0.98
    assert integer["layers"] and max(row["mean_steps"] for row in integer["layers"]) < 1
    assert "kernels read back as trained" in integer["made_by"]


def test_the_report_tells_what_became_of_each_layer(compressed: Path) -> None:
    compression = report_of(compressed)["compression"]
    assert {row["precision"] for row in compression["coverage"]} <= {"int8", "-"}
    assert compression["teacher"] == "the run's own float model"
    page = (compressed / "report.html").read_text()
    assert "What compression did" in page and "Zeros bring no speed" in page and "The int8 file, layer by layer" in page


def test_tensorboard_shows_ranges_clipped_shares_zeros_and_errors(compressed: Path) -> None:
    pruning, quantization = (scalars_of(compressed / "tensorboard" / name) for name in ("pruning", "quantization"))
    assert any(name.startswith("sparsity/") for name in pruning)
    for kind in ("ranges/", "clipped/", "file_error_steps/"):
        assert any(name.startswith(kind) for name in quantization), (kind, quantization)


def test_run_says_before_training_what_becomes_of_the_layers(
    tmp_path: Path, tfkit: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(RECIPE)
    told = tfkit("run", "mine.yaml", "quantization.skip=[logts]")
    assert told.status == 1 and "'logits'" in told.err and "Fine-tune" not in told.out
    assert not Path("runs").exists()


def test_channel_pruning_makes_the_file_smaller_and_says_what_to_expect(tmp_path: Path) -> None:
    report = report_of(run_in(tmp_path, "narrow", CHANNELS, "distillation.feature_maps=1.0"))
    (notes,) = (stage["notes"] for stage in report["stages"] if stage["name"] == "pruning")
    assert any("feature maps" in note for note in notes)
    channels = report["compression"]["channels"]
    assert channels["parameters_after"] < 0.6 * channels["parameters_before"]
    assert report["model"]["parameters"] == channels["parameters_after"]
    (integer,) = (file for file in report["artifacts"] if file["quantization"] == "int8")
    assert integer["bytes"] == pytest.approx(channels["expected_bytes"], rel=0.25)
    assert channels["expected_latency_ms"] < channels["latency_ms_before"]
    assert "Channels removed" in (tmp_path / "runs/narrow/report.html").read_text()


def test_the_tfmot_engine_runs_from_the_same_recipe(tmp_path: Path) -> None:
    words = ("quantization.engine=tfmot", "export.formats=[tflite_int8]", "distillation=null")
    run = run_in(tmp_path, "theirs", *words)
    (integer,) = report_of(run)["artifacts"]
    assert "tensorflow-model-optimization" in integer["made_by"]
    assert integer["float_ops"] == 0 and integer["agreement"] >= 0.95
    assert integer["stored_zeros"] / integer["stored_weights"] >= 0.5
    assert (run / "models" / "pruned.keras").is_file() and not (run / "models" / "quantized.keras").exists()


def test_an_earlier_run_teaches_fine_tuning(compressed: Path, tmp_path: Path) -> None:
    run = run_in(
        tmp_path, "taught", f"distillation.teacher={compressed}", "pruning=null", "quantization=null", "export=null"
    )
    assert report_of(run)["compression"]["teacher"] == str(compressed)


def test_layers_left_in_float_are_accepted_because_the_recipe_asks_for_them(tmp_path: Path) -> None:
    report = report_of(run_in(tmp_path, "mixed", "quantization.skip=[logits]", "pruning=null", "distillation=null"))
    (integer,) = (file for file in report["artifacts"] if file["quantization"] == "int8")
    assert integer["float_ops"] > 0 and integer["accepted"]
    assert [row["layer"] for row in report["compression"]["coverage"] if row["precision"] == "float32"] == ["logits"]


def test_files_of_a_ruined_model_are_refused_though_they_answer_as_it_does(tmp_path: Path) -> None:
    ruined = ["pruning=null", "distillation=null", "quantization={epochs: 1, learning_rate: 0.5}"]
    run = run_in(tmp_path, "ruined", *ruined, status=3)

    report = report_of(run)
    whole = next(stage["accuracy"] for stage in report["stages"] if stage["name"] == "fine_tune")
    for artifact in report["artifacts"]:
        assert artifact["accuracy"] < whole - 0.05
        assert any(f"below the float model's {whole:.4f}" in reason for reason in artifact["refusals"])
