"""Rows of the report, from what the proving rooms found."""

from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pytest

from tfkit.artifacts import Artifact, ImageSpec, ModelSignature, TensorSpec
from tfkit.benchmarking import Host, LatencyResult, describe_host
from tfkit.reports import RunReport, StageSummary, artifact_result, gain_over_head
from tfkit.reports.page import render_page
from tfkit.reports.phrases import limits
from tfkit.tasks import Quality
from tfkit.verification import AcceptancePolicy, ArtifactVerification

MakeReport = Callable[..., RunReport]


@pytest.fixture
def verification(tmp_path: Path) -> ArtifactVerification:
    """What was found about one small file on disk."""
    path = tmp_path / "artifacts" / "model_int8.tflite"
    path.parent.mkdir()
    path.write_bytes(b"TFL3" * 100)
    signature = ModelSignature(
        (TensorSpec("pixels", (1, 8, 8, 1), "uint8", 1.0, 0),), (TensorSpec("scores", (1, 2), "uint8"),)
    )
    artifact = Artifact(path, "tflite", "int8", signature, ImageSpec(8, 8, 1), ("a", "b"), "by a test")
    return ArtifactVerification(
        artifact, 10, Quality({"accuracy": 0.9}), 1.0, 0.02, 0.01, 0, {"CONV_2D": 3}, (), np.zeros((10, 2))
    )


def test_row_joins_what_was_proved_timed_and_decided(verification: ArtifactVerification, tmp_path: Path) -> None:
    latency = LatencyResult(1.5, 2.5, 1.7, 100, 10, 1, 1, "invoke")

    row = artifact_result(verification, latency, ("model_int8.tflite: too slow.",), directory=tmp_path)

    assert (row.file, row.bytes, row.label, row.accepted) == ("artifacts/model_int8.tflite", 400, "TFLite int8", False)
    assert (row.quality, row.latency_ms_p95, row.latency_runs, row.latency_measures) == (0.9, 2.5, 100, "invoke")
    assert row.sha256 == verification.artifact.sha256


def test_file_that_was_not_timed_has_no_latency(verification: ArtifactVerification, tmp_path: Path) -> None:
    row = artifact_result(verification, None, (), directory=tmp_path)

    assert row.accepted
    assert {getattr(row, field.name) for field in fields(row) if field.name.startswith("latency")} == {None}


def test_acceptance_policy_is_told_in_words() -> None:
    policy = AcceptancePolicy(max_bytes=4_000_000, max_latency_ms_p95=20)

    assert limits(asdict(policy), noun="image") == (
        "an accuracy at most 1 point below Keras's, before and after compression; "
        "the same answer as Keras on at least 98.0 % of the images; "
        "no float operations if it is int8; a size of at most 4.0 MB; and a p95 of at most 20.0 ms"
    )


def test_page_tells_the_real_host(make_report: MakeReport, pixels: Callable[[np.ndarray], np.ndarray]) -> None:
    report = make_report(2)
    host = describe_host()

    assert {field.name for field in fields(Host)} == {field.name for field in fields(report.host)}
    assert host.operating_system in render_page(replace(report, host=host), misclassified=pixels)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ([0.9, 0.95], [0.952], "+0.2 points (of 500 examples): fine_tune=null does nearly as well"),
        ([0.95], [0.9], "-5.0 points (of 500 examples): fine_tune=null does better"),
        ([0.95], [0.97], ""),
    ],
)
def test_what_fine_tuning_won_is_told_where_it_is_little(before: list[float], after: list[float], told: str) -> None:
    head = StageSummary("head", "Train the head", 1.0, {"val_accuracy": before})
    gained = gain_over_head([head], {"val_accuracy": after}, 500)
    assert gained.endswith(told) and bool(gained) == bool(told)


def test_nothing_is_told_of_fine_tuning_without_a_head_or_validation() -> None:
    head = StageSummary("head", "Train the head", 1.0, {"accuracy": [0.9]})
    assert gain_over_head([head], {"val_accuracy": [0.9]}, 5) == ""
    assert gain_over_head([], {"val_accuracy": [0.9]}, 5) == ""
