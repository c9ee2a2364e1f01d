"""What of the ways to train a text classifier differently goes together, as one value."""

from collections.abc import Callable
from dataclasses import dataclass

import keras

from tfkit.training.layer_rates import layer_rates
from tfkit.training.objectives import adversarial, r_drop


@dataclass(frozen=True)
class TextObjectives:
    """Changes to how a text classifier is trained; None leaves one out.

    Attributes:
        layer_decay: Learning rate of each block as a share of the one above it, in (0, 1]; see `layer_rates`.
        adversarial: Length of the token table's move, more than 0; see `adversarial`.
        r_drop: Weight of the divergence between two dropouts, more than 0; see `r_drop`.

    Example:
        >>> TextObjectives(layer_decay=0.9, r_drop=1.0).notes
        ('layer-wise learning rates, 0.9 a block', 'R-Drop, weight 1')
    """

    layer_decay: float | None = None
    adversarial: float | None = None
    r_drop: float | None = None

    @property
    def objective(self) -> Callable[[keras.Model], keras.Model] | None:
        """What to give `train_batches` as its objective; None when nothing was asked for."""
        return self.around if self.notes else None

    @property
    def notes(self) -> tuple[str, ...]:
        """What was asked for, for the report."""
        told = {
            "layer-wise learning rates, {:g} a block": self.layer_decay,
            "adversarial training on the token table (FGM), moved by {:g}": self.adversarial,
            "R-Drop, weight {:g}": self.r_drop,
        }
        return tuple(sentence.format(value) for sentence, value in told.items() if value is not None)

    def around(self, logits: keras.Model) -> keras.Model:
        """Wrap a model that gives logits into the one to fit.

        Raises:
            ModelError: When a value is out of range, or the model has not what it takes.
        """
        model = logits
        if self.layer_decay is not None:
            model = layer_rates(model, decay=self.layer_decay)
        if self.r_drop is not None:
            model = r_drop(model, alpha=self.r_drop)
        if self.adversarial is not None:
            model = adversarial(model, epsilon=self.adversarial)
        return model
