"""What `tfkit check` tells of compression, and what it refuses before any image is read."""

import json
from pathlib import Path

import pytest

from tfkit.cli.main import main

RECIPE = """\
recipe: finetune_image
run: {{directory: {runs}}}
data: {{source: image_folder, directory: {pictures}, image_size: 16, batch_size: 4}}
model: {{backbone: resnet8, weights: random}}
fine_tune: {{epochs: 2, unfreeze: all, batch_norm: train}}
pruning: {{sparsity: 0.5}}
quantization: {{epochs: 1}}
distillation: {{}}
export: {{formats: [tflite_int8]}}
"""


@pytest.fixture
def recipe(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLUMNS", "200")  # no cell is broken into lines
    path = tmp_path / "colours.yaml"
    path.write_text(RECIPE.format(runs=tmp_path / "runs", pictures=pictures))
    return path


def told(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_check_shows_what_becomes_of_each_layer(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(recipe)]) == 0
    out = told(capsys)
    assert "32 layers int8, 0 float; 9 of 10 layers pruned (98% of the weights)" in out
    assert "the next layer is folded into its kernel" in out and "dense: the first convolution" in out
    assert "50% zeros by magnitude" in out and "int8 weights, int8 activations" in out
    assert "from the float model of this run" in out


def test_check_counts_layers_left_in_float(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(recipe), "quantization.skip=[logits]", "pruning=null"]) == 0
    out = told(capsys)
    assert "31 layers int8, 1 float" in out and "float32 1 left in float: skip" in out


def test_check_shows_which_widths_channel_pruning_plans(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(recipe), "pruning={method: channels, keep: 0.5}"]) == 0
    out = told(capsys)
    assert "channel pruning leaves" in out and "narrower" in out and "whole: " in out


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        ("quantization.skip=[logit]", "did you mean 'logits'"),
        ("pruning.skip=[logit]", "skip names no layer: 'logit'; did you mean 'logits'?"),
        ("pruning={method: channels, max_parameters: 10}", "max_parameters=10 cannot be met"),
        pytest.param(
            "model={backbone: mobilenet_v3_small, weights: random}",
            "tensorflow-model-optimization cannot take",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_a_stage_would_refuse_is_refused_before_the_data_are_read(
    override: str, fault: str, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data.directory=/nowhere", "data.image_size=32", override]
    if "tensorflow" in fault:
        words += ["quantization.engine=tfmot", "pruning=null", "distillation=null"]
    assert main(["check", str(recipe), *words]) == 1
    err = " ".join(capsys.readouterr().err.split())
    assert fault in err and "/nowhere" not in err and "unexpected" not in err


def test_faults_of_pruning_and_quantization_are_told_together(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(recipe), "quantization.skip=[logit]", "pruning.skip=[stm]"]) == 1
    err = capsys.readouterr().err
    assert "'logits'" in err and "'stm'" in err


def test_a_teacher_that_cannot_teach_is_refused(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tfkit.artifacts import ImageSpec
    from tfkit.models import build_backbone, build_classifier, save_model_file

    teacher = tmp_path / "teacher.keras"
    save_model_file(build_classifier(build_backbone("resnet8", image=ImageSpec(16, 16)), classes=2), teacher)
    assert main(["check", str(recipe), f"distillation.teacher={teacher}"]) == 1
    assert "the student gives 3 logits, the teacher 2" in capsys.readouterr().err
    assert main(["check", str(recipe), "distillation.teacher=/no/such.keras"]) == 1
    assert "there is no model at '/no/such.keras'" in capsys.readouterr().err
    folder = tmp_path / "earlier"
    three = build_classifier(build_backbone("resnet8", image=ImageSpec(16, 16)), classes=3)
    save_model_file(three, folder / "models" / "float.keras")
    (folder / "data_report.json").write_text(json.dumps({"kept": {"train": {"leaf": 9, "sky": 9, "apple": 9}}}))
    assert main(["check", str(recipe), f"distillation.teacher={folder}"]) == 1
    assert "knows other classes, or another order: number 0 is 'leaf' to it" in capsys.readouterr().err
