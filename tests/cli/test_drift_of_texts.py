"""`tfkit drift` and `tfkit label-queue` on texts: a classifier, and an embedder that answers by the nearest text."""

import csv
import json
from pathlib import Path

import pytest

from tfkit.cli.main import main
from tfkit.monitoring import read_profile

pytestmark = pytest.mark.slow
_LOOSE = {"min_agreement": 0.0, "max_accuracy_drop": 1.0}
_WORDS = ("quarterly", "dividend", "portfolio", "equities", "hedge", "yield", "bonds", "maturity")


@pytest.fixture(scope="module", params=["intents_small", "faq_small"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tfkit

    folder = tmp_path_factory.mktemp("runs")
    said = {"run": {"name": "texts", "directory": str(folder)}, "export": {"formats": ["tflite_dynamic_int8"]}}
    few = {"quantization": None} if request.param == "intents_small" else {}
    loose = _LOOSE | ({} if request.param == "intents_small" else {"min_cosine": 0.0})
    tfkit.run(request.param, **said, fine_tune={"epochs": 2}, acceptance=loose, **few)
    return folder / "texts"


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Sentences like those of the run, in two halves, and sentences about money: a list, and a table."""
    from tfkit.data.text import load_text_splits

    known = load_text_splits(source="built_in", label_column="intent", test_fraction=0.25).train.texts
    folder = tmp_path_factory.mktemp("texts")
    (folder / "first.txt").write_text("\n".join(known[::2]))
    (folder / "second.txt").write_text("\n".join(known[1::2]))
    with (folder / "money.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("when", "said"))
        rows = [f"the {one} of the {other}, {third}" for one in _WORDS for other in _WORDS for third in _WORDS[:2]]
        writer.writerows((str(number), row) for number, row in enumerate(rows))
    return {name: next(folder.glob(f"{name}.*")) for name in ("first", "second", "money")}


def test_texts_like_the_reference_raise_no_alarm(run: Path, texts: dict[str, Path], tmp_path: Path) -> None:
    profile = tmp_path / "reference.npz"
    assert main(["drift", str(run), "--save", str(profile), "--reference", str(texts["first"])]) == 0
    kept = read_profile(profile)
    assert kept.words is not None and kept.vectors is not None and {"words", "share of letters"} <= set(kept.numbers)
    assert main(["drift", str(run), str(texts["second"]), "--reference", str(profile)]) == 0


def test_other_words_are_found(run: Path, texts: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    words = ["drift", str(run), str(texts["money"]), "--text-column", "said", "--json"]
    assert main(words) == 3
    document = json.loads(capsys.readouterr().out)
    shifts = {shift["name"]: shift for shift in document["shifts"]}
    assert shifts["vocabulary"]["alarm"] and shifts["features"]["alarm"] and "answers" in shifts
    assert {change["name"] for change in shifts["vocabulary"]["changes"]} & {*_WORDS, "of", "the"}
    assert main(words[:-3]) == 1  # there is no column `text`
    assert "--text-column" in capsys.readouterr().err


def test_texts_worth_a_label_are_a_table(run: Path, texts: dict[str, Path], tmp_path: Path) -> None:
    table = tmp_path / "to_label.csv"
    words = ["label-queue", str(run), str(texts["first"]), "--count", "10", "--output", str(table)]
    assert main(words) == 0
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["text"] for row in rows}) == 10 and {row["label"] for row in rows} == {""}
    assert {row["text"] for row in rows} <= set(texts["first"].read_text().split("\n"))
