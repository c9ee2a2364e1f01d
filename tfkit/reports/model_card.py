"""MODEL_CARD.md: what a user of the model should know, and what nobody has told tfkit."""

from __future__ import annotations

from tfkit.artifacts import TextSpec
from tfkit.reports.compression_view import coverage_sentence
from tfkit.reports.data_summary import summarize_data
from tfkit.reports.findings import ClassScore, accuracy_interval, calibration, calibration_error, class_scores
from tfkit.reports.page import markdown, template
from tfkit.reports.phrases import date, limits, timing, warnings
from tfkit.reports.quantities import counted, duration, percent
from tfkit.reports.run_report import RunReport
from tfkit.reports.task_view import figure_rows, task_view
from tfkit.reports.text_input import describe_text_input
from tfkit.reports.verdict import verdict

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
    view = task_view(evaluation)
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
        "compression": _compression(report),
        "text": describe_text_input(report.input) if isinstance(report.input, TextSpec) else None,
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
    parts = [
        f"{stage.title} ({counted(len(next(iter(stage.history.values()))), 'epoch')}, {duration(stage.seconds)})"
        for stage in trained
    ]
    return f"{'; '.join(parts) or 'none'}. Every setting is in `recipe.yaml`."


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
