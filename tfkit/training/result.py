"""What a training stage did."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class StageResult:
    """The course of one stage.

    Attributes:
        name: `head` or `fine_tune`.
        seconds: Wall time.
        history: One value per epoch: `loss`, `accuracy`, `val_loss`, `val_accuracy`, `learning_rate`.
        notes: What was decided on the way, for the report, in sentences.
        trainable_parameters: How many numbers learned; None when it was not counted.
    """

    name: str
    seconds: float
    history: dict[str, list[float]]
    notes: tuple[str, ...]
    trainable_parameters: int | None = None

    @property
    def summary(self) -> str:
        """The last figures in a few words."""
        epochs = len(self.history["loss"])
        figures = [f"{words} {self.history[key][-1]:.1%}" for key, words in _FIGURES.items() if key in self.history]
        return ", ".join([*figures, f"{epochs} epoch{'s' * (epochs != 1)}"])


def count_trainable(model: Any) -> int:
    """How many numbers of a model learn.

    Example:
        >>> count_trainable(model) < model.count_params()
        True
    """
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


_FIGURES = {"accuracy": "training accuracy", "val_accuracy": "validation"}
