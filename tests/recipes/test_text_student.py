"""A text classifier made smaller by a recipe: cut, taught by the whole one, rounded, exported and proved."""

import json
from pathlib import Path

import keras
import pytest

from tfkit.config import load_recipe
from tfkit.errors import ConfigError
from tfkit.models import save_model_file
from tfkit.running.display import SilentDisplay
from tfkit.running.text_planning import build_classifier, read_texts

RECIPE = """\
recipe: finetune_text

data:
  source: built_in
  label_column: intent
  sequence_length: 16
  test_fraction: 0.5

model:
  backbone: bert_tiny
  vocabulary_size: 400

fine_tune:
  epochs: 6
  learning_rate: 1.0e-3

pruning:
  layers: 1
  heads: 1
  feedforward: 128
  epochs: 1
  learning_rate: 1.0e-3

quantization:
  epochs: 1

distillation:
  hidden_states: 1.0

export:
  formats: [tflite_dynamic_int8]

acceptance:
  max_accuracy_drop: 0.05
  min_agreement: 0.9
"""


# Fine-tuning alone, under a teacher that is to be named.
TAUGHT = ("pruning=null", "quantization=null", "distillation.hidden_states=0", "fine_tune.epochs=1")


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(RECIPE)
    return tmp_path / "small.yaml"


@pytest.mark.slow
def test_a_student_is_cut_taught_rounded_and_proved(recipe, tfkit):
    told = tfkit("run", recipe)
    assert told.status == 0, told.err
    folder = recipe.parent / "runs" / "small"
    report = json.loads((folder / "report.json").read_text())
    pruning = report["compression"]["transformer"]
    assert (pruning["before"]["layers"], pruning["after"]["layers"]) == (2, 1)
    assert (pruning["after"]["heads"], pruning["after"]["feedforward"]) == (1, 128)
    assert pruning["after"]["parameters"] == report["model"]["parameters"]
    assert report["compression"]["teacher"] == "the run's own float model"
    assert [stage["name"] for stage in report["stages"]][2:5] == ["fine_tune", "pruning", "quantization"]
    (file,) = report["artifacts"]
    assert file["bytes"] < pruning["bytes_before"]
    assert "kernels read back as trained" in file["made_by"]
    assert "What was cut out of the encoder" in (folder / "report.html").read_text()
    assert "1 of 2 layers" in (folder / "MODEL_CARD.md").read_text()
    small = keras.models.load_model(folder / "models" / "pruned.keras")
    assert small.count_params() == pruning["after"]["parameters"]


def test_check_refuses_more_layers_than_there_are_before_training(recipe, tfkit):
    told = tfkit("check", recipe, "pruning.layers=7", "pruning.heads=3")
    assert told.status == 1
    assert "layers must be 1 to 2" in told.err and "heads must be 1 to 2" in told.err


@pytest.mark.slow
def test_check_says_what_stays(recipe, tfkit):
    told = tfkit("check", recipe)
    assert told.status == 0, told.err
    assert "1 of 2 layers stay" in told.out and "from the float model of this run" in told.out


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (["pruning.layers=null", "pruning.heads=null", "pruning.feedforward=null"], "pruning: takes nothing away"),
        (["pruning=null", "quantization=null"], "would teach nobody"),
        (["pruning=null"], "distillation.hidden_states needs one of layers, heads"),
        (["pruning.sparsity=0.5", "pruning.early_stopping=2"], "pruning.early_stopping cannot go with"),
        (["distillation.alpha=0", "distillation.hidden_states=0"], "the teacher would teach nothing"),
        (["pruning.drop=random"], "pruning.drop must be"),
        (["distillation.teacher=runs/large"], "hidden_states needs this run's own float model"),
        ([*TAUGHT, "distillation.teacher=x", "fine_tune.r_drop=1.0"], "r_drop cannot go with distillation.teacher"),
        ([*TAUGHT, "distillation.teacher=x", "fine_tune.method=head"], "the teacher would teach nobody"),
    ],
)
def test_a_recipe_whose_keys_contradict_each_other_is_refused(recipe, changes, expected):
    with pytest.raises(ConfigError, match=expected):
        load_recipe(recipe, changes)


@pytest.fixture
def teacher(recipe: Path) -> Path:
    """An earlier run's folder as far as a teacher is read from it: a deeper network for the same texts."""
    config = load_recipe(recipe, ["model.backbone=bert_mini"])
    read = read_texts(config, SilentDisplay())
    folder = recipe.parent / "runs" / "large"
    read.tokenizer.save(folder / "artifacts" / "tokenizer")
    save_model_file(build_classifier(config, read.backbone, 10), folder / "models" / "float.keras")
    (folder / "data_report.json").write_text(json.dumps(read.splits.report.to_json()))
    return folder


@pytest.mark.slow
def test_a_model_of_another_run_teaches_fine_tuning(recipe, teacher, tfkit):
    told = tfkit("run", recipe, *TAUGHT, f"distillation.teacher={teacher}", "export=null")
    assert told.status == 0, told.err
    report = json.loads((recipe.parent / "runs" / "small" / "report.json").read_text())
    assert report["compression"]["teacher"] == str(teacher)


def test_a_teacher_that_reads_other_words_or_knows_other_classes_is_refused_before_training(recipe, teacher, tfkit):
    words = (*TAUGHT, "distillation.teacher=runs/large")
    told = tfkit("check", recipe, *words)
    assert told.status == 0 and "from runs/large" in told.out, told.err
    for change, fault in {
        "model.vocabulary_size=300": "has another tokeniser than the student",
        "distillation.teacher=runs": "there is no model at",
    }.items():
        told = tfkit("run", recipe, *words, change)
        assert told.status == 1 and fault in " ".join(told.err.split()), told.err
    report = json.loads((teacher / "data_report.json").read_text())
    report["kept"]["train"] = dict(reversed(report["kept"]["train"].items()))
    (teacher / "data_report.json").write_text(json.dumps(report))
    told = tfkit("check", recipe, *words)
    assert told.status == 1 and "number 0 is 'talk_to_human' to it, and 'account_login' to the student" in told.err
    (teacher / "artifacts" / "tokenizer").rename(teacher / "elsewhere")
    told = tfkit("check", recipe, *words)
    assert told.status == 1 and not (recipe.parent / "runs" / "small").exists()


@pytest.mark.slow
def test_weights_can_be_zeroed_instead_and_stay_zero_in_the_file(recipe, tfkit):
    words = [f"pruning.{name}=null" for name in ("layers", "heads", "feedforward")]
    told = tfkit("run", recipe, *words, "pruning.sparsity=0.5", "distillation.hidden_states=0", "fine_tune.epochs=1")
    assert told.status in (0, 3), told.err
    report = json.loads((recipe.parent / "runs" / "small" / "report.json").read_text())
    assert report["compression"]["transformer"] is None
    masked = [layer for layer in report["compression"]["sparsity"]["layers"] if layer["masked"] is not None]
    weights = sum(layer["weights"] for layer in masked)
    assert sum(layer["masked"] for layer in masked) / weights == pytest.approx(0.5, abs=0.001)
    (file,) = report["artifacts"]
    assert file["stored_zeros"] / file["stored_weights"] == pytest.approx(0.5, abs=0.001)
