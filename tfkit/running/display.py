"""Where a running recipe shows how far it is; on the command line `tfkit.terminal.display.Display`, else nowhere."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol


class Stage(Protocol):
    """One stage while it runs.

    Attributes:
        title: What is done, in a few words.
        seconds: How long it took; known once it is done.
    """

    title: str
    seconds: float

    def progress(self, done: int, total: int, text: str = "") -> None:
        """Say how many of its steps, images or files are done, and how it goes."""

    def result(self, text: str) -> None:
        """Say in a few words what came out."""

    def note(self, text: str) -> None:
        """Say something worth knowing about it."""


class Display(Protocol):
    """What a recipe tells while it runs."""

    def header(self, text: str) -> None:
        """Open with what runs."""

    def stage(self, title: str) -> AbstractContextManager[Stage]:
        """Show a stage while the block runs."""
        ...

    def note(self, text: str) -> None:
        """Say something on a line of its own."""

    def table(self, renderable: Any) -> None:
        """Show a table that rich can draw."""

    def next_steps(self, report: Path, *commands: str) -> None:
        """Close with where the report is and what to type next."""


class _SilentStage:
    def __init__(self, title: str) -> None:
        self.title = title
        self.seconds = 0.0

    def progress(self, done: int, total: int, text: str = "") -> None: ...

    def result(self, text: str) -> None: ...

    def note(self, text: str) -> None: ...


class SilentDisplay:
    """Shows nothing: for a recipe that runs inside of another program.

    Example:
        >>> with SilentDisplay().stage("Train the head") as stage:
        ...     stage.result("accuracy 95 %")
        >>> stage.title
        'Train the head'
    """

    def header(self, text: str) -> None:
        """Show nothing."""

    @contextmanager
    def stage(self, title: str) -> Iterator[Stage]:
        """Take a stage's time."""
        stage, started = _SilentStage(title), time.monotonic()
        try:
            yield stage
        finally:
            stage.seconds = time.monotonic() - started

    def note(self, text: str) -> None:
        """Show nothing."""

    def table(self, renderable: Any) -> None:
        """Show nothing."""

    def next_steps(self, report: Path, *commands: str) -> None:
        """Show nothing."""
