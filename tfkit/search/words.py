"""How a search shows its progress and words its quantities."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from tfkit.search.result import Candidate, SearchResult, TestJudgement


class Stage(Protocol):
    """One stage while it runs."""

    def progress(self, done: int, total: int, text: str = "") -> None:
        """Tell how far it is."""

    def result(self, text: str) -> None:
        """Tell in a few words what came out."""

    def note(self, text: str) -> None:
        """Tell more."""


# title -> the stage, open while the block runs
Stages = Callable[[str], AbstractContextManager[Stage]]


class _SilentStage:
    def progress(self, done: int, total: int, text: str = "") -> None:
        return None

    def result(self, text: str) -> None:
        return None

    def note(self, text: str) -> None:
        return None


@contextmanager
def silent(title: str) -> Iterator[Stage]:
    """Stages that tell nobody.

    Args:
        title: What is done.

    Yields:
        A stage.
    """
    yield _SilentStage()


def latency(milliseconds: float) -> str:
    """A latency with three significant digits: files of small models differ by hundredths of a millisecond.

    Example:
        >>> latency(0.0449)
        '0.0449 ms'
    """
    return f"{milliseconds:.3g} ms" if milliseconds < 100 else f"{milliseconds:.0f} ms"


def points(share: float) -> str:
    """A difference of two shares in points, with its sign and two decimals.

    Example:
        >>> points(-0.0015)
        '−0.15'
    """
    return f"{100 * share + 0.0:+.2f}".replace("-0.00", "+0.00").replace("-", "−")


def times(before: float, now: float) -> str:
    """How many times smaller or quicker something has become.

    Example:
        >>> times(320_000, 97_000)
        '3.3x'
    """
    return f"{before / now:.1f}x" if now else "–"


def headline(result: SearchResult) -> str:
    """How a search ended, in one line."""
    if result.accepted is not None:
        return f"Within the budget: {result.accepted.title}"
    if result.chosen is not None:
        return f"The chosen file loses too much on the test images: {result.chosen.title}"
    if result.nearest is None:
        return "No file could be made"
    return f"No file is within the budget; the nearest is {result.nearest.title}"


def described(candidate: Candidate, result: SearchResult) -> str:
    """A candidate's figures beside the float model's, in a sentence; with a second on the test images."""
    reference = result.reference
    gained = points(candidate.accuracy - reference.accuracy)
    said = (
        f"{candidate.title} answers {100 * candidate.accuracy:.2f} % of {result.chosen_on} rightly "
        f"({gained} points against the float model), has {candidate.bytes:,} bytes "
        f"({times(reference.bytes, candidate.bytes)} smaller than the float32 file) and takes "
        f"{latency(candidate.latency_ms)} an image ({times(reference.latency_ms, candidate.latency_ms)} as quick)."
    )
    if result.test is not None and candidate is result.chosen:
        said += f" {tested(result.test)}"
    return said


def tested(test: TestJudgement) -> str:
    """What the chosen file does on test images, in a sentence."""
    low, high = points(-test.drop_high), points(-test.drop_low)
    looks = "" if test.looks == 1 else f" This search has run {test.looks} files on them, so they have chosen a little."
    return (
        f"On {test.examples:,} test images, which chose nothing, it answers {100 * test.accuracy:.2f} % rightly, the "
        f"float model {100 * test.float_accuracy:.2f} %: {points(-test.drop)} points "
        f"(95 % interval {low} to {high}).{looks}"
    )
