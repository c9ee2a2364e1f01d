"""What a report leaves on disk: its JSON document, its model card, its page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tfkit.artifacts import RunDirectory
from tfkit.errors import RunError
from tfkit.files import write_whole
from tfkit.inputs import input_of
from tfkit.reports.compression_view import coverage_sentence
from tfkit.reports.data_summary import summarize_data
from tfkit.reports.explanations import explanations_document
from tfkit.reports.findings import (
    ClassScore,
    Confusion,
    accuracy_interval,
    calibration,
    calibration_error,
    class_scores,
    confusion_matrix,
    mistakes,
    most_confused,
)
from tfkit.reports.gallery import Misclassified
from tfkit.reports.heat_maps import heat_document
from tfkit.reports.page import markdown, render_page, template
from tfkit.reports.phrases import date, limits, timing, verdict, warnings
from tfkit.reports.quantities import counted, duration, percent
from tfkit.reports.run_report import RunReport, float_accuracy
from tfkit.reports.task_view import figure_rows, task_view, wrong_answers

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
        "model": {
            "backbone": report.backbone,
            "parameters": report.parameters,
            report.noun: input_of(report.input).document(report.input),
        },
        "compression": asdict(report.compression) if report.compression else None,
        "search": asdict(report.search) if report.search else None,
        "forgetting": asdict(report.forgetting) if report.forgetting else None,
        "stages": [{**asdict(stage), report.evaluation.metric: stage.quality} for stage in report.stages],
        **_answers(report),
        "explanations": explanations_document(report.explanations) if report.explanations else None,
        "trust": asdict(report.trust) if report.trust else None,
        "replies": report.replies.document if report.replies else None,
        "heat_maps": heat_document(report.heat_maps) if report.heat_maps else None,
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
    if not evaluation.task.of_classes:
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


_MOST_NAMES = 30
_WEAKEST = 3


def render_model_card(report: RunReport) -> str:
    """Write the model card, under the headings of Mitchell et al., "Model Cards for Model Reporting" (2019).

    Args:
        report: The run.

    Returns:
        Markdown. What tfkit cannot know is named as not known, never left out.
    """
    evaluation, data = report.evaluation, summarize_data(report.data, noun=report.noun)
    view, taken = task_view(evaluation), input_of(report.input)
    classes = class_scores(evaluation) if view is None else ()
    context: dict[str, object] = {
        "report": report,
        "evaluation": evaluation,
        "created": date(report.created),
        "verdict": verdict(report),
        "warnings": warnings(report, data),
        "limits": limits(report.policy, noun=report.noun, unit=evaluation.task.unit),
        "unit": evaluation.task.unit,
        "view": view,
        "figures": figure_rows(evaluation),
        "timing": timing(report),
        "training": _training(report),
        "goes_on_from": _goes_on_from(report),
        "compression": _compression(report),
        "text": taken.document(report.input) if report.noun == "text" else None,
        "input": taken.explained(report.input),
        "class_names": _listed(evaluation.class_names),
        "classes": classes,
        "weakest": _weakest(classes),
        "interval": accuracy_interval(evaluation.keras, evaluation.examples) if view is None else None,
        "calibration_error": calibration_error(calibration(evaluation)) if view is None else None,
        "data": data,
    }
    return template("MODEL_CARD.md.j2").render(context).strip() + "\n"


def _training(report: RunReport) -> str:
    trained = [stage for stage in report.stages if stage.history]
    steps = [len(next(iter(stage.history.values()))) for stage in trained]
    parts = [
        f"{stage.title} ({counted(number, stage.counted_in)}, {duration(stage.seconds)})"
        for stage, number in zip(trained, steps, strict=True)
    ]
    return f"{'; '.join(parts) or 'none'}. Every setting is in `recipe.yaml`."


def _goes_on_from(report: RunReport) -> str:
    told = report.forgetting
    return f"the run `{told.run}`; {told.told(report.evaluation.task)}" if told else ""


def _compression(report: RunReport) -> str:
    compression = report.compression
    if compression is None:
        return ""
    told = []
    if compression.transformer is not None:
        told.append(f"cut out of a larger encoder: {compression.transformer.note}")
    if compression.channels is not None:
        told.append(f"{counted(len(compression.channels.groups), 'group')} of channels, narrowed by pruning")
    if compression.sparsity is not None:
        told.append(f"{percent(compression.sparsity.masked_share)} of the pruned layers' weights are zero")
    if compression.coverage:
        told.append(f"trained quantisation-aware: {coverage_sentence(compression)}")
    if compression.teacher:
        told.append(f"taught by {compression.teacher}")
    return "; ".join(told)


def _listed(names: tuple[str, ...]) -> str:
    rest = len(names) - _MOST_NAMES
    shown = ", ".join(map(markdown, names[:_MOST_NAMES]))
    return f"{shown} and {rest} more (`labels.txt`)" if rest > 0 else shown


def _weakest(classes: tuple[ClassScore, ...]) -> str:
    known = sorted((row for row in classes if row.f1 is not None and row.f1 < 1), key=lambda row: row.f1 or 0.0)
    return ", ".join(f"{row.name} (F1 {percent(row.f1)})" for row in known[:_WEAKEST])


def write_run_report(report: RunReport, run: RunDirectory, *, misclassified: Misclassified) -> None:
    """Write `report.json`, `MODEL_CARD.md` and `report.html` into the run's folder.

    Args:
        report: The run.
        run: Where.
        misclassified: Gives uint8 (m, h, w, c) pixels, or m texts, for int64 (m,) positions in the evaluation
            split (`shown_of`); asked at most once, for at most 12.

    Raises:
        RunError: When a file cannot be written. What was there before stays whole.

    Example:
        >>> write_run_report(report, run, misclassified=lambda positions: pixels[positions])  # doctest: +SKIP
    """
    document = json.dumps(report_document(report), indent=2, ensure_ascii=False, allow_nan=False)
    _write(run.report_json, document + "\n")
    _write(run.model_card, render_model_card(report))
    _write(run.report, render_page(report, misclassified=misclassified))


def _write(path: Path, text: str) -> None:
    try:
        write_whole(path, text)
    except OSError as fault:
        raise RunError(
            f"cannot write '{path}': {fault.strerror}", hint="make room or mend its permissions; the models are kept"
        ) from None
