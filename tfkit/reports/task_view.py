"""What page, card and terminal say of the answers of a model of several labels or of numbers, as its task tells them.

The sections of classes are older and richer; they stand in `findings` and in templates of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

from tfkit.data.targets import told_target
from tfkit.reports.drawing import BAD, GOOD, MUTED, Drawing, drawing_style
from tfkit.reports.findings import Evaluation, Mistake
from tfkit.reports.quantities import MISSING, count, percent
from tfkit.tasks.task import ColumnForm

_MOST_PANELS = 4


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


def figure_rows(evaluation: Evaluation) -> tuple[tuple[str, str], ...]:
    """Every figure of a task by its name for people."""
    task = evaluation.task
    return tuple((task.figures[name], task.figure(value)) for name, value in evaluation.quality.figures.items())


def task_view(evaluation: Evaluation) -> TaskView | None:
    """The section of a task; None for classification, which has its own.

    Args:
        evaluation: The model's answers on the evaluation split.
    """
    if evaluation.task.answers is None:
        return None
    given = evaluation.labels, evaluation.scores, evaluation.class_names, evaluation.decision
    table = evaluation.task.answers(*given)
    forms = [form for _, form in table.columns]
    drawings: tuple[Drawing, ...] = ()
    if table.bars is not None:
        drawings = (_bars(*table.bars, evaluation.class_names),)
    elif table.scattered:
        drawings = tuple(_scatter(evaluation, place) for place in range(min(len(table.rows), _MOST_PANELS)))
    return TaskView(
        title=table.title,
        head=tuple(heading for heading, _ in table.columns),
        rows=tuple(tuple(_cell(*pair) for pair in zip(row, forms, strict=True)) for row in table.rows),
        explained=table.explained,
        drawings=drawings,
        output=table.output,
        same=table.same,
    )


def wrong_answers(evaluation: Evaluation) -> tuple[Mistake, ...]:
    """Label sets that are not the true ones, the surest first; of numbers and masks the answers furthest off first."""
    wrong = evaluation.task.wrong
    assert wrong is not None  # mistakes of classes stand in `findings`
    return tuple(
        Mistake(
            position=place,
            name=evaluation.names[place],
            true=told_target(evaluation.labels, place, evaluation.class_names),
            predicted=predicted,
        )
        for place, predicted in wrong(evaluation.labels, evaluation.scores, evaluation.class_names, evaluation.decision)
    )


def _cell(value: str | float | None, form: ColumnForm) -> str:
    if value is None or isinstance(value, str):
        return MISSING if value is None else value
    told = {
        "count": lambda: count(int(value)),
        "share": lambda: percent(value),
        "fixed": lambda: f"{value:.2f}",
        "signed": lambda: f"{value:+.4g}".replace("-", "−"),
    }
    return told[form]() if form in told else f"{value:.4g}"


def _bars(title: str, values: tuple[float | None, ...], names: tuple[str, ...]) -> Drawing:
    from matplotlib.figure import Figure

    order = sorted(range(len(names)), key=lambda place: values[place] or 0.0)[:20]
    with drawing_style():
        figure = Figure(figsize=(3.7, 0.7 + 0.26 * len(order)), layout="constrained")
        axes = figure.add_subplot()
        axes.barh(range(len(order)), [100 * (values[place] or 0.0) for place in order], height=0.6, color=GOOD)
        axes.set_yticks(range(len(order)), [names[place][:18] for place in order])
        axes.set(xlim=(0, 100))
        axes.set_title(f"{title} (%), the weakest first" if len(names) > 1 else f"{title} (%)")
        axes.invert_yaxis()
    return Drawing(figure, f"{title} of {len(order)} labels, the weakest first")


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
