"""Labels of training examples that are likely wrong, as values that a run records."""

from dataclasses import dataclass

_ABLE = 0.5
_TRUSTED = 0.87  # of a set with 5 % of wrong labels: heads that know 91 % of the classes


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
        agreement: Share of the labels looked at that are the class which those heads find likeliest, 0..1.
    """

    examples: int
    found: tuple[SuspiciousLabel, ...]
    not_judged: tuple[str, ...] = ()
    agreement: float = 1.0

    @property
    def cannot_tell(self) -> bool:
        """Whether the heads find another class likelier for most examples: then nothing is listed.

        Example:
            >>> SuspiciousLabels(examples=100, found=(), agreement=0.3).cannot_tell
            True
        """
        return self.agreement < _ABLE

    @property
    def is_unsure(self) -> bool:
        """Whether the heads are so often of another opinion that many of those found may be hard to tell, not wrong.

        Of sets with 5 % of wrong labels four in five of those found were wrong where the heads knew 95 % of the
        classes, and a third to three in five where they knew 78 to 88 % (`tests/benchmarks/results/label_faults.md`).

        Example:
            >>> SuspiciousLabels(examples=100, found=(), agreement=0.8).is_unsure
            True
        """
        return self.agreement < _TRUSTED
