"""A recipe for texts from end to end, on the sentences that come with tfkit."""

import json
from pathlib import Path

import pytest

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
  epochs: 1
  learning_rate: 1.0e-3

export:
  formats: [saved_model, tflite_dynamic_int8]

acceptance:
  max_accuracy_drop: 0.05
  min_agreement: 0.8
"""


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """The folder of one whole run, made in this process."""
    import os

    from tfkit.cli.main import main

    here = tmp_path_factory.mktemp("texts")
    (here / "mine.yaml").write_text(RECIPE)
    before = Path.cwd()
    os.chdir(here)
    try:
        assert main(["run", "mine.yaml"]) == 0
    finally:
        os.chdir(before)
    return here / "runs" / "mine"


def test_every_file_is_proved_on_every_test_text(run_folder):
    report = json.loads((run_folder / "report.json").read_text())
    assert report["accepted"] and report["task"] == "text classification"
    assert report["model"]["text"]["sequence_length"] == 16
    assert [file["file"] for file in report["artifacts"]] == [
        "artifacts/saved_model/1",
        "artifacts/model_dynamic_int8.tflite",
    ]
    assert report["artifacts"][0]["agreement"] == 1.0
    for name in ("report.html", "MODEL_CARD.md", "models/float.keras", "artifacts/tokenizer/specification.json"):
        assert (run_folder / name).is_file(), name


def test_golden_texts_come_with_ids_and_answers(run_folder):
    golden = json.loads((run_folder / "golden" / "golden.json").read_text())
    assert len(golden["texts"]) == 8 and all(entry["text"] for entry in golden["texts"])


def test_predict_answers_texts_through_every_file(run_folder, tfkit, tmp_path):
    (tmp_path / "asked.txt").write_text("where is my parcel?\n\ni want my money back\n")
    answers = []
    for name in ("saved_model", "model_dynamic_int8.tflite"):
        told = tfkit("predict", run_folder / "artifacts" / name, tmp_path / "asked.txt", "hello", "--json", "--top", 1)
        assert told.status == 0
        texts = json.loads(told.out)["texts"]
        assert [entry["text"] for entry in texts] == ["where is my parcel?", "i want my money back", "hello"]
        answers.append([entry["top"][0]["score"] for entry in texts])
    assert answers[0] == pytest.approx(answers[1], abs=0.05)


def test_check_says_what_would_run(run_folder, tfkit):
    told = tfkit("check", run_folder.parents[1] / "mine.yaml", "fine_tune.method=lora")
    assert told.status == 0 and "16 tokens a text" in told.out and "lora, 1 epochs" in told.out


def test_wrong_keys_of_a_text_recipe_are_told_at_once(run_folder, tfkit):
    told = tfkit("check", run_folder.parents[1] / "mine.yaml", "fine_tune.method=prompt", "data.image_size=32")
    assert told.status == 1
    assert "fine_tune.method must be" in told.err and "data.image_size is not a known key" in told.err


@pytest.mark.slow
@pytest.mark.parametrize("target", ["dynamic_int8", "int8"])
def test_what_was_trained_quantisation_aware_is_what_ships(run_folder, tfkit, target, tmp_path):
    words = [f"run.directory={tmp_path}", f"quantization.target={target}", f"export.formats=[tflite_{target}]"]
    told = tfkit("run", run_folder.parents[1] / "mine.yaml", *words, "acceptance.min_agreement=0.9")
    assert told.status == 0, told.err
    (file,) = json.loads((tmp_path / "mine" / "report.json").read_text())["artifacts"]
    assert "kernels read back as trained" in file["made_by"]
    assert target == "dynamic_int8" or file["float_ops"] == 0
