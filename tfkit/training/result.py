"""What a training stage did."""

from dataclasses import dataclass

import keras
import numpy as np


@dataclass(frozen=True)
class StageResult:
    """The course of one stage.

    Attributes:
        name: `head` or `fine_tune`.
        seconds: Wall time.
        history: One value per epoch: `loss`, the task's metrics, the same with `val_`, `learning_rate`.
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
        figures = []
        for name, values in self.history.items():
            if name in ("loss", "learning_rate") or name.startswith("val_"):
                continue
            figures.append(f"training {name} {_figure(name, values[-1])}")
            if held_out := self.history.get(f"val_{name}"):
                figures.append(f"validation {_figure(name, held_out[-1])}")
        return ", ".join([*figures, f"{epochs} epoch{'s' * (epochs != 1)}"])


def _figure(name: str, value: float) -> str:
    """An accuracy in per cent, as everywhere on the terminal; another figure as it is."""
    return f"{100 * value:.1f} %" if name == "accuracy" else f"{value:.3g}"


def count_trainable(model: keras.Model) -> int:
    """How many numbers of a model learn.

    Example:
        >>> count_trainable(model) < model.count_params()
        True
    """
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
