"""Labels of training examples that are likely wrong, as values that a run records."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SuspiciousLabel:
    """A training example whose label is likely wrong.

    Attributes:
        position: Its position in the training split.
        name: What to call it.
        given: The class it was given.
        likely: The class that it looks like.
        given_score: How probable the given class is, 0..1, by heads that did not learn from the example.
        likely_score: How probable the likely class is.
    """

    position: int
    name: str
    given: str
    likely: str
    given_score: float
    likely_score: float


@dataclass(frozen=True)
class SuspiciousLabels:
    """What a look at a training split's labels found; nothing is deleted or relabelled.

    Attributes:
        examples: How many labels were looked at.
        found: Those that are likely wrong, the most suspicious first.
        not_judged: Classes of too few examples to be judged.
    """

    examples: int
    found: tuple[SuspiciousLabel, ...]
    not_judged: tuple[str, ...] = ()
