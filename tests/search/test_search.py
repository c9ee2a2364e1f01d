"""The search finds what is smallest within the budget, chooses on validation images, and goes on where it stopped."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from tfkit.artifacts import read_manifest
from tfkit.data import DatasetSplits
from tfkit.errors import DataError, RunError
from tfkit.models import load_model_file
from tfkit.search import (
    Budget,
    SearchResult,
    SearchTraining,
    UnreachableBudgetError,
    search_within_budget,
    write_search_report,
)
from tfkit.search.words import silent

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


def search(model, splits, image, folder: Path, budget: Budget, progress=silent, max_files: int = 0) -> SearchResult:
    options = {"training": QUICK, "sensitivity_images": 60, "progress": progress, "max_files": max_files}
    return search_within_budget(model, splits, image, budget=budget, directory=folder, **options)


def relabelled(splits: DatasetSplits, part: str) -> DatasetSplits:
    """The same splits, one part of which has every label wrong."""
    examples = getattr(splits, part)
    wrong = ((examples.labels + 1) % len(splits.class_names)).astype(np.int32)
    return replace(splits, **{part: replace(examples, labels=wrong)})


@pytest.fixture(scope="module")
def easy(model, digits, image, tmp_path_factory: pytest.TempPathFactory):
    """A budget of accuracy only, searched without training."""
    folder = tmp_path_factory.mktemp("easy")
    return search(model, digits, image, folder, Budget(max_accuracy_drop=0.9)), folder


@pytest.fixture(scope="module")
def small(model, digits, image, easy, tmp_path_factory: pytest.TempPathFactory):
    """A budget of bytes that needs fewer channels; interrupted while they are trained, then gone on with."""
    folder = tmp_path_factory.mktemp("small")
    budget = Budget(max_accuracy_drop=0.9, max_bytes=int(0.9 * min(file.bytes for file in easy[0].candidates)))
    first, second = Telling("50 % channels, int8, QAT, taught 0.5"), Telling()
    stopped = ""
    try:
        search(model, digits, image, folder, budget, first, max_files=2)
    except KeyboardInterrupt:
        stopped = first.titles[-1]
    before = (folder / "candidates" / "int8.tflite").stat().st_mtime_ns
    result = search(model, digits, image, folder, budget, second, max_files=2)
    after = (folder / "candidates" / "int8.tflite").stat().st_mtime_ns
    return result, folder, stopped, before == after


@pytest.mark.slow
def test_the_smallest_file_within_the_budget_is_chosen_not_the_first(easy) -> None:
    result, folder = easy
    within = [file for file in result.candidates if file.within]
    assert {"int8", "int4", "mixed_int4", "dynamic_int8"} <= {file.name for file in within}
    assert result.accepted == result.chosen == min(within, key=lambda file: file.bytes)
    assert result.accepted.name == "int4" and result.accepted in result.pareto
    (artifact,) = read_manifest(folder / "artifacts")
    assert artifact.path.read_bytes() == (folder / result.accepted.file).read_bytes()
    assert artifact.class_names == ("0", "1", "2")


@pytest.mark.slow
def test_minimizing_latency_chooses_the_quickest(model, digits, image, tmp_path: Path) -> None:
    budget = Budget(max_accuracy_drop=0.9, integer_only=True, minimize="latency")
    result = search(model, digits, image, tmp_path, budget)
    assert result.chosen.latency_ms == min(file.latency_ms for file in result.candidates)
    assert all(file.float_ops == 0 for file in result.candidates)


@pytest.mark.slow
def test_validation_images_choose_and_test_images_judge_once(model, digits, image, tmp_path: Path) -> None:
    # A test split that contradicts the validation split must change nothing about the choice.
    budget = Budget(max_accuracy_drop=0.05)
    usual = search(model, digits, image, tmp_path / "usual", budget)
    other = search(model, relabelled(digits, "test"), image, tmp_path / "test", budget)
    assert other.chosen.name == usual.chosen.name
    assert [file.accuracy for file in other.candidates] == [file.accuracy for file in usual.candidates]
    assert other.test.accuracy < 0.5 < usual.test.accuracy and other.test.looks == 1
    assert other.test.drop_low <= other.test.drop <= other.test.drop_high
    assert len(json.loads((tmp_path / "test" / "search.json").read_text())["tests"]) == 1
    # ... and labels that contradict the test split on the validation images must.
    assert search(model, relabelled(digits, "validation"), image, tmp_path / "v", budget).reference.accuracy < 0.5


@pytest.mark.slow
def test_a_chosen_file_that_loses_too_much_on_test_images_is_not_accepted(easy, tmp_path: Path) -> None:
    result, _ = easy
    lost = replace(result.test, float_accuracy=1.0, accuracy=0.06)
    refused = replace(result, test=lost)
    assert refused.chosen is not None and refused.accepted is None
    assert "it loses 94.00 points on the" in refused.misses[0] and "90.00 are allowed" in refused.misses[0]
    page = write_search_report(refused, tmp_path, name="digits").read_text()
    assert "The chosen file loses too much on the test images" in page


@pytest.mark.slow
def test_without_validation_images_some_training_images_are_held_out(model, digits, image, tmp_path: Path) -> None:
    splits = replace(digits, validation=digits.validation.select(np.arange(0)))
    result = search(model, splits, image, tmp_path, Budget(max_accuracy_drop=0.9))
    assert result.chosen_on == f"{result.reference.examples} training images held out"
    assert result.reference.examples == pytest.approx(0.2 * len(digits.train), abs=2)


@pytest.mark.slow
def test_a_finished_search_is_not_done_again(easy, model, digits, image) -> None:
    result, folder = easy
    written = (folder / "candidates" / "int8.tflite").stat().st_mtime_ns
    assert search(model, digits, image, folder, result.budget) == result
    assert (folder / "candidates" / "int8.tflite").stat().st_mtime_ns == written


@pytest.mark.slow
def test_other_arguments_in_the_same_folder_are_refused(easy, model, digits, image) -> None:
    with pytest.raises(RunError, match=r"max_accuracy_drop: 0\.9, now 0\.8"):
        search(model, digits, image, easy[1], Budget(max_accuracy_drop=0.8))


@pytest.mark.slow
def test_channels_are_cut_until_the_size_is_met(small) -> None:
    result, folder, _, _ = small
    accepted = result.accepted
    assert accepted.variant.keep < 1 and accepted.bytes <= result.budget.max_bytes
    assert accepted.parameters < result.reference.parameters
    assert accepted.predicted_bytes == pytest.approx(accepted.bytes, rel=0.2)
    assert load_model_file(folder / accepted.checkpoint).count_params() >= accepted.parameters
    assert sum(file.variant.learns for file in result.candidates) <= 2


@pytest.mark.slow
def test_an_interrupted_search_goes_on_after_the_last_finished_file(small) -> None:
    _, _, stopped, kept = small
    assert stopped == "50 % channels, int8, QAT, taught 0.5", "it was to be interrupted in its training"
    assert kept, "the post-training file was made a second time"


@pytest.mark.slow
def test_what_no_file_can_meet_is_told_before_training(model, digits, image, tmp_path: Path) -> None:
    telling = Telling()
    with pytest.raises(UnreachableBudgetError, match=r"nothing was trained.*1,000 bytes: [\d,]+ are needed") as told:
        search(model, digits, image, tmp_path, Budget(max_accuracy_drop=0.1, max_bytes=1000), telling, max_files=3)
    assert "--max-bytes" in told.value.hint
    assert telling.titles[-1] == "Predict narrower models"


@pytest.mark.slow
def test_more_files_go_on_where_the_search_ended(model, digits, image, tmp_path: Path) -> None:
    budget = Budget(max_accuracy_drop=0.9, integer_only=True)
    first = search(model, digits, image, tmp_path, budget, max_files=1)
    telling = Telling()
    second = search(model, digits, image, tmp_path, budget, telling, max_files=2)
    assert second.candidates[: len(first.candidates)] == first.candidates
    assert len(second.candidates) == len(first.candidates) + 1
    assert second.chosen.bytes <= first.chosen.bytes


def test_data_of_other_classes_are_refused(model, digits, image, tmp_path: Path) -> None:
    inputs = keras.Input((32, 32, 3))
    other = keras.Model(inputs, keras.layers.Dense(5)(keras.layers.GlobalAveragePooling2D()(inputs)))
    with pytest.raises(
        DataError, match=r"the images have 3 classes, the model scores 5; the model takes \(32, 32, 3\)"
    ):
        search(other, digits, image, tmp_path, Budget(max_accuracy_drop=0.1))


@pytest.mark.slow
def test_the_report_shows_every_file_and_layer(small) -> None:
    result, folder, _, _ = small
    page = write_search_report(result, folder, name="digits").read_text()
    for candidate in result.candidates:
        assert candidate.title in page and f"{candidate.bytes:,}" in page
    assert result.ended in page and "which chose nothing" in page
    assert page.count("<svg") == 3 and "http" not in page.replace("http-equiv", "")
    assert "None: every layer of every file computes in integers." in page
    document = json.loads((folder / "report.json").read_text())
    assert document["accepted"] is True and document["accepted_candidate"] == result.accepted.name
    assert [row["name"] for row in document["candidates"]] == [candidate.name for candidate in result.candidates]
