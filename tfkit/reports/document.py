"""report.json: the run for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from tfkit.artifacts import TextSpec
from tfkit.reports.explanations import explanations_document
from tfkit.reports.findings import (
    Confusion,
    accuracy_interval,
    calibration,
    calibration_error,
    class_scores,
    confusion_matrix,
    mistakes,
    most_confused,
)
from tfkit.reports.run_report import RunReport, float_accuracy
from tfkit.reports.task_view import task_view, wrong_answers
from tfkit.reports.text_input import describe_text_input

DOCUMENT_VERSION = 1
# A matrix of 1,000 classes is a million numbers; its confused pairs say the same in a few lines.
MOST_CLASSES_WITH_MATRIX = 200


def report_document(report: RunReport) -> dict[str, object]:
    """Everything in the report as plain JSON values; what is not known is null.

    Args:
        report: The run.

    Returns:
        A dict of dicts, lists, strings, numbers, booleans and None only.
    """
    document = {
        "version": DOCUMENT_VERSION,
        "accepted": report.accepted,
        "name": report.name,
        "task": report.task,
        "created": report.created,
        "tfkit_version": report.tfkit_version,
        "evaluation": _evaluation(report),
        "control": asdict(report.control) if report.control else None,
        "artifacts": [
            {**asdict(file), report.evaluation.metric: file.quality, **file.compared, "accepted": file.accepted}
            for file in report.artifacts
        ],
        "acceptance": report.policy,
        "model": {"backbone": report.backbone, "parameters": report.parameters, report.noun: _input(report)},
        "compression": asdict(report.compression) if report.compression else None,
        "search": asdict(report.search) if report.search else None,
        "stages": [{**asdict(stage), report.evaluation.metric: stage.quality} for stage in report.stages],
        **_answers(report),
        "explanations": explanations_document(report.explanations) if report.explanations else None,
        "data": report.data,
        "host": asdict(report.host),
        "recipe": report.recipe_yaml,
    }
    return {name: _plain(value) for name, value in document.items()}


def _evaluation(report: RunReport) -> dict[str, object]:
    evaluation = report.evaluation
    described: dict[str, object] = {
        "examples": evaluation.examples,
        "task": evaluation.task.name,
        "metric": evaluation.metric,
        "keras": evaluation.keras,
        "figures": evaluation.quality.figures,
        "thresholds": evaluation.decision.thresholds,
        "float": float_accuracy(report.stages),
        "class_names": evaluation.class_names,
    }
    if evaluation.task.targets != "classes":
        return described
    low, high = accuracy_interval(evaluation.keras, evaluation.examples)
    few = len(evaluation.class_names) <= MOST_CLASSES_WITH_MATRIX
    return described | {
        "keras_interval_95": [low, high],
        "calibration_error": calibration_error(calibration(evaluation)),
        "confusion_matrix": confusion_matrix(evaluation) if few else None,
    }


def _answers(report: RunReport) -> dict[str, object]:
    """What the evaluation says beyond its figures."""
    evaluation = report.evaluation
    if (view := task_view(evaluation)) is not None:
        columns = [heading.lower().replace(" ", "_") for heading in view.head]
        rows = [dict(zip(columns, row, strict=True)) for row in view.rows]
        return {"per_output": rows, "mistakes": [asdict(wrong) for wrong in wrong_answers(evaluation)]}
    return {
        "per_class": [asdict(row) for row in class_scores(evaluation)],
        "most_confused": [_pair(pair, report.noun) for pair in most_confused(evaluation)],
        "mistakes": [asdict(mistake) for mistake in mistakes(evaluation)],
    }


def _input(report: RunReport) -> dict[str, object]:
    spec = report.input
    return asdict(describe_text_input(spec) if isinstance(spec, TextSpec) else spec)


def _pair(pair: Confusion, noun: str) -> dict[str, object]:
    return {"true": pair.true, "predicted": pair.predicted, f"{noun}s": pair.examples, "of": pair.of}


def _plain(value: Any) -> Any:
    """Turn NumPy's values into Python's, and NaN and infinity, which JSON does not know, into None."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
