"""What a sweep has found."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tfkit.config.yaml_document import Plain
from tfkit.tasks import Task

State = Literal["finished", "stopped", "failed"]


@dataclass(frozen=True)
class Tried:
    """One trial that is over.

    Attributes:
        number: Its place, from 0; the first is the recipe as it is.
        state: `finished`, `stopped` early because others were better, or `failed`.
        values: What it tried, by `section.key`.
        figure: The task's deciding figure on the validation split; of a stopped one that of its last epoch as its
            training showed it, which of several labels and of numbers is another figure; None of a failed one.
        seconds: How long it took.
        reason: Why it failed, or when it was stopped; empty of one that finished.
        epochs: The validation figure that its training showed after each epoch, by step.
    """

    number: int
    state: State
    values: Mapping[str, Plain]
    figure: float | None
    seconds: float
    reason: str = ""
    epochs: Mapping[int, float] | None = None


@dataclass(frozen=True, eq=False)
class SweepResult:
    """What a sweep has found so far.

    Attributes:
        name: Of the recipe's run.
        folder: The study's folder: `trials.csv`, `best.yaml`, `report.html`, `report.json`, `tensorboard/`.
        task: What is asked of the model; its figure decides.
        keys: What is tried.
        trials: All trials that are over, in order.
        importance: Each key's share of how much the figure differs, the largest first; empty while too few are over.
        chosen_on: What the validation part is, in words.
        ended: Why no more were begun; empty when the sweep was interrupted.
        asked: How many trials the recipe asks for.
        compresses: Whether trials ran the recipe's compression.
    """

    name: str
    folder: Path
    task: Task
    keys: Mapping[str, str]
    trials: tuple[Tried, ...]
    importance: Mapping[str, float]
    chosen_on: str
    ended: str
    asked: int
    compresses: bool

    @property
    def finished(self) -> tuple[Tried, ...]:
        """Those that were trained to their end."""
        return tuple(trial for trial in self.trials if trial.state == "finished")

    @property
    def ranked(self) -> tuple[Tried, ...]:
        """Those that finished, the best first."""
        return tuple(sorted(self.finished, key=lambda trial: (-_known(trial.figure), trial.number)))

    @property
    def best(self) -> Tried | None:
        """The one with the highest figure, the first of equal ones; None while there is none."""
        return next(iter(self.ranked), None)

    @property
    def recipe(self) -> Tried | None:
        """The recipe as it is; None when it did not finish."""
        return next((trial for trial in self.finished if trial.number == 0), None)

    @property
    def best_recipe(self) -> Path:
        """The recipe with the best values, for `tfkit run`."""
        return self.folder / "best.yaml"

    @property
    def report(self) -> Path:
        """The report for people."""
        return self.folder / "report.html"


def _known(figure: float | None) -> float:
    assert figure is not None, "a trial that finished has a figure"
    return figure
