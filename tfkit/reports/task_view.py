"""What page, card and terminal say of the answers of a model of several labels or of numbers, in the words of its task.

The sections of classes are older and richer; they stand in `findings` and in templates of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tfkit.data.targets import told_target
from tfkit.reports.drawing import BAD, GOOD, MUTED, Drawing, drawing_style
from tfkit.reports.findings import Evaluation, Mistake
from tfkit.reports.quantities import count, percent

_MOST_PANELS = 4

FIGURES = {
    "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "roc_auc": "area under the ROC curve",
    "f1": "F1, mean over the labels",
    "map": "mean average precision",
    "auc": "area under the ROC curve, mean over the labels",
    "exact_sets": "all labels right",
    "r2": "R²",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
}
_NUMBERS = ("r2", "mae", "rmse")


@dataclass(frozen=True)
class TaskView:
    """A section of the report about the answers.

    Attributes:
        title: Its heading.
        head: The headings of its table.
        rows: The table's cells, as texts.
        explained: What the figures mean, in sentences.
        drawings: Its pictures.
        output: What the model gives, for the card.
        same: When two answers are the same, for the files' table.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    explained: str
    drawings: tuple[Drawing, ...]
    output: str
    same: str


def told_figure(name: str, value: float) -> str:
    """A figure for people: a share in per cent, a number as it is.

    Example:
        >>> told_figure("f1", 0.5)
        '50.0 %'
    """
    return f"{value:.4g}" if name in _NUMBERS else percent(value)


def figure_rows(evaluation: Evaluation) -> tuple[tuple[str, str], ...]:
    """Every figure of a task by its name for people."""
    return tuple((FIGURES[name], told_figure(name, value)) for name, value in evaluation.quality.figures.items())


def task_view(evaluation: Evaluation) -> TaskView | None:
    """The section of a task; None for classification, which has its own.

    Args:
        evaluation: The model's answers on the evaluation split.
    """
    views = {"multilabel": _labels_view, "regression": _numbers_view}
    make = views.get(evaluation.task.name)
    return make(evaluation) if make else None


def wrong_answers(evaluation: Evaluation) -> tuple[Mistake, ...]:
    """Label sets that are not the true ones, the surest first; of numbers the answers that are furthest off."""
    if evaluation.task.name == "multilabel":
        given = evaluation.task.given(evaluation.scores, evaluation.decision)
        true = evaluation.labels > 0
        limits = np.array(evaluation.decision.thresholds or 0.5)
        margin = np.where(given != true, np.abs(evaluation.scores - limits), -1.0).max(axis=1)
        order = [place for place in np.argsort(-margin, kind="stable") if margin[place] >= 0]
        told = [told_target(given.astype(np.uint8), place, evaluation.class_names) for place in order]
    else:
        scale = np.maximum(evaluation.labels.std(axis=0), 1e-12)
        off = (np.abs(evaluation.scores - evaluation.labels) / scale).max(axis=1)
        order = list(np.argsort(-off, kind="stable"))
        told = [told_target(evaluation.scores, place, evaluation.class_names) for place in order]
    return tuple(
        Mistake(
            position=int(place),
            name=evaluation.names[place],
            true=told_target(evaluation.labels, place, evaluation.class_names),
            predicted=predicted,
        )
        for place, predicted in zip(order, told, strict=True)
    )


