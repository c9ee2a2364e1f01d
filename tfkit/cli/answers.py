"""What `tfkit predict` prints: the best labels of each picture or text."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tfkit.artifacts import TaskName
from tfkit.errors import ModelError

if TYPE_CHECKING:
    import numpy as np

_NO_NUMBERS = "its training has gone wrong; train it again with a lower learning_rate, and export it again"
Best = list[tuple[str, float]]


@dataclass(frozen=True, eq=False)
class Answered:
    """What a model said.

    Attributes:
        model: The file that answered.
        class_names: Its classes, labels or numbers.
        scores: float32 (n, k).
        task: What was asked of it.
        thresholds: As for `tfkit.artifacts.Artifact`.
    """

    model: Path
    class_names: tuple[str, ...]
    scores: "np.ndarray"
    task: TaskName = "classification"
    thresholds: tuple[float, ...] = ()

    @property
    def targets(self) -> str:
        """Whether they are classes, labels or numbers."""
        from tfkit.tasks import task_named

        return task_named(self.task).targets

    def given(self) -> list[set[str]]:
        """Which names each row is answered with: a class, the labels that reach their thresholds, or all numbers."""
        from tfkit.tasks import Decision, task_named

        return task_named(self.task).names_given(self.scores, self.class_names, Decision(self.thresholds))

    def best(self, *, top: int) -> list[Best]:
        """The `top` best labels of each row of scores, best first; numbers, which have no best, all in their order.

        Raises:
            ModelError: When a score is no number.
        """
        import numpy as np

        if not np.isfinite(self.scores).all():
            raise ModelError("the model answers with scores that are no numbers (NaN or infinite)", hint=_NO_NUMBERS)
        if self.targets == "numbers":
            return [list(zip(self.class_names, map(float, row), strict=True)) for row in self.scores]
        return [[(self.class_names[k], float(row[k])) for k in row.argsort()[::-1][:top]] for row in self.scores]


def answers_json(kind: str, inputs: list[Any], answered: Answered, *, top: int) -> list[dict[str, Any]]:
    """Each picture or text with its labels and scores, as JSON keeps them, and which are given."""
    answers = []
    for one, row, given in zip(inputs, answered.best(top=top), answered.given(), strict=True):
        best: list[dict[str, Any]] = [{"label": label, "score": score} for label, score in row]
        answer = {kind: str(one), "top": best}
        if answered.targets == "labels":
            answer["labels"] = [name for name in answered.class_names if name in given]
        elif answered.thresholds:
            answer["label"] = next(iter(given))
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


def show_answers(kind: str, inputs: list[Any], answered: Answered, *, top: int) -> None:
    """Print a table of the labels; those that are not given are dim."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from tfkit.terminal.display import PlainConsole

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, header_style="bold", pad_edge=False)
    numbers = answered.targets == "numbers"
    table.add_column(kind, overflow="fold")
    table.add_column("number" if numbers else "label", overflow="fold")
    table.add_column("value" if numbers else "score", justify="right", no_wrap=True)
    for one, row, given in zip(inputs, answered.best(top=top), answered.given(), strict=True):
        for place, (label, score) in enumerate(row):
            style = "" if label in given else "dim"
            shown = f"{score:.5g}" if numbers else f"{score:.3f}"
            table.add_row(Text(str(one) if place == 0 else ""), Text(label, style=style), Text(shown, style=style))
        table.add_section()
    console = PlainConsole()
    console.print(str(answered.model), style="dim", soft_wrap=True)
    console.print(table)
    if answered.targets == "labels":
        limits = "their own thresholds" if answered.thresholds else "0.5"
        console.print(f"  several labels may be true at once: those that reach {limits} are given", style="dim")


def tell_numbered(class_names: tuple[str, ...]) -> None:
    """Say how labels are named, where they are only numbers."""
    if class_names == tuple(map(str, range(len(class_names)))):
        typer.echo("  labels are numbers: --labels FILE names them, one a line", err=True)
