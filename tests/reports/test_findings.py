"""What the evaluation says beyond its accuracy."""

from dataclasses import replace

import numpy as np
import pytest

from tfkit.reports import Evaluation
from tfkit.reports.data_summary import summarize_data
from tfkit.reports.findings import (
    accuracy_interval,
    calibration,
    calibration_error,
    class_scores,
    confusion_matrix,
    mistakes,
    most_confused,
)
from tfkit.reports.phrases import warnings
from tfkit.tasks import Decision


@pytest.fixture
def evaluation() -> Evaluation:
    """Five images of three classes; 'cat' is called 'dog' twice, and no image shows a 'fox'."""
    scores = [[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.45, 0.55, 0.0], [0.1, 0.9, 0.0], [0.4, 0.6, 0.0]]
    return Evaluation(
        class_names=("cat", "dog", "fox"),
        labels=np.array([0, 0, 0, 1, 1]),
        scores=np.array(scores, dtype=np.float32),
        names=("a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"),
    )


def test_confusion_matrix_has_true_classes_as_rows(evaluation: Evaluation) -> None:
    assert confusion_matrix(evaluation).tolist() == [[1, 2, 0], [0, 2, 0], [0, 0, 0]]


def test_class_without_images_has_no_scores_instead_of_zeros(evaluation: Evaluation) -> None:
    cat, dog, fox = class_scores(evaluation)

    assert (cat.precision, cat.recall) == (1.0, pytest.approx(1 / 3))
    assert (dog.precision, dog.recall) == (0.5, 1.0)
    assert (fox.examples, fox.precision, fox.recall, fox.f1) == (0, None, None, None)


def test_class_never_named_has_no_precision_and_an_f1_of_zero() -> None:
    always_first = Evaluation(("a", "b"), np.array([0, 1]), np.array([[1.0, 0.0]] * 2), ("x", "y"))

    _, never_named = class_scores(always_first)

    assert (never_named.precision, never_named.recall, never_named.f1) == (None, 0.0, 0.0)


def test_a_threshold_of_two_classes_counts_in_every_table() -> None:
    scores = np.array([[0.7, 0.3], [0.9, 0.1], [0.6, 0.4], [0.2, 0.8]], np.float32)
    cautious = Evaluation(("well", "ill"), np.array([0, 0, 1, 1]), scores, tuple("abcd"), Decision((0.25,)))
    assert confusion_matrix(cautious).tolist() == [[1, 1], [0, 2]]
    assert [found.recall for found in class_scores(cautious)] == [0.5, 1.0]
    (mistake,) = mistakes(cautious)
    assert (mistake.name, mistake.predicted, round(mistake.confidence, 2)) == ("a", "ill", 0.3)
    assert sum(tenth.accuracy * tenth.examples for tenth in calibration(cautious)) == 4 * cautious.keras


def test_mistakes_come_with_the_surest_first(evaluation: Evaluation) -> None:
    first, second = mistakes(evaluation)

    assert (first.name, first.true, first.predicted, round(first.confidence, 2)) == ("b.jpg", "cat", "dog", 0.8)
    assert (second.name, round(second.true_confidence, 2)) == ("c.jpg", 0.45)


def test_most_confused_names_pairs_and_their_share(evaluation: Evaluation) -> None:
    (pair,) = most_confused(evaluation)

    assert (pair.true, pair.predicted, pair.examples, pair.of) == ("cat", "dog", 2, 3)


def test_calibration_error_is_zero_when_confidence_is_earned() -> None:
    labels = np.array([0] * 9 + [1])
    honest = Evaluation(("a", "b"), labels, np.array([[0.9, 0.1]] * 10), ("",) * 10)

    assert calibration_error(calibration(honest)) == pytest.approx(0.0, abs=1e-9)


def test_calibration_takes_a_confidence_of_exactly_one(evaluation: Evaluation) -> None:
    sure = Evaluation(("a", "b"), np.array([0]), np.array([[1.0, 0.0]]), ("x",))

    assert calibration(sure)[-1].accuracy == 1.0


def test_accuracy_interval_is_wilsons() -> None:
    low, high = accuracy_interval(0.95, 240)
    certain_low, certain_high = accuracy_interval(1.0, 10)

    assert (round(low, 3), round(high, 3)) == (0.915, 0.971)
    assert (round(certain_low, 3), round(certain_high, 3)) == (0.722, 1.0)


def test_a_whole_number_file_slower_than_float_is_told_with_the_instruction_set(make_report) -> None:
    report = make_report(2)
    data = summarize_data(report.data, noun="image")
    times = {"none": 3.2, "int8": 9.9}
    timed = tuple(replace(file, latency_ms_p50=times.get(file.quantization)) for file in report.artifacts)

    told = [line for line in warnings(replace(report, artifacts=timed), data) if "took longer" in line]

    assert len(told) == 1
    assert "AVX-512 with VNNI" in told[0]
    assert "TFLite int8 (9.9 ms) took longer than TFLite float32 (3.2 ms)" in told[0]
