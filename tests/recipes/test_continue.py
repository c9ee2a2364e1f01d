"""`recipe: continue`: a finished run learns on from new examples, and says what it forgot."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import tfkit
from tfkit.artifacts.manifest import read_lineage
from tfkit.config import load_tuned_recipe
from tfkit.errors import ConfigError, DataError, RunError
from tfkit.operations import save_profile

IMAGES = {
    "model": {"backbone": "resnet8", "weights": "random"},
    "head": None,
    "fine_tune": {"epochs": 4, "learning_rate": 3e-3, "batch_norm": "train"},
    "export": {"formats": ["tflite_float32"]},
    "acceptance": {"max_accuracy_drop": 1.0, "min_agreement": 0.0},
    "data": {"source": "image_folder", "image_size": 32, "batch_size": 16},
    "quantization": None,
}
CONTINUE = "recipe: continue\nearlier: {run: RUN, replay: 0.5, max_forgetting: 1.0}\ndata: {directory: NEW}\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, draw_photos) -> Path:
    """A folder with photos of two classes, a finished run on them, and new photos: one class new, some known."""
    here = tmp_path_factory.mktemp("continue")
    draw_photos(here / "old", classes=("apple", "leaf"))
    new = draw_photos(here / "new", classes=("apple", "sky"))
    for number in range(10):  # the first photos of apples are those of the run, byte by byte
        shutil.copy(here / "old" / "apple" / f"{number}.jpg", new / "apple" / f"{number}.jpg")
    for number in range(10, 20):
        from PIL import Image

        pixels = np.random.default_rng(number).integers(150, 250, (40, 36, 3), dtype=np.uint8)
        pixels[..., 1:] //= 4
        Image.fromarray(pixels).save(new / "apple" / f"{number}.jpg")
    (here / "mine.yaml").write_text("recipe: finetune_image\ndata: {source: image_folder}\n")
    changes = IMAGES | {"data": IMAGES["data"] | {"directory": here / "old"}}
    tfkit.run(here / "mine.yaml", run={"directory": here / "runs", "name": "old"}, **changes)
    (here / "continue.yaml").write_text(CONTINUE.replace("RUN", str(here / "runs/old")).replace("NEW", str(new)))
    return here


@pytest.fixture(scope="module")
def continued(place: Path):
    return tfkit.run(place / "continue.yaml", run={"directory": place / "runs", "name": "more"})


def test_a_new_class_comes_behind_the_earlier_ones(place: Path, continued) -> None:
    assert continued.evaluation.class_names == ("apple", "leaf", "sky")
    told = continued.forgetting
    assert (told.replayed, told.replayed_of) == (14, 28)
    assert {row.name for row in told.outputs} == {"apple", "leaf"}
    known = [name for name in continued.evaluation.names if name.startswith("earlier/")]
    assert len(known) == told.examples == 8 and told.examples + told.new_examples == continued.evaluation.examples
    run = place / "runs" / "more"
    assert "recipe: finetune_image" in (run / "recipe.yaml").read_text()
    document = json.loads((run / "report.json").read_text())["forgetting"]
    assert document["before"] == told.before and document["after"] == told.after
    assert "What it learned and what it forgot" in (run / "report.html").read_text()
    assert "| Goes on from | the run" in (run / "MODEL_CARD.md").read_text()


def test_the_figures_are_those_of_both_models_on_the_same_photos(place: Path, continued) -> None:
    told, evaluation = continued.forgetting, continued.evaluation
    earlier = np.array([name.startswith("earlier/") for name in evaluation.names])
    right = evaluation.scores.argmax(axis=1) == evaluation.labels
    assert told.after == pytest.approx(right[earlier].mean())
    assert told.new_after == pytest.approx(right[~earlier].mean())
    before = json.loads((place / "runs/old/report.json").read_text())["evaluation"]["keras"]
    assert told.before == pytest.approx(before)


def test_new_photos_that_the_earlier_run_has_are_left_out(continued) -> None:
    assert any("10 of the new examples were the earlier run's already" in note for note in continued.data["notes"])
    assert sum(continued.data["kept"][split]["apple"] for split in ("train", "validation", "test")) < 30


def test_the_files_know_which_run_they_come_from(place: Path, continued) -> None:
    parents = read_lineage(place / "runs/more/artifacts").parents
    earlier = next(parent for parent in parents if parent.role == "earlier")
    assert earlier.file.endswith("runs/old/models/float.keras") and earlier.sha256


def test_a_run_that_was_continued_can_be_continued(place: Path, continued, draw_photos) -> None:
    folder = draw_photos(place / "third", classes=("sky",), count=8)
    for number in range(8):
        from PIL import Image

        blue = np.random.default_rng(100 + number).integers(0, 60, (36, 36, 3), dtype=np.uint8)
        blue[..., 2] += 190
        Image.fromarray(blue).save(folder / "sky" / f"{number}.jpg")
    report = tfkit.run(
        place / "continue.yaml",
        run={"directory": place / "runs", "name": "third"},
        earlier={"run": place / "runs/more"},
        data={"directory": folder},
    )
    assert report.evaluation.class_names == ("apple", "leaf", "sky")
    assert any(name.startswith("earlier/earlier/") for name in report.evaluation.names)


def test_a_file_that_forgot_too_much_is_refused(place: Path, draw_photos) -> None:
    folder = draw_photos(place / "sky_alone", classes=("sky",))
    report = tfkit.run(
        place / "continue.yaml",
        run={"directory": place / "runs", "name": "forgetful"},
        earlier={"replay": 0, "max_forgetting": 0.02},
        data={"directory": folder, "validation_fraction": 0},
        fine_tune={"epochs": 10, "learning_rate": 0.03},
    )
    (file,) = report.artifacts
    assert report.forgetting.after < report.forgetting.before - 0.02
    assert any("points are forgotten; earlier.max_forgetting allows 2.00" in reason for reason in file.refusals)
    assert not report.accepted


def test_check_reads_both(place: Path) -> None:
    found = tfkit.check(place / "continue.yaml", run={"directory": place / "runs", "name": "not_yet"})
    assert found.class_names == ("apple", "leaf", "sky")


def test_what_cannot_be_continued_is_said(place: Path, tmp_path: Path) -> None:
    recipe = place / "continue.yaml"
    with pytest.raises(ConfigError, match="there is no finished run in"):
        tfkit.run(recipe, earlier={"run": tmp_path / "none"})
    unnamed = tmp_path / "unnamed.yaml"
    unnamed.write_text("recipe: continue\n")
    with pytest.raises(ConfigError, match="continues an earlier run, and does not name it"):
        tfkit.run(unnamed)
    with pytest.raises(DataError, match="no new training examples are left: 40 of the new ones"):
        tfkit.run(recipe, run={"directory": tmp_path}, data={"directory": place / "old"})
    unfinished = shutil.copytree(place / "runs/old", tmp_path / "unfinished")
    (unfinished / "SHA256SUMS").unlink()
    with pytest.raises(RunError, match="no finished run with a float model"):
        tfkit.run(recipe, run={"directory": tmp_path}, earlier={"run": unfinished})


def test_drift_is_measured_against_all_that_it_was_judged_on(place: Path, continued) -> None:
    profile = save_profile(place / "runs/more", place / "more.npz")
    assert profile.count == continued.evaluation.examples
    assert profile.answer_names == ("apple", "leaf", "sky")


def test_a_sweep_says_that_it_cannot_go_on_from_a_run(place: Path) -> None:
    with pytest.raises(ConfigError, match="goes on from an earlier run, and its trials would begin with a backbone"):
        load_tuned_recipe(place / "continue.yaml", ["tune.space.fine_tune.epochs=[1,2]"])


def test_old_photos_that_changed_are_noticed(place: Path, tmp_path: Path) -> None:
    moved = place / "old" / "leaf" / "3.jpg"
    content = moved.read_bytes()
    moved.unlink()
    try:
        with pytest.raises(DataError, match="are not those that it learned from"):
            tfkit.run(place / "continue.yaml", run={"directory": tmp_path})
        (place / "old").rename(place / "elsewhere")
        with pytest.raises(DataError, match=r"the examples of the earlier run .* cannot be read"):
            tfkit.run(place / "continue.yaml", run={"directory": tmp_path})
    finally:
        if (place / "elsewhere").is_dir():
            (place / "elsewhere").rename(place / "old")
        moved.write_bytes(content)


TEXTS = """\
recipe: finetune_text
data: {{source: csv, train: {table}, sequence_length: 8, batch_size: 8}}
model: {{backbone: bert_tiny, vocabulary_size: 100}}
fine_tune: {{epochs: 1, learning_rate: 1.0e-3}}
export: {{formats: [tflite_dynamic_int8]}}
acceptance: {{max_accuracy_drop: 1.0, min_agreement: 0.0}}
"""


def _table(path: Path, words: dict[str, str]) -> Path:
    rows = [f"{word} number {number} please,{label}" for word, label in words.items() for number in range(20)]
    path.write_text("text,label\n" + "\n".join(rows) + "\n")
    return path


@pytest.mark.slow
def test_texts_are_cut_by_the_earlier_tokeniser(tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text(TEXTS.format(table=_table(tmp_path / "old.csv", {"lost": "a", "broken": "b"})))
    tfkit.run(tmp_path / "old.yaml", run={"directory": tmp_path / "runs", "name": "old"})
    table = _table(tmp_path / "new.csv", {"lost": "a", "late": "c"})
    recipe = tmp_path / "continue.yaml"
    recipe.write_text(f"recipe: continue\nearlier: {{run: {tmp_path / 'runs/old'}}}\ndata: {{train: {table}}}\n")
    report = tfkit.run(recipe, run={"directory": tmp_path / "runs", "name": "new"}, earlier={"max_forgetting": None})
    assert report.evaluation.class_names == ("a", "b", "c")
    assert any("20 of the new examples were the earlier run's already" in note for note in report.data["notes"])
    vocabularies = [
        (tmp_path / "runs" / name / "artifacts/tokenizer/vocabulary.txt").read_bytes() for name in ("old", "new")
    ]
    assert vocabularies[0] == vocabularies[1]
    assert report.forgetting.limit is None and len(report.forgetting.outputs) == 2
