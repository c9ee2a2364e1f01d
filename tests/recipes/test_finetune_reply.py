"""A language model from its table to proved files: each says what Keras says, cites, or leaves questions open."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import tfkit as house
from tfkit.artifacts import read_manifest
from tfkit.data.replies import read_conversation, read_known_answers
from tfkit.errors import ModelError
from tfkit.models import load_model_file
from tfkit.runtimes import LanguageModelRuntime, open_runtime
from tfkit.stages.reply_filters import refuses_by_run
from tfkit.stages.replying import Responder

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("replies")
    house.run("replies_small", run={"directory": folder, "name": "run"}, filters={"personal_data": True})
    return folder / "run"


def test_every_file_finds_the_same_tokens_likely(run: Path) -> None:
    report = json.loads((run / "report.json").read_text())
    figures = report["evaluation"]["figures"]
    assert report["accepted"] and figures["perplexity"] < 1.2 < report["control"]["counterpart_accuracy"] + 1.3
    assert [file["format"] for file in report["artifacts"]] == ["tflite", "tflite", "litertlm"]
    for file in report["artifacts"]:
        assert file["agreement"] >= 0.98 and file["figures"]["perplexity"] == pytest.approx(
            figures["perplexity"], rel=0.02
        )
    assert report["artifacts"][0]["max_difference"] < 1e-3
    assert report["artifacts"][1]["bytes"] < 0.4 * report["artifacts"][0]["bytes"]
    replies = report["replies"]
    assert replies["questions"] == len(replies["test"]) == 66 and replies["grounded"] > 0.9
    assert replies["exact"] > 0.3 and replies["right_when_given"] >= replies["exact"]
    assert replies["out_of_scope"] == 40 and replies["out_of_scope_refused"] > replies["refused"]
    page, card = (run / "report.html").read_text(), (run / "MODEL_CARD.md").read_text()
    assert "What it replies" in page and "How likely the right tokens are" in page
    assert "conversation.json" in card and "The model replies to questions: " in card


def test_a_file_generates_what_keras_finds_likeliest(run: Path) -> None:
    model, said = load_model_file(run / "models/float.keras"), read_conversation(run / "artifacts/prompts")
    for artifact in read_manifest(run / "artifacts"):
        with open_runtime(artifact) as runtime:
            assert isinstance(runtime, LanguageModelRuntime)
            prompt, _ = said.prompt("[1] It is on its way.\nWhere is my parcel?")
            made = runtime.generate(prompt, stop=said.stop_id, limit=said.answer_length)
        ids = np.full((1, said.length), said.stop_id, np.int32)
        whole = [*prompt, *made.ids, said.stop_id]
        ids[0, : len(whole)] = whole
        mask = np.zeros_like(ids)
        mask[0, len(prompt) : len(whole)] = 1
        scores = model.predict({"token_ids": ids, "answer_mask": mask}, verbose=0)
        likeliest = scores[0, len(prompt) - 1 : len(whole) - 1, 1]
        assert made.ended and np.mean(likeliest == ids[0, len(prompt) : len(whole)]) > 0.9, artifact.path


def test_predict_cites_redacts_and_leaves_open(run: Path, tmp_path: Path, tfkit) -> None:  # type: ignore[no-untyped-def]
    asked = "Where is my parcel? Mail me at ann@example.com"
    told = tfkit("predict", run, asked, "zzz qqq xxx", "--json")
    assert told.status == 0, told.err
    first, second = json.loads(told.out)["replies"]
    assert "ann@example.com" not in first["question"] and "<EMAIL_ADDRESS>" in first["question"]
    assert first["text"] and first["ended"] and not first["refused"]
    assert second["refused"] == "unknown" and "not sure" in second["text"]
    alone = tmp_path / "alone"  # the filters go with the files
    shutil.copytree(run / "artifacts", alone)
    told = tfkit("predict", alone, asked, "--json")
    assert told.status == 0 and "<EMAIL_ADDRESS>" in json.loads(told.out)["replies"][0]["question"]
    (alone / "prompts/filters.json").unlink()
    told = tfkit("predict", alone, asked)
    assert told.status == 1 and ("filters.json" in told.err or "prompts" in told.err)
    told = tfkit("predict", run / "artifacts/model.litertlm", "Where is my parcel?")
    assert told.status == 0 and "reply" in told.out
    for words, wanted in (
        ((run / "models/float.keras", "hello"), "without a cache"),
        ((run, "hello", "--explain"), "leave it out"),
    ):
        told = tfkit("predict", *words)
        assert told.status == 1 and wanted in told.err, told.err


def test_new_rows_are_judged_and_other_commands_say_what_they_lack(run: Path, tmp_path: Path, tfkit) -> None:  # type: ignore[no-untyped-def]
    report = json.loads((run / "report.json").read_text())
    new = tmp_path / "new.jsonl"
    rows = [{"question": row["question"], "answer": row["wanted"]} for row in report["replies"]["test"][:5]]
    new.write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = tfkit("verify", run, "--data", new, "--json")
    assert told.status == 0, told.err
    document = json.loads(told.out)
    assert document["evaluation"]["examples"] == 5 and document["evaluation"]["metric"] == "log_likelihood"
    told = tfkit("verify", run, "--data", new, "--label-column", "x")
    assert told.status == 1 and "have no label column" in told.err
    for words in (("drift", run, new), ("package", "mobile", run), ("label-queue", run, new)):
        told = tfkit(*words)
        assert told.status == 1 and "language model" in told.err and "unexpected" not in told.err, told.err


def test_what_does_not_go_together_is_told_before_training(tmp_path: Path, tfkit) -> None:  # type: ignore[no-untyped-def]
    told = tfkit("check", "replies_small", "model.width=90", "model.template=x", "data.validation_fraction=0")
    assert told.status == 1
    for wanted in ("model.template must hold {question} once", "has its own", "multiple of twice", "sets a threshold"):
        assert wanted in told.err, told.err
    told = tfkit("check", "replies_table", "model.template=null", "filters.toxicity=runs/x")
    assert told.status == 1 and "model.template" in told.err and "need each other" in told.err
    told = tfkit("check", "replies_small", "model.answer_length=12", f"run.directory={tmp_path}")
    assert told.status == 1 and "answers are too long" in told.err and "raise model.answer_length" in told.err
    told = tfkit("check", "replies_small", "model.backbone=nowhere", "model.template='{question}'", "model.stop=x")
    assert told.status == 1 and "is no tokeniser" in told.err
    told = tfkit("tune", "replies_small")
    assert told.status == 1 and "unexpected" not in told.err


def test_what_a_classifier_finds_toxic_is_neither_answered_nor_said(run: Path, tmp_path: Path) -> None:
    house.run("intents_small", run={"directory": tmp_path, "name": "intents"}, export={"formats": ["tflite_float32"]})
    said, known = read_conversation(run / "artifacts/prompts"), read_known_answers(run / "artifacts/prompts")
    refuses = refuses_by_run(str(tmp_path / "intents"), ["talk_to_human"])
    told = refuses(known.questions)
    asked = [known.questions[int(told.argmax())], known.questions[int(told.argmin())]]
    with LanguageModelRuntime(run / "artifacts/model_dynamic_int8.tflite") as runtime:
        plain = Responder(runtime, said, known=known).replies(asked)
        filtered = Responder(runtime, said, known=known, refuses=refuses).replies(asked)
    assert told.any() and not told.all() and filtered[0].refused == "toxic question"
    assert filtered[0].text == known.refusal and filtered[0].tokens == 0
    said_toxic = refuses([reply.text for reply in plain])
    assert filtered[1].refused == ("toxic reply" if said_toxic[1] else "")
    assert filtered[1].text == (known.refusal if said_toxic[1] else plain[1].text)
    with pytest.raises(ModelError, match="has no label rude; it has account_login"):
        refuses_by_run(str(tmp_path / "intents"), ["rude"])
    with pytest.raises(ModelError, match="is no classifier of texts"):
        refuses_by_run(str(run), ["rude"])
