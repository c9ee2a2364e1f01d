"""report.json."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tfkit.reports import RunReport
from tfkit.reports.files import report_document

MakeReport = Callable[..., RunReport]
PROMISED = {
    "file", "format", "quantization", "bytes", "accuracy", "agreement", "max_difference", "float_ops",
    "latency_ms_p50", "latency_ms_p95", "sha256",
}  # fmt: skip


def test_document_keeps_what_is_promised_to_programs(make_report: MakeReport) -> None:
    report = make_report(12)
    document = report_document(report)

    assert document["accepted"] is False
    assert {name: document["evaluation"][name] for name in ("examples", "metric", "keras")} == {
        "examples": 240,
        "metric": "accuracy",
        "keras": report.evaluation.keras,
    }
    assert all(set(file) >= PROMISED for file in document["artifacts"])


def test_document_tells_the_refused_file_and_why(make_report: MakeReport) -> None:
    refused = [file for file in report_document(make_report(12))["artifacts"] if not file["accepted"]]

    assert [file["quantization"] for file in refused] == ["dynamic_int8"]
    assert "max_accuracy_drop allows 1.00" in refused[0]["refusals"][0]


def test_document_is_strict_json_even_with_numpy_values_and_nan(make_report: MakeReport) -> None:
    report = make_report(12)
    broken = replace(report.artifacts[0], quality=np.float32(0.5), max_difference=float("nan"))

    document = report_document(replace(report, artifacts=(broken,)))
    read = json.loads(json.dumps(document, allow_nan=False))

    assert read == document
    assert (read["artifacts"][0]["accuracy"], read["artifacts"][0]["max_difference"]) == (0.5, None)


def test_document_lists_classes_confusions_and_every_mistake(make_report: MakeReport) -> None:
    document = report_document(make_report(12))

    assert len(document["per_class"]) == 12
    assert len(document["mistakes"]) == 240 - np.trace(document["evaluation"]["confusion_matrix"])
    assert sum(pair["images"] for pair in document["most_confused"]) == len(document["mistakes"])
    assert [stage["name"] for stage in document["stages"]] == ["data", "head", "fine_tune", "export", "verify"]
