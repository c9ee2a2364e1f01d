"""What `tfkit predict` prints: the best labels of each picture or text."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tfkit.cli.heads import Task
from tfkit.errors import ModelError

if TYPE_CHECKING:
    import numpy as np

_NO_NUMBERS = "its training has gone wrong; train it again with a lower learning_rate, and export it again"
THRESHOLD = 0.5  # of several labels at once
Best = list[tuple[str, float]]


def best_labels(
    class_names: tuple[str, ...], scores: "np.ndarray", *, top: int, task: Task = "classification"
) -> list[Best]:
    """The `top` best labels of each row of scores, best first; numbers, which have no best, all in their order.

    Raises:
        ModelError: When a score is no number.
    """
    import numpy as np

    if not np.isfinite(scores).all():
        raise ModelError("the model answers with scores that are no numbers (NaN or infinite)", hint=_NO_NUMBERS)
    if task == "regression":
        return [list(zip(class_names, map(float, row), strict=True)) for row in scores]
    return [[(class_names[k], float(row[k])) for k in row.argsort()[::-1][:top]] for row in scores]


def answers_json(
    kind: str, given: list[Any], best: list[Best], *, task: Task = "classification"
) -> list[dict[str, Any]]:
    """Each picture or text with its labels and scores, as JSON keeps them; of several labels also which are given."""
    answers = []
    for one, row in zip(given, best, strict=True):
        top: list[dict[str, Any]] = [{"label": label, "score": score} for label, score in row]
        answer = {kind: str(one), "top": top}
        if task == "multilabel":
            answer["labels"] = [label for label, score in row if score >= THRESHOLD]
        answers.append(answer)
    return answers


def echo_json(model: Path, kind: str, answers: list[dict[str, Any]]) -> None:
    """Print the whole answer as JSON."""
    echo_document({"model": str(model), f"{kind}s": answers})


def echo_document(document: dict[str, Any]) -> None:
    """Print values as JSON; bytes of a name that are not UTF-8 come out as `\\udcff`."""
    import json

    text = json.dumps(document, indent=2, ensure_ascii=False)
    typer.echo(text.encode("utf-8", "backslashreplace").decode())


def show_answers(model: Path, kind: str, given: list[Any], best: list[Best], *, task: Task = "classification") -> None:
    """Print a table of the labels; those that are not given are dim."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from tfkit.cli.display import PlainConsole

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, header_style="bold", pad_edge=False)
    table.add_column(kind, overflow="fold")
    table.add_column("label", overflow="fold")
    table.add_column("score", justify="right", no_wrap=True)
    for one, row in zip(given, best, strict=True):
        for place, (label, score) in enumerate(row):
            is_given = {"classification": place == 0, "multilabel": score >= THRESHOLD, "regression": True}[task]
            style = "" if is_given else "dim"
            table.add_row(
                Text(str(one) if place == 0 else ""), Text(label, style=style), Text(f"{score:.3f}", style=style)
            )
        table.add_section()
    console = PlainConsole()
    console.print(str(model), style="dim", soft_wrap=True)
    console.print(table)
    if task == "multilabel":
        console.print(f"  several labels may be true at once: those of {THRESHOLD:g} or more are given", style="dim")


def tell_numbered(class_names: tuple[str, ...]) -> None:
    """Say how labels are named, where they are only numbers."""
    if class_names == tuple(map(str, range(len(class_names)))):
        typer.echo("  labels are numbers: --labels FILE names them, one a line", err=True)
