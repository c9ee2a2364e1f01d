"""The ladder stops at the first file within the budget, goes on where it was stopped, and says what cannot be."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import pytest

from tfkit.artifacts import read_manifest
from tfkit.errors import DataError, RunError
from tfkit.models import load_model_file
from tfkit.search import Budget, SearchTraining, UnreachableBudgetError, search_smallest, write_search_report
from tfkit.search.progress import silent

QUICK = SearchTraining(qat_epochs=1, recovery_epochs=1, augmentation="none", calibration_images=60, batch_size=16)


class Telling:
    """Stages that note their titles, and are interrupted in the one named."""

    def __init__(self, stop_in: str = "") -> None:
        self.titles: list[str] = []
        self._stop_in = stop_in

    @contextmanager
    def __call__(self, title: str) -> Iterator[object]:
        self.titles.append(title)
        with silent(title) as stage:
            if title == self._stop_in:
                stage.progress = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
            yield stage


def search(model: keras.Model, digits, image, folder: Path, budget: Budget, progress=silent):
    options = {"training": QUICK, "sensitivity_images": 60, "progress": progress}
    return search_smallest(model, digits, image, budget=budget, directory=folder, **options)


@pytest.fixture(scope="module")
def easy(model, digits, image, tmp_path_factory: pytest.TempPathFactory):
    """A budget of accuracy only, that the post-training file meets."""
    folder = tmp_path_factory.mktemp("easy")
    return search(model, digits, image, folder, Budget(max_accuracy_drop=0.9)), folder


@pytest.fixture(scope="module")
def small(model, digits, image, easy, tmp_path_factory: pytest.TempPathFactory):
    """A budget of bytes that needs fewer channels; interrupted while they are trained, then gone on with."""
    folder = tmp_path_factory.mktemp("small")
    budget = Budget(max_accuracy_drop=0.9, max_bytes=int(0.85 * easy[0].candidates[0].bytes))
    first, second = Telling("87.5 % of the channels + QAT"), Telling()
    stopped = ""
    try:
        search(model, digits, image, folder, budget, first)
    except KeyboardInterrupt:
        stopped = first.titles[-1]
    before = (folder / "candidates" / "post_training.tflite").stat().st_mtime_ns
    result = search(model, digits, image, folder, budget, second)
    after = (folder / "candidates" / "post_training.tflite").stat().st_mtime_ns
    return result, folder, stopped, before == after


def test_the_first_file_within_the_budget_ends_the_search(easy) -> None:
    result, folder = easy
    assert [candidate.name for candidate in result.candidates] == ["post_training"]
    assert result.accepted == result.nearest == result.candidates[0]
    (artifact,) = read_manifest(folder / "artifacts")
    assert artifact.path.read_bytes() == (folder / result.accepted.file).read_bytes()
    assert artifact.class_names == ("0", "1", "2")
    assert result.accepted.float_ops == 0 and result.accepted.bytes < result.reference.bytes


def test_a_finished_search_is_not_done_again(easy, model, digits, image) -> None:
    result, folder = easy
    written = (folder / "candidates" / "post_training.tflite").stat().st_mtime_ns
    assert search(model, digits, image, folder, result.budget) == result
    assert (folder / "candidates" / "post_training.tflite").stat().st_mtime_ns == written


def test_other_arguments_in_the_same_folder_are_refused(easy, model, digits, image) -> None:
    with pytest.raises(RunError, match=r"max_accuracy_drop: 0\.9, now 0\.8"):
        search(model, digits, image, easy[1], Budget(max_accuracy_drop=0.8))


@pytest.mark.slow
def test_channels_are_cut_until_the_size_is_met(small) -> None:
    result, folder, _, _ = small
    accepted = result.accepted
    assert accepted.rung == "channels" and accepted.bytes <= result.budget.max_bytes
    assert accepted.parameters < result.reference.parameters
    assert accepted.cut.bytes == pytest.approx(accepted.bytes, rel=0.1)
    assert load_model_file(folder / accepted.checkpoint).count_params() >= accepted.parameters
    assert {skipped.rung for skipped in result.skipped} == {"selective", "qat"}


@pytest.mark.slow
def test_an_interrupted_search_goes_on_after_the_last_finished_file(small) -> None:
    _, _, stopped, kept = small
    assert stopped == "87.5 % of the channels + QAT", "the search was to be interrupted in its training"
    assert kept, "the post-training file was made a second time"


@pytest.mark.slow
def test_what_no_file_can_meet_is_told_before_training(model, digits, image, tmp_path: Path) -> None:
    telling = Telling()
    with pytest.raises(UnreachableBudgetError, match=r"nothing was trained.*1,000 bytes: [\d,]+ are needed") as told:
        search(model, digits, image, tmp_path, Budget(max_accuracy_drop=0.1, max_bytes=1000), telling)
    cuts = json.loads((tmp_path / "search.json").read_text())["cuts"]
    assert f"--max-bytes {cuts[-1]['bytes']}" in told.value.hint
    assert telling.titles[-1] == "Predict narrower models"


@pytest.mark.slow
def test_the_whole_ladder_is_climbed_and_the_nearest_file_is_named(model, digits, image, tmp_path: Path) -> None:
    narrowest = small_limit(model, digits, image, tmp_path / "limit")
    result = search(model, digits, image, tmp_path / "search", Budget(max_accuracy_drop=0.9, max_bytes=narrowest))
    assert result.accepted is None
    assert result.nearest.rung == "channels" and "bytes" in result.nearest.misses[0]


def small_limit(model: keras.Model, digits, image, folder: Path) -> int:
    """A size just below what the narrowest model has: near enough to be tried."""
    with pytest.raises(UnreachableBudgetError):
        search(model, digits, image, folder, Budget(max_accuracy_drop=0.9, max_bytes=1000))
    return int(0.92 * json.loads((folder / "search.json").read_text())["cuts"][-1]["bytes"])


def test_data_of_other_classes_are_refused(model, digits, image, tmp_path: Path) -> None:
    inputs = keras.Input((32, 32, 3))
    other = keras.Model(inputs, keras.layers.Dense(5)(keras.layers.GlobalAveragePooling2D()(inputs)))
    with pytest.raises(
        DataError, match=r"the images have 3 classes, the model scores 5; the model takes \(32, 32, 3\)"
    ):
        search(other, digits, image, tmp_path, Budget(max_accuracy_drop=0.1))


@pytest.mark.slow
def test_the_report_shows_every_file_step_and_layer(small) -> None:
    result, folder, _, _ = small
    page = write_search_report(result, folder, name="digits").read_text()
    for candidate in result.candidates:
        assert candidate.title in page and f"{candidate.bytes:,}" in page
    for skipped in result.skipped:
        assert skipped.reason in page
    assert page.count("<svg") == 3 and "http" not in page.replace("http-equiv", "")
    assert "None: every layer of every file computes in integers." in page
    document = json.loads((folder / "report.json").read_text())
    assert document["accepted"] is True and document["accepted_candidate"] == result.accepted.name
    assert [row["name"] for row in document["candidates"]] == [candidate.name for candidate in result.candidates]
