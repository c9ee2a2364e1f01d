"""How a search tells what it is doing: as stages, which the terminal's display has the form of."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


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
