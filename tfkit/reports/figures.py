"""The report's figures: learning curves, the files compared, the confusion matrix, trust in the confidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfkit.reports.drawing import BAD, GOOD, INK, LINE, MUTED, ON_COLOUR, Drawing, drawing_style
from tfkit.reports.findings import CalibrationBin, Evaluation, calibration, confusion_matrix
from tfkit.reports.quantities import counted, file_size, milliseconds
from tfkit.reports.run_report import ArtifactResult, RunReport, StageSummary

# Up to here cells hold their number, and up to there classes are named at the axes; a picture with more is a heat map.
MOST_CLASSES_WITH_NUMBERS = 20
MOST_CLASSES_WITH_NAMES = 40
_TITLES = {"auc": "ROC AUC", "mae": "Mean absolute error"}
_ORDER = {"loss": 0, "learning_rate": 2}
_WIDTH = 3.7  # inches: a phone's width, so that the figures are read there without zooming


def curve_drawings(stage: StageSummary) -> tuple[Drawing, ...]:
    """Draw a stage's metrics over its epochs or fits, training and validation together, the loss first.

    Args:
        stage: A stage; one without history gives no figure.

    Returns:
        One figure for each metric.
    """
    metrics = [name for name in stage.history if not name.startswith("val_")]
    metrics.sort(key=lambda name: _ORDER.get(name, 1))
    return tuple(_curve(stage, metric) for metric in metrics if stage.history[metric])


def comparison_drawings(report: RunReport) -> tuple[Drawing, ...]:
    """Draw accuracy, size and latency of the files side by side, refused ones hatched.

    Args:
        report: The run.

    Returns:
        Up to three figures; what was not measured has none.
    """
    files = report.artifacts
    drawings = []
    if files and all(file.quality is not None for file in files):
        drawings.append(_quality(report))
    if files:
        sizes = [file.bytes / 1e6 for file in files]
        drawings.append(_bars("Size on disk (MB)", files, sizes, [file_size(file.bytes) for file in files]))
    timed = tuple(file for file in files if file.latency_ms_p50 is not None)
    if timed:
        medians = [file.latency_ms_p50 or 0.0 for file in timed]
        slow = [file.latency_ms_p95 or 0.0 for file in timed]
        labels = [milliseconds(file.latency_ms_p50) for file in timed]
        drawings.append(_bars(f"Time for one {report.noun} (ms)", timed, medians, labels, reach=slow))
    return tuple(drawings)


def confusion_drawing(evaluation: Evaluation, *, noun: str) -> Drawing:
    """Draw the confusion matrix: rows are true classes; right answers blue, wrong ones orange.

    Args:
        evaluation: The evaluation.
        noun: What one example is called.

    Returns:
        A figure with counts up to 20 classes, a heat map beyond.
    """
    matrix = confusion_matrix(evaluation)
    classes = len(matrix)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    numbered = classes <= MOST_CLASSES_WITH_NUMBERS
    cell = 0.85 if classes <= 3 else 0.34 if numbered else 0.19 if classes <= MOST_CLASSES_WITH_NAMES else 4.6 / classes
    named = classes <= MOST_CLASSES_WITH_NAMES
    names = [_shortened(name) for name in evaluation.class_names]
    margin = 0.5 + (0.068 * max(map(len, names)) if named else 0.1)
    with drawing_style():
        figure, axes = _axes(cell * classes + margin, cell * classes + margin)
        (_numbered_cells if numbered else _heat_map)(axes, matrix, share)
        _name_classes(axes, names if named else None, classes)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")
    right = counted(int(matrix.trace()), noun)
    return Drawing(figure, f"Confusion matrix of {classes} classes: {right} of {int(matrix.sum())} right")


def calibration_drawing(evaluation: Evaluation, *, noun: str) -> Drawing:
    """Draw how often the model is right against how sure it says it is (a reliability diagram).

    Args:
        evaluation: The evaluation.
        noun: What one example is called.

    Returns:
        The figure.
    """
    bins: tuple[CalibrationBin, ...] = calibration(evaluation)
    with drawing_style():
        figure, axes = _axes(4.4, 3.4)
        axes.plot([0, 100], [0, 100], color=MUTED, linestyle=(0, (2, 3)), linewidth=1)
        axes.text(46, 51, "perfectly honest", color=MUTED, rotation=33, ha="center", fontsize=8)
        sizes = [18 + 170 * tenth.examples / evaluation.examples for tenth in bins]
        confidence, accuracy = ([100 * getattr(tenth, side) for tenth in bins] for side in ("confidence", "accuracy"))
        axes.plot(confidence, accuracy, color=GOOD, linewidth=1.4)
        axes.scatter(confidence, accuracy, s=sizes, color=GOOD, zorder=3, clip_on=False)
        axes.set(xlim=(0, 100), ylim=(0, 100), xlabel="confidence (%)", ylabel="right (%)")
        axes.grid(True)
        axes.set_title("Confidence against accuracy")
    return Drawing(figure, f"How often the model is right against its confidence; dots are larger for more {noun}s")


def _curve(stage: StageSummary, metric: str) -> Drawing:
    from matplotlib.ticker import MaxNLocator

    lines: list[tuple[str, Sequence[float], str, Any, str]] = [("training", stage.history[metric], GOOD, "-", "o")]
    validation = stage.history.get(f"val_{metric}")
    if validation:
        lines.append(("validation", validation, BAD, (0, (4, 2)), "s"))
    with drawing_style():
        figure, axes = _axes(_WIDTH, 2.4)
        for label, values, colour, dashes, marker in lines:
            epochs = range(1, len(values) + 1)
            few = marker if len(values) <= 30 else None
            axes.plot(
                epochs, values, color=colour, linestyle=dashes, marker=few, markersize=3.5, label=label, linewidth=1.6
            )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
        axes.grid(True, axis="y")
        axes.set_xlabel("epoch" if stage.counted_in == "epoch" else "fit, from a strong penalty to the chosen one")
        axes.set_title(
            {"auc": "ROC AUC", "mae": "Mean absolute error"}.get(metric, metric.replace("_", " ").capitalize())
        )
        if len(lines) > 1:
            axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.2, handlelength=2.2)
    said = ", ".join(f"{label} ends at {values[-1]:.4g}" for label, values, *_ in lines)
    return Drawing(
        figure, f"{stage.title}: {metric.replace('_', ' ')} over {counted(len(lines[0][1]), stage.counted_in)}; {said}"
    )


def _quality(report: RunReport) -> Drawing:
    task, files = report.evaluation.task, report.artifacts
    scale, unit = (100, " (%)") if task.is_share else (1, "")
    keras, values = scale * report.evaluation.keras, [scale * (file.quality or 0.0) for file in files]
    drop = report.policy.get("max_accuracy_drop")
    limit = keras if drop is None else keras - scale * drop
    low, high = min(*values, limit), max(*values, keras)
    room = max(high - low, 0.005 * scale)
    with drawing_style():
        figure, axes = _row_axes(files)
        axes.axvline(keras, color=INK, linewidth=1.2, linestyle=(0, (4, 2)))
        axes.text(keras, -0.62, "Keras ", ha="right", va="bottom", color=INK, fontsize=8)
        if drop is not None:
            axes.axvspan(low - 2 * room, limit, color=BAD, alpha=0.12, linewidth=0)
            axes.text(limit, -0.62, "too low ", ha="right", va="bottom", color=BAD, fontsize=8)
        for row, (file, value) in enumerate(zip(files, values, strict=True)):
            colour, marker = (GOOD, "o") if file.accepted else (BAD, "X")
            axes.plot([value], [row], marker=marker, markersize=8, color=colour, clip_on=False, zorder=3)
            # In a column of their own: beside the marks they would lie on Keras's line.
            axes.text(1.06, row, task.told(value / scale), transform=axes.get_yaxis_transform(), va="center")
        axes.set_xlim(low - 0.3 * room, min(high + 0.3 * room, scale + 0.02 * room))
        axes.set_title(f"{task.unit[0].upper()}{task.unit[1:]}{unit}", pad=20)
    said = ", ".join(f"{file.label} {task.told(file.quality)}" for file in files)
    return Drawing(figure, f"{task.unit} of the files; Keras {task.told(report.evaluation.keras)}, {said}")


def _bars(
    title: str,
    files: Sequence[ArtifactResult],
    values: Sequence[float],
    labels: Sequence[str],
    *,
    reach: Sequence[float] | None = None,
) -> Drawing:
    ends = [max(pair) for pair in zip(values, reach, strict=True)] if reach else list(values)
    with drawing_style():
        figure, axes = _row_axes(files)
        for row, (file, value, end, label) in enumerate(zip(files, values, ends, labels, strict=True)):
            colour, hatch = (GOOD, None) if file.accepted else (BAD, "////")
            axes.barh(row, value, height=0.56, color=colour, hatch=hatch, edgecolor=ON_COLOUR, linewidth=0)
            if end > value:
                axes.plot([value, end], [row, row], color=INK, linewidth=1.4, marker="|", markevery=[1])
            axes.annotate(label, (end, row), (5, 0), textcoords="offset points", va="center")
        axes.set_xlim(0, 1.32 * max(*ends, 1e-9))
        axes.set_title(title)
    said = ", ".join(f"{file.label} {label}" for file, label in zip(files, labels, strict=True))
    return Drawing(figure, f"{title}: {said}")


def _row_axes(files: Sequence[ArtifactResult]) -> tuple[Any, Any]:
    figure, axes = _axes(_WIDTH, 0.85 + 0.32 * len(files))
    axes.set_yticks(range(len(files)), [file.label for file in files], color=INK)
    axes.set_ylim(len(files) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(True, axis="x")
    axes.spines["left"].set_color(LINE)
    return figure, axes


def _axes(width: float, height: float) -> tuple[Any, Any]:
    # Figure itself, not pyplot: no window system, and nothing is kept alive after the report.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _numbered_cells(axes: Any, matrix: np.ndarray, share: np.ndarray) -> None:
    from matplotlib.patches import Rectangle

    size = 12 if len(matrix) <= 3 else 8.5
    for (row, column), examples in np.ndenumerate(matrix):
        colour = GOOD if row == column else BAD
        strength = float(_strength(share[row, column]))
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=colour, alpha=strength, linewidth=0))
        text, ink = (str(examples), ON_COLOUR if strength > 0.6 else INK) if examples else ("·", MUTED)
        axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=size)
    edges = np.arange(len(matrix) + 1) - 0.5
    axes.hlines(edges, edges[0], edges[-1], color=LINE, linewidth=0.6)
    axes.vlines(edges, edges[0], edges[-1], color=LINE, linewidth=0.6)


def _heat_map(axes: Any, matrix: np.ndarray, share: np.ndarray) -> None:
    from matplotlib.colors import to_rgb

    # Only the opacity carries the number, so that one picture stands on light and dark pages.
    right, wrong = np.array(to_rgb("#2f7fd6")), np.array(to_rgb("#d9730d"))
    colours = np.where(np.eye(len(matrix), dtype=bool)[..., None], right, wrong)
    image = np.concatenate([colours, _strength(share)[..., None]], axis=-1)
    axes.imshow(image, interpolation="none")
    for spine in axes.spines.values():
        spine.set_visible(True)


def _strength(share: Any) -> Any:
    # The square root and the least strength show one mistake in fifty; a straight scale would hide it.
    return np.where(share > 0, 0.12 + 0.83 * np.sqrt(share), 0.0)


def _name_classes(axes: Any, names: Sequence[str] | None, classes: int) -> None:
    if names is None:
        step = max(1, round(classes / 10))
        ticks = range(0, classes, step)
        axes.set_xticks(ticks)
        axes.set_yticks(ticks)
    else:
        size = 9 if classes <= MOST_CLASSES_WITH_NUMBERS else 7
        turned = 0 if classes <= 3 else 90
        axes.set_xticks(range(classes), names, rotation=turned, fontsize=size, color=INK)
        axes.set_yticks(range(classes), names, fontsize=size, color=INK)
        axes.tick_params(length=0)
    axes.set_xlim(-0.5, classes - 0.5)
    axes.set_ylim(classes - 0.5, -0.5)
    axes.set_aspect("equal")


def _shortened(name: str, length: int = 18) -> str:
    return name if len(name) <= length else f"{name[: length - 1]}…"
