"""What a file must keep to, and by how much one misses it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from tfkit.arguments import fields_take_text
from tfkit.errors import ModelError, TfkitError

# A share of n images is a float; an exact "one point" must not fail on its last digit.
_ROUNDING = 1e-9
# A point of accuracy beyond the limit is as bad as 10 % of size or time beyond theirs.
_EXCESS_OF_ACCURACY = 10.0


class UnreachableBudgetError(TfkitError):
    """A budget that no file of this model can meet; raised before anything is trained."""


class Measured(Protocol):
    """What a budget looks at; `Candidate` is one."""

    @property
    def accuracy(self) -> float:
        """Share of the evaluation images that the file answers rightly."""

    @property
    def bytes(self) -> int:
        """Size of the file."""

    @property
    def latency_ms(self) -> float:
        """Median time of one image on one thread, in milliseconds."""

    @property
    def float_ops(self) -> int:
        """Operators of the file that compute in float."""


@fields_take_text
@dataclass(frozen=True, kw_only=True)
class Budget:
    """What the file that is searched for must keep to.

    Attributes:
        max_accuracy_drop: What it may lose against the float model on the evaluation split, a fraction (0.005 is
            half a point), in [0, 1).
        max_bytes: Its largest size, None for any.
        max_latency_ms: Its largest median latency on this host with one thread, None for any.
        integer_only: Whether every operator must compute in integers, as integer-only chips want it; no layer is
            then left in float.
        minimize: What is to be as small as possible within these limits: `bytes`, or `latency` on this host.

    Raises:
        ModelError: Tells every value that is out of range.

    Example:
        >>> Budget(max_accuracy_drop=0.005, max_bytes=100_000).limits
        ('at most 0.50 points less accuracy than the float model', 'at most 100,000 bytes')
    """

    max_accuracy_drop: float
    max_bytes: int | None = None
    max_latency_ms: float | None = None
    integer_only: bool = False
    minimize: Literal["bytes", "latency"] = "bytes"

    def __post_init__(self) -> None:
        faults = []
        if self.minimize not in ("bytes", "latency"):
            faults.append(f"minimize must be bytes or latency; got {self.minimize!r}")
        if not 0 <= self.max_accuracy_drop < 1:
            faults.append(
                f"max_accuracy_drop must be a fraction in [0, 1), 0.005 for half a point; got {self.max_accuracy_drop}"
            )
        if self.max_bytes is not None and self.max_bytes < 1:
            faults.append(f"max_bytes must be 1 or more; got {self.max_bytes}")
        if self.max_latency_ms is not None and self.max_latency_ms <= 0:
            faults.append(f"max_latency_ms must be more than 0; got {self.max_latency_ms}")
        if faults:
            raise ModelError("; ".join(faults))

    @property
    def limits(self) -> tuple[str, ...]:
        """Each limit in words.

        Example:
            >>> Budget(max_accuracy_drop=0.005, max_bytes=20_000).limits
            ('at most 0.50 points less accuracy than the float model', 'at most 20,000 bytes')
        """
        told = [f"at most {100 * self.max_accuracy_drop:.2f} points less accuracy than the float model"]
        if self.max_bytes is not None:
            told.append(f"at most {self.max_bytes:,} bytes")
        if self.max_latency_ms is not None:
            told.append(f"at most {self.max_latency_ms:g} ms an image")
        if self.integer_only:
            told.append("no float operator")
        return tuple(told)

    def target(self, *, size: float, milliseconds: float) -> float:
        """What is minimised: the bytes or the milliseconds of a file, given or predicted."""
        return size if self.minimize == "bytes" else milliseconds

    def misses(self, file: Measured, *, float_accuracy: float) -> tuple[str, ...]:
        """Say which limits a measured file breaks.

        Args:
            file: Its figures.
            float_accuracy: The float model's accuracy on the same images.

        Returns:
            One phrase for each; empty when the file meets the budget.
        """
        faults = []
        drop = float_accuracy - file.accuracy
        if drop > self.max_accuracy_drop + _ROUNDING:
            faults.append(
                f"accuracy is {100 * drop:.2f} points below the float model's; "
                f"{100 * self.max_accuracy_drop:.2f} are allowed"
            )
        if self.max_bytes is not None and file.bytes > self.max_bytes:
            faults.append(f"it has {file.bytes:,} bytes; {self.max_bytes:,} are allowed")
        if self.max_latency_ms is not None and file.latency_ms > self.max_latency_ms:
            faults.append(f"an image takes {file.latency_ms:.3g} ms; {self.max_latency_ms:g} are allowed")
        if self.integer_only and file.float_ops:
            faults.append(f"{file.float_ops} of its operators compute in float; none may")
        return tuple(faults)

    def excess(self, file: Measured, *, float_accuracy: float) -> float:
        """How far a measured file is from the budget, to tell which of several comes nearest.

        Args:
            file: Its figures.
            float_accuracy: The float model's accuracy on the same images.

        Returns:
            The shares by which size and latency are above their limits, added up; a point of accuracy too much
            lost counts as 10 %. 0 within the budget.
        """
        lost = float_accuracy - file.accuracy - self.max_accuracy_drop
        over = [lost * _EXCESS_OF_ACCURACY, 0.0 if self.max_bytes is None else file.bytes / self.max_bytes - 1]
        over.append(0.0 if self.max_latency_ms is None else file.latency_ms / self.max_latency_ms - 1)
        return sum(max(0.0, share) for share in over) + bool(self.integer_only and file.float_ops)

    def fits_size_and_speed(self, *, size: float, milliseconds: float, slack: tuple[float, float]) -> bool:
        """Whether a size and a latency, given or predicted, are within the limits.

        Args:
            size: Bytes.
            milliseconds: Median latency.
            slack: By what share each may be above its limit, for sizes and for times: both are then worth a try.

        Returns:
            True when neither is too large.
        """
        small = self.max_bytes is None or size <= self.max_bytes * (1 + slack[0])
        quick = self.max_latency_ms is None or milliseconds <= self.max_latency_ms * (1 + slack[1])
        return small and quick
