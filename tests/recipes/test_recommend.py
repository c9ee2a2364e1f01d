"""A recommender from its tables to proved files: what is offered is the same in each, and never what a user has."""

import json
from pathlib import Path

import numpy as np
import pytest

import tfkit as house
from tfkit.artifacts import read_manifest
from tfkit.data.histories import read_catalogue
from tfkit.models import build_recommender
from tfkit.runtimes import open_runtime


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recommend")
    house.run(
        "recommend_shop",
        run={"directory": folder, "name": "run"},
        model={"regularization": [50], "text_weight": [10]},
        export={"formats": ["saved_model", "tflite_float32", "tflite_float16", "tflite_dynamic_int8"]},
    )
    return folder / "run"


def test_every_file_lists_the_same_items(run: Path) -> None:
    report = json.loads((run / "report.json").read_text())
    assert report["accepted"] and report["evaluation"]["task"] == "ranking"
    assert report["evaluation"]["keras"] > 2 * report["control"]["accuracy"], "better than what is popular"
    for file in report["artifacts"]:
        assert file["agreement"] >= 0.98 and file["recall_at_10"] == pytest.approx(
            report["evaluation"]["keras"], abs=0.01
        )
    notes = next(stage["notes"] for stage in report["stages"] if stage["name"] == "fit")
    assert "ten by their texts hold" in notes[-1]
    page, card = (run / "report.html").read_text(), (run / "MODEL_CARD.md").read_text()
    assert "How good the lists are" in page and "Gained over popularity" in page
    assert "lists of these items" in card and "one user" in card


def test_no_file_offers_what_a_user_has_already(run: Path) -> None:
    catalogue = read_catalogue(run / "artifacts" / "items.csv")
    ids = np.zeros((3, 20), np.int32)
    ids[0, :1], ids[1, :20], ids[2, :3] = 1, np.arange(1, 21), [180, 90, 7]
    for artifact in read_manifest(run / "artifacts"):
        with open_runtime(artifact) as runtime:
            scores = runtime.scores({"item_ids": ids})
        assert scores.shape == (3, len(catalogue) + 1)
        for row, taken in zip(scores, ids, strict=True):
            offered = set(np.argsort(-row)[:100].tolist())
            assert not offered & {0, *taken.tolist()}, artifact.path


def test_predict_tells_what_is_offered_and_why(run: Path, tfkit) -> None:  # type: ignore[no-untyped-def]
    for path in (run, run / "artifacts/model_dynamic_int8.tflite", run / "models/float.keras"):
        told = tfkit("predict", path, "green tea; tea-6", "coffee-1", "--json", "--explain", "--top", 3)
        assert told.status == 0, told.err
        first, second = json.loads(told.out)["users"]
        assert first["user"] == "green tea; matcha powder" and len(first["top"]) == 3
        assert second["user"] == "espresso beans" and len(first["labels"]) == 10
        because = first["reasons"][0]
        assert because["item"] == first["top"][0]["label"]
        # The score is a sum over the history: what it loses without each item adds up to it.
        assert sum(lost for _, lost in because["because"]) == pytest.approx(first["top"][0]["score"], abs=0.02)
    told = tfkit("predict", run, "green tea", "--explain")
    assert told.status == 0 and "took, and is offered" in told.out and "green tea +" in told.out
    told = tfkit("predict", run, "gren tea; unheard of")
    assert told.status == 1 and "did you mean 'green tea'?" in told.err and "no item 'unheard of'" in told.err


def test_new_rows_are_judged_and_other_commands_say_what_they_lack(run: Path, tmp_path: Path, tfkit) -> None:  # type: ignore[no-untyped-def]
    new = tmp_path / "new.csv"
    new.write_text("user,item\n" + "".join(f"ann,tea-{number}\nbob,coffee-{number}\n" for number in range(1, 8)))
    told = tfkit("verify", run, "--data", new, "--json")
    assert told.status == 0, told.err
    document = json.loads(told.out)
    assert document["evaluation"]["examples"] == 2 and document["evaluation"]["metric"] == "recall_at_10"
    for words in (("drift", run, new), ("package", "mobile", run), ("label-queue", run, new)):
        told = tfkit(*words)
        assert told.status == 1 and "recommender" in told.err and "unexpected" not in told.err, told.err


def test_rows_are_laid_out_as_the_run_had_them(tmp_path: Path, tfkit) -> None:  # type: ignore[no-untyped-def]
    rows = [f"{user};{(user + step) % 15};{step}" for user in range(30) for step in range(8)]
    (tmp_path / "rows.csv").write_text("who;what;when\n" + "\n".join(rows) + "\n")
    layout = {"user_column": "who", "item_column": "what", "time_column": "when", "separator": ";"}
    report = house.run(
        "recommend_table",
        run={"directory": tmp_path, "name": "run"},
        data={"directory": tmp_path, "ratings": "rows.csv", "items": None, "rating_column": None, "min_rating": None}
        | layout | {"name_column": None, "text_columns": []},
        model={"regularization": [1], "text_weight": [1], "item_texts": None},
        export={"formats": ["tflite_float32"]},
    )  # fmt: skip
    assert report.evaluation.keras > 0.6, "who takes 3, 4, 5 takes 6 next"
    told = tfkit("verify", tmp_path / "run", "--data", tmp_path / "rows.csv", "--json")
    assert told.status == 0 and json.loads(told.out)["evaluation"]["examples"] == 30
    told = tfkit("verify", tmp_path / "run", "--data", tmp_path / "rows.csv", "--label-column", "x")
    assert told.status == 1 and "have no label column" in told.err


def test_a_catalogue_that_does_not_fit_the_memory_is_refused(tmp_path: Path, tfkit, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("tfkit.running.history_planning.free_memory", lambda: 1 << 19)
    told = tfkit("check", "recommend_shop", f"run.directory={tmp_path}")
    assert told.status == 1 and "the weights between 180 items take" in told.err


def test_a_recommender_is_made_of_a_square_of_numbers() -> None:
    with pytest.raises(house.errors.ModelError, match="a square of weights"):
        build_recommender(np.zeros((3, 4)), length=5)
