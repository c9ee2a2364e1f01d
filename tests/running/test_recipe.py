"""`tfkit.run` and `tfkit.check`: a recipe from Python, with a report as a value."""

from pathlib import Path

import pytest

import tfkit
from tfkit.errors import ConfigError, DataError, ModelError

QUICK = {
    "model": {"backbone": "resnet8", "weights": "random"},
    "head": {"epochs": 1},
    "fine_tune": None,
    "quantization": None,
    "export": {"formats": ["tflite_float32"]},
    "acceptance": {"max_accuracy_drop": 1.0},
}


def test_run_gives_the_report_as_a_value(tmp_path: Path) -> None:
    report = tfkit.run("digits", run={"directory": tmp_path, "name": "first"}, **QUICK, **{"data.batch_size": 64})
    assert [file.label for file in report.artifacts] == ["TFLite float32"]
    assert report.evaluation.examples == 359
    assert (tmp_path / "first" / "report.html").is_file()
    assert "batch_size: 64" in (tmp_path / "first" / "recipe.yaml").read_text()


def test_check_gives_the_data_and_the_stages(tmp_path: Path) -> None:
    found = tfkit.check("digits", run={"directory": tmp_path}, **QUICK)
    stages = dict(found.stages)
    assert found.examples["test"] == 359 and len(found.class_names) == 5
    assert stages["head"].startswith("1 epoch") and stages["fine_tune"] == ""
    assert not list(tmp_path.iterdir())


LORA = {
    "model": {"backbone": "vit_micro_8", "weights": "random"},
    "head": None,
    "fine_tune": {"method": "lora", "rank": 2, "epochs": 1},
    "quantization": None,
    "export": {"formats": ["tflite_float32"]},
    "acceptance": {"max_accuracy_drop": 1.0},
}


@pytest.mark.slow
def test_a_vision_transformer_learns_by_low_rank_updates_and_ships_plain(tmp_path: Path) -> None:
    report = tfkit.run("digits", run={"directory": tmp_path, "name": "lora"}, **LORA)
    assert report.artifacts[0].accepted
    stage = next(stage for stage in report.stages if stage.name == "fine_tune")
    assert stage.trainable_parameters is not None and "were merged" in stage.notes[0]
    assert f"{stage.trainable_parameters:,} parameters learned" in (tmp_path / "lora" / "report.html").read_text()


def test_low_rank_updates_of_images_are_planned_or_refused_before_training(tmp_path: Path) -> None:
    place = {"run": {"directory": tmp_path, "name": "lora"}}
    assert dict(tfkit.check("digits", **place, **LORA).stages)["fine_tune"].endswith("lora of rank 2")
    with pytest.raises(ModelError, match="backbone resnet8 has no attention for low-rank updates"):
        tfkit.run("digits", **place, **LORA | {"model": QUICK["model"]})
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match=r"fine_tune\.unfreeze does nothing with method lora.*leave it at all"):
        tfkit.check("digits", **place, **LORA, **{"fine_tune.unfreeze": 0.5})


@pytest.mark.parametrize("recipe", [pytest.param("intents_small", marks=pytest.mark.slow), "faq_small"])
def test_texts_take_the_classes_and_the_few_labels_that_images_take(recipe: str, tmp_path: Path) -> None:
    chosen = {"data.classes": ["refund_status", "cancel_order"], "data.labels_per_class": 5}
    found = tfkit.check(recipe, run={"directory": tmp_path}, **chosen)
    assert list(found.class_names) == ["refund_status", "cancel_order"] and found.examples["train"] == 10
    with pytest.raises(DataError, match=r"there is no class 'refund_statu' \(is 'refund_status' meant"):
        tfkit.check(recipe, run={"directory": tmp_path}, **{"data.classes": ["refund_statu", "cancel_order"]})
    several = {"data.labels_per_class": 5, "task.kind": "multilabel"}
    with pytest.raises(ConfigError, match=r"data\.labels_per_class is for one class of several"):
        tfkit.check("text_labels", run={"directory": tmp_path}, **several)


def test_a_misspelt_key_is_an_error_before_any_work() -> None:
    with pytest.raises(ConfigError, match=r"head\.epoch is not a known key"):
        tfkit.run("digits", head={"epoch": 1})
    with pytest.raises(ConfigError, match="haed is not a section"):
        tfkit.check("digits", haed={"epochs": 1})
