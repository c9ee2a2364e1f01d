"""A sweep's pictures: the figure of each trial in order, and how much each key matters."""

from typing import TYPE_CHECKING

import numpy as np

from tfkit.reports.drawing import BAD, GOOD, INK, MUTED, Drawing, drawing_style
from tfkit.reports.quantities import counted
from tfkit.tuning.result import SweepResult
from tfkit.tuning.words import told_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def history_drawing(result: SweepResult) -> Drawing:
    """Draw every trial's figure in order, with the best so far as a line.

    Args:
        result: The sweep; one trial at least has finished.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    scale = 100 if result.task.is_share else 1
    finished = [(trial.number, scale * trial.figure) for trial in result.finished if trial.figure is not None]
    places, figures = [place for place, _ in finished], [figure for _, figure in finished]
    best = list(np.maximum.accumulate(figures))
    low, high = min(figures), max(figures)
    room = max(high - low, 1e-3 * scale)
    with drawing_style():
        figure = Figure(figsize=(6.4, 3.4), layout="constrained")
        axes = figure.add_subplot()
        axes.step([*places, len(result.trials) - 0.5], [*best, best[-1]], where="post", color=GOOD, linewidth=1.2)
        axes.scatter(places, figures, s=34, color=GOOD, linewidth=0, zorder=3)
        if result.recipe is not None:
            axes.axhline(figures[0], color=MUTED, linewidth=1.0, linestyle=(0, (4, 2)))
        _others(axes, result, low - 0.16 * room)
        axes.set_ylim(low - 0.24 * room, high + 0.1 * room)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(True)
        unit = f"{result.task.unit} (%)" if result.task.is_share else result.task.unit
        axes.set(xlabel="trial", ylabel=f"validation {unit}")
        axes.set_title("Every trial, and the best so far")
    told = told_figure(result.task, result.best.figure if result.best else None)
    return Drawing(figure, f"{counted(len(result.trials), 'trial')} in order; the best has validation {told}")


def _others(axes: "Axes", result: SweepResult, height: float) -> None:
    """Trials without a figure, in a row at the lower edge."""
    for state, marker, colour in (("stopped", "v", MUTED), ("failed", "X", BAD)):
        places = [trial.number for trial in result.trials if trial.state == state]
        if places:
            axes.scatter(places, [height] * len(places), s=34, marker=marker, color=colour, linewidth=0, zorder=3)


def importance_drawing(result: SweepResult) -> Drawing:
    """Draw how much each key matters for the figure.

    Args:
        result: The sweep; its importance is known.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure

    ranked = sorted(result.importance.items(), key=lambda pair: -pair[1])
    with drawing_style():
        figure = Figure(figsize=(6.4, 0.9 + 0.32 * len(ranked)), layout="constrained")
        axes = figure.add_subplot()
        for row, (_, share) in enumerate(ranked):
            axes.barh(row, 100 * share, height=0.6, color=GOOD, linewidth=0)
            told = f"{100 * share:.0f} %"
            axes.annotate(told, (100 * share, row), (5, 0), textcoords="offset points", va="center", fontsize=8)
        axes.set_yticks(range(len(ranked)), [key for key, _ in ranked], color=INK, fontsize=8)
        axes.set_ylim(len(ranked) - 0.4, -0.6)
        axes.set_xlim(0, 112 * max(share for _, share in ranked) or 1.0)
        axes.tick_params(axis="y", length=0)
        axes.grid(True, axis="x")
        axes.set_xlabel("share of the differences between trials (%)")
        axes.set_title("How much each key matters")
    return Drawing(figure, "importance: " + ", ".join(f"{key} {share:.0%}" for key, share in ranked))
