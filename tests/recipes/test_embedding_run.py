"""A recipe for sentence embeddings from end to end, on the sentences that come with tfkit."""

import json
import re

import numpy as np
import pytest

from tfkit.artifacts import read_manifest

RECIPE = """\
recipe: embed_text

data:
  source: built_in
  label_column: intent
  sequence_length: 16
  validation_fraction: 0.3
  test_fraction: 0.5

model:
  backbone: bert_tiny
  vocabulary_size: 400

fine_tune:
  epochs: 1
  learning_rate: 1.0e-3

search:
  min_confidence: 0.0

export:
  formats: [saved_model, tflite_dynamic_int8]

acceptance:
  max_accuracy_drop: 0.05
  min_agreement: 0.5
"""

pytestmark = pytest.mark.slow


def test_every_file_is_proved_by_cosine_and_nearest_text(run_folder):
    report = json.loads((run_folder / "report.json").read_text())
    assert report["accepted"] and report["task"] == "sentence embeddings"
    exact, small = report["artifacts"]
    assert exact["min_cosine"] > 0.9999 and exact["agreement"] >= 0.99
    assert small["min_cosine"] >= 0.98 and small["signature"]["outputs"][0]["name"] == "embeddings"
    assert report["search"]["out_of_scope"] == 40 and report["search"]["refused"] is not None
    page = (run_folder / "report.html").read_text()
    assert "Cosine" in page and "not sure" in page
    card = (run_folder / "MODEL_CARD.md").read_text()
    assert 'answer["embeddings"]' in card and "artifacts/search" in card and "softmax head" not in card
    expected = np.load(run_folder / "golden" / "expected_model_dynamic_int8.npz")["embeddings"]
    np.testing.assert_allclose(np.linalg.norm(expected, axis=1), 1, atol=1e-4)


def test_a_kept_embedder_is_exported_and_has_no_labels(run_folder, tfkit, tmp_path):
    kept, words = run_folder / "models" / "float.keras", ("--format", "tflite_float32", "--segment-ids")
    told = tfkit("export", kept, *words, "--output", tmp_path / "shipped")
    assert told.status == 0, told.err
    (file,) = read_manifest(tmp_path / "shipped")
    assert not file.class_names and {tensor.name for tensor in file.signature.outputs} == {"embeddings"}
    (tmp_path / "labels.txt").write_text("a\nb\n")
    told = tfkit("export", kept, *words, "--output", tmp_path / "no", "--labels", tmp_path / "labels.txt")
    assert told.status == 1 and "embeddings, which have no labels" in told.err


def test_predict_answers_and_names_the_nearest_texts(run_folder, tfkit):
    known = json.loads((run_folder / "artifacts" / "search" / "index.json").read_text())
    asked = known["texts"][0]
    for path in (run_folder, run_folder / "artifacts" / "model_dynamic_int8.tflite", run_folder / "models/float.keras"):
        told = tfkit("predict", path, asked, "--json", "--top", 3)
        assert told.status == 0, told.err
        (answer,) = json.loads(told.out)["texts"]
        assert answer["nearest"][0]["cosine"] == pytest.approx(1, abs=0.02) and len(answer["nearest"]) == 3
        assert answer["answer"] == known["answers"][answer["label"]]
    told = tfkit("predict", run_folder, asked, "--nearest", "--top", 2)
    assert told.status == 0 and "cosine" in told.out and "1.000" in told.out
    told = tfkit("predict", run_folder, asked)
    assert told.status == 0 and "confidence" in told.out


def test_check_says_what_would_run(run_folder, tfkit):
    told = tfkit("check", run_folder.parents[1] / "mine.yaml", "fine_tune.method=lora")
    assert told.status == 0, told.err
    assert re.search('search +120 texts; "not sure" below 0; 10 answers, 40 out-of-scope texts', told.out)
    told = tfkit("check", run_folder.parents[1] / "mine.yaml", "search.answers=none.csv")
    assert told.status == 1 and "cannot read the answers 'none.csv'" in told.err