def _labels_view(evaluation: Evaluation) -> TaskView:
    from tfkit.tasks.multilabel import label_figures

    rows = label_figures(evaluation.labels, evaluation.scores, evaluation.decision)
    cells = [
        (
            name,
            count(int(row["examples"] or 0)),
            f"{row['threshold']:.2f}",
            *(_share(row[key]) for key in ("recall", "precision", "f1", "auc", "average_precision")),
        )
        for name, row in zip(evaluation.class_names, rows, strict=True)
    ]
    return TaskView(
        title="How well each label is found",
        head=("Label", "Examples", "Threshold", "Found", "Right when given", "F1", "ROC AUC", "Average precision"),
        rows=tuple(cells),
        explained="A label is given from its threshold on; thresholds were chosen on the validation split. "
        "Found (recall): of the examples with the label, the share that got it. Right when given (precision): of those "
        "that got it, the share that has it. ROC AUC and average precision do not depend on the threshold.",
        drawings=(_label_drawing(evaluation.class_names, [row["f1"] for row in rows]),),
        output="one score for each label, 0 to 1; several may be true at once, and they do not add up to 1",
        same="gives the same set of labels",
    )


def _numbers_view(evaluation: Evaluation) -> TaskView:
    from tfkit.tasks.regression import tolerances

    labels, scores = evaluation.labels, evaluation.scores
    error = scores - labels
    tolerance = tolerances(labels, evaluation.decision)
    cells = []
    for place, name in enumerate(evaluation.class_names):
        own = evaluation.task.quality(labels[:, [place]], scores[:, [place]], evaluation.decision).figures
        low, high = float(labels[:, place].min()), float(labels[:, place].max())
        cells.append(
            (
                name,
                *(told_figure(key, own[key]) for key in ("r2", "mae", "rmse")),
                f"{float(error[:, place].mean()):+.4g}".replace("-", "−"),
                f"{low:.4g} to {high:.4g}",
                f"{float(tolerance[place]):.4g}",
            )
        )
    return TaskView(
        title="How near the numbers are",
        head=("Number", "R²", "Mean absolute error", "Root mean squared error", "Bias", "True values", "Same within"),
        rows=tuple(cells),
        explained="R² is the share of the numbers' variance that the model explains: 1 is exact, 0 is no better than "
        "their mean. Bias: how far the answers lie too high (+) or too low on average. Two answers are called the same "
        "when they lie no further apart than the last column says. All errors are in the numbers' own units.",
        drawings=tuple(_scatter(evaluation, place) for place in range(min(labels.shape[1], _MOST_PANELS))),
        output="a number for each of " + ", ".join(evaluation.class_names),
        same="is within the tolerance",
    )


def _share(value: Any) -> str:
    return "–" if value is None else percent(value)


def _label_drawing(names: tuple[str, ...], values: list[float | None]) -> Drawing:
    from matplotlib.figure import Figure

    order = sorted(range(len(names)), key=lambda place: values[place] or 0.0)[:20]
    with drawing_style():
        figure = Figure(figsize=(3.7, 0.7 + 0.26 * len(order)), layout="constrained")
        axes = figure.add_subplot()
        axes.barh(range(len(order)), [100 * (values[place] or 0.0) for place in order], height=0.6, color=GOOD)
        axes.set_yticks(range(len(order)), [names[place][:18] for place in order])
        axes.set(xlim=(0, 100))
        axes.set_title("F1 (%), the weakest first" if len(names) > 1 else "F1 (%)")
        axes.invert_yaxis()
    return Drawing(figure, f"F1 of {len(order)} labels, the weakest first")


def _scatter(evaluation: Evaluation, place: int) -> Drawing:
    from matplotlib.figure import Figure

    true, given = evaluation.labels[:, place], evaluation.scores[:, place]
    low, high = float(min(true.min(), given.min())), float(max(true.max(), given.max()))
    name = evaluation.class_names[place]
    with drawing_style():
        figure = Figure(figsize=(3.7, 3.4), layout="constrained")
        axes = figure.add_subplot()
        axes.plot([low, high], [low, high], color=MUTED, linestyle=(0, (2, 3)), linewidth=1)
        axes.scatter(true, given, s=14, color=BAD, alpha=0.6, linewidth=0)
        axes.set(xlabel="true", ylabel="given")
        axes.grid(True)
        axes.set_title(name)
    return Drawing(figure, f"{name}: given against true values; on the dotted line both are equal")
