"""A recipe for texts from end to end, on the sentences that come with tfkit."""

import json
import zipfile

import pytest

from tfkit.runtimes import read_signature

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
  segment_ids: true

acceptance:
  max_accuracy_drop: 0.05
  min_agreement: 0.8
"""


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


def test_the_files_have_the_third_input_that_the_recipe_asks_for(run_folder):
    file = run_folder / "artifacts" / "model_dynamic_int8.tflite"
    taken = {tensor.name for tensor in read_signature(file).inputs}
    assert taken == {"token_ids", "padding_mask", "segment_ids"}
    with zipfile.ZipFile(file) as archive:
        assert "vocab.txt" in archive.namelist()


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


@pytest.fixture(scope="module")
def table(run_folder):
    """A file of labelled texts whose columns are called otherwise than in the run."""
    names = list(json.loads((run_folder / "data_report.json").read_text())["kept"]["train"])
    path = run_folder.parents[1] / "texts.csv"
    path.write_text("sentence,class\n" + "".join(f"where is my {name} please,{name}\n" for name in names))
    return path


COLUMNS = ("--text-column", "sentence", "--label-column", "class")


def test_what_learned_and_what_memory_it_took_is_in_the_report(run_folder):
    report = json.loads((run_folder / "report.json").read_text())
    stage = next(stage for stage in report["stages"] if stage["name"] == "fine_tune")
    assert stage["trainable_parameters"] == report["model"]["parameters"]
    assert stage["peak_memory_bytes"] is None or stage["peak_memory_bytes"] > 100e6
    assert f"{stage['trainable_parameters']:,} parameters learned" in (run_folder / "report.html").read_text()


@pytest.mark.slow
def test_a_keras_file_answers_as_its_exported_files_and_is_timed(run_folder, tfkit, tmp_path):
    asked = ["where is my parcel?", "broken \udc80 bytes", "--json", "--top", 10]
    answers = []
    for path in (run_folder / "models" / "float.keras", run_folder / "artifacts" / "saved_model"):
        told = tfkit("predict", path, *asked)
        assert told.status == 0, told.err
        answers.append([{top["label"]: top["score"] for top in one["top"]} for one in json.loads(told.out)["texts"]])
    for keras_answer, file_answer in zip(*answers, strict=True):
        assert keras_answer == pytest.approx(file_answer, abs=1e-4)
    told = tfkit("benchmark", run_folder / "models" / "float.keras", "--runs", 2, "--seconds", 0.1, "--json")
    (row,) = json.loads(told.out)["models"]
    assert row["kind"] == "keras" and row["measures"].endswith("one text") and row["latency_ms_p50"] > 0
    (tmp_path / "elsewhere.keras").write_bytes((run_folder / "models" / "float.keras").read_bytes())
    told = tfkit("predict", tmp_path / "elsewhere.keras", "hello", "--tokenizer", run_folder / "artifacts/tokenizer")
    assert told.status == 1 and "how many tokens a text has" in told.err and "--sequence-length" in told.err


def test_verify_measures_a_file_on_labelled_texts(run_folder, tfkit, table):
    file = run_folder / "artifacts" / "model_dynamic_int8.tflite"
    words = ("--data", table, "--reference", run_folder / "models" / "float.keras")
    told = tfkit("verify", file, *words, *COLUMNS, "--json")
    assert told.status == 0, told.err
    answer = json.loads(told.out)
    assert answer["evaluation"]["examples"] == 10
    assert answer["artifacts"][0]["agreement"] >= 0.8 and answer["artifacts"][0]["accuracy"] is not None
    told = tfkit("verify", file, "--data", table)
    assert told.status == 1
    assert "no column 'text' and 'label'" in told.err and "--text-column and --label-column" in told.err


@pytest.mark.slow
def test_export_makes_the_same_file_again_with_its_tokeniser(run_folder, tfkit, tmp_path):
    told = tfkit("export", run_folder, "--format", "tflite_dynamic_int8", "--output", tmp_path / "shipped")
    assert told.status == 0, told.err
    assert "--data TEST_TEXTS" in told.out
    names = {file.name for file in (tmp_path / "shipped").iterdir()}
    assert names == {"SHA256SUMS", "labels.txt", "manifest.json", "model_dynamic_int8.tflite", "tokenizer"}
    answers = []
    for folder in (run_folder / "artifacts", tmp_path / "shipped"):
        told = tfkit("predict", folder / "model_dynamic_int8.tflite", "where is my parcel?", "--json")
        answers.append(json.loads(told.out)["texts"])
    assert answers[0] == answers[1]
    bare = tmp_path / "bare.tflite"
    bare.write_bytes((tmp_path / "shipped" / "model_dynamic_int8.tflite").read_bytes())
    told = tfkit("predict", bare, "where is my parcel?", "--tokenizer", tmp_path / "shipped" / "tokenizer", "--json")
    bare_scores = [top["score"] for top in json.loads(told.out)["texts"][0]["top"]]
    assert bare_scores == pytest.approx([top["score"] for top in answers[0][0]["top"]], abs=1e-6)
    told = tfkit("verify", bare)
    assert told.status == 1 and "takes token ids" in told.err and "--tokenizer FOLDER" in told.err


@pytest.mark.slow
def test_predict_explains_each_text_word_by_word(run_folder, tfkit):
    told = tfkit("predict", run_folder, "Where's my PARCEL?", "hello", "--explain", "--json", "--top", 1)
    assert told.status == 0, told.err
    parcel, _ = (text["explanation"] for text in json.loads(told.out)["texts"])
    assert [word["word"] for word in parcel["words"]] == ["Where's", "my", "PARCEL", "?"]
    assert sum(abs(word["share"]) for word in parcel["words"]) == pytest.approx(1.0)
    assert parcel["gap"] < 0.05 and parcel["model"].endswith("float.keras")
    shown = tfkit("predict", run_folder, "where is my parcel?", "--explain").out
    assert "explained with" in shown and "parcel" in shown and "the words add up" in shown


def test_exported_files_cannot_be_explained(run_folder, tfkit, tmp_path):
    told = tfkit("predict", run_folder / "artifacts" / "model_dynamic_int8.tflite", "hello", "--explain")
    assert told.status == 1
    assert "an exported file has no gradients" in told.err and f"tfkit predict {run_folder}" in told.err
    (tmp_path / "bare.tflite").write_bytes(b"TFL3")
    told = tfkit("predict", tmp_path / "bare.tflite", "hello", "--tokenizer", run_folder, "--explain")
    assert told.status == 1 and "has no gradients" in told.err
    told = tfkit("predict", tmp_path / "bare.tflite", "hello", "--explain")
    assert told.status == 1 and "no picture 'hello'" in told.err and "for texts" in told.err
    assert "there is no" in tfkit("predict", tmp_path / "nothing", "hello", "--explain").err


def test_report_says_which_words_made_the_mistakes(run_folder):
    explanations = json.loads((run_folder / "report.json").read_text())["explanations"]
    assert explanations["model"] == "models/float.keras" and 1 <= len(explanations["mistakes"]) <= 12
    page = (run_folder / "report.html").read_text()
    assert page.count('class="marked"') == len(explanations["mistakes"]) and "<ruby" in page


def test_check_says_what_would_run(run_folder, tfkit):
    told = tfkit("check", run_folder.parents[1] / "mine.yaml", "fine_tune.method=lora")
    assert told.status == 0 and "16 tokens a text" in told.out and "lora, 1 epoch of" in told.out


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
