"""What a training stage did."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StageResult:
    """The course of one stage.

    Attributes:
        name: `head` or `fine_tune`.
        seconds: Wall time.
        history: One value per epoch: `loss`, `accuracy`, `val_loss`, `val_accuracy`, `learning_rate`.
        notes: What was decided on the way, for the report, in sentences.
    """

    name: str
    seconds: float
    history: dict[str, list[float]]
    notes: tuple[str, ...]

    @property
    def summary(self) -> str:
        """The last figures in a few words."""
        epochs = len(self.history["loss"])
        figures = [f"{words} {self.history[key][-1]:.1%}" for key, words in _FIGURES.items() if key in self.history]
        return ", ".join([*figures, f"{epochs} epochs"])


_FIGURES = {"accuracy": "training accuracy", "val_accuracy": "validation"}
