"""How far one tensor of an exported file is from the Keras model's."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LayerDifference:
    """How far one tensor of a file is from the Keras model's.

    Attributes:
        layer: The Keras quantiser whose output it is.
        operator: The operator that writes it.
        mean_steps: Mean difference, in steps of its own grid.
        worst_steps: The largest.
        clipped: Share of its values that lie at the ends of the range.
    """

    layer: str
    operator: str
    mean_steps: float
    worst_steps: float
    clipped: float
