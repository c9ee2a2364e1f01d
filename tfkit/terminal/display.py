"""What a running recipe shows: stages with a bar and the time left on a terminal, one line a stage in a log."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.text import Text

from tfkit.errors import printable
from tfkit.terminal.interruption import stop_if_interrupted

_TITLE_WIDTH = 32


class PlainConsole(Console):
    """A console that shows names out of data as they are: no markup, no emoji codes, no escape sequences of theirs.

    Args:
        stderr: Write to standard error rather than to standard output.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Rich's own, of a text made printable before its width is measured."""
        return super().render_str(printable(text, lines=True), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Rich's own rendering, its texts made printable; styles are no part of them."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(printable(segment.text, lines=True), segment.style)


class StageDisplay:
    """One stage while it runs, made by `Display.stage`; its `seconds` are known once it is done."""

    def __init__(self, title: str, bar: Progress | None, task: TaskID | None) -> None:
        self.title = title
        self.seconds = 0.0
        self._bar = bar
        self._task = task
        self.outcome = ""
        self.notes: list[str] = []

    def progress(self, done: int, total: int, text: str = "") -> None:
        """Move the bar; a plain callable for training, export and verification.

        Args:
            done: Steps, images or files done so far.
            total: How many there are.
            text: What they are or how it goes, such as `epoch 3/20, val accuracy 95.4 %`.
        """
        stop_if_interrupted()
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total, count=f"{done}/{total}", text=text)

    def result(self, text: str) -> None:
        """Say in a few words what came out; it stands on the stage's line once the stage is done."""
        self.outcome = text

    def note(self, text: str) -> None:
        """Say something that is shown below the stage's line."""
        self.notes.append(text)


class Display:
    """The terminal, or the log, of one command.

    Args:
        console: Where to write; standard output when None.

    Example:
        >>> display = Display()
        >>> with display.stage("Head on cached features") as stage:
        ...     stage.progress(1, 20, "epoch 1/20")
        ...     stage.result("val accuracy 95.4 %")
          ✓ Head on cached features ... s   val accuracy 95.4 %
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or PlainConsole()

    def header(self, text: str) -> None:
        """Open a command's output with one bold line."""
        self._line(Text(text, style="bold"))
        self._line(Text())

    @contextmanager
    def stage(self, title: str) -> Iterator[StageDisplay]:
        """Show a stage while the block runs, and its seconds when it is done.

        Args:
            title: What is done, in a few words.

        Yields:
            The stage, to report progress and outcome to.
        """
        started = time.monotonic()
        bar = self._bar() if self.console.is_terminal else None
        stage = StageDisplay(title, bar, bar.add_task(title, total=None, count="", text="") if bar else None)
        mark, style = "✗", "red"
        try:
            if bar is None:
                yield stage
            else:
                with bar:
                    yield stage
            stop_if_interrupted()
            mark, style = "✓", "green"
        finally:
            stage.seconds = time.monotonic() - started
            self._stage_line(mark, style, stage)

    def note(self, text: str) -> None:
        """Say something on lines of its own, broken between words on a terminal."""
        if self.console.is_terminal:
            self.console.print(Padding(Text(text), (0, 0, 0, 2), expand=False))
        else:
            self._line(Text(f"  {text}"))

    def notes(self, texts: Iterable[str]) -> None:
        """Say several things, each on lines of its own."""
        for text in texts:
            self.note(text)

    def table(self, renderable: RenderableType) -> None:
        """Show a table, or anything else that rich can draw."""
        self._line(Text())
        self.console.print(Padding(renderable, (0, 0, 0, 2), expand=False))

    def next_steps(self, report: Path, *commands: str) -> None:
        """Close with where the report is and what to type next, the likeliest first."""
        self._line(Text())
        self._line(Text.assemble(("  Report  ", "bold"), str(report)))
        for command in commands:
            self.next_command(command)

    def next_command(self, command: str) -> None:
        """Say what to type next."""
        self._line(Text.assemble(("  Next    ", "bold"), (command, "cyan")))

    def _line(self, text: Text) -> None:
        # Soft wrapping leaves long paths and commands whole, so that they can be copied.
        self.console.print(text, soft_wrap=True)

    def _stage_line(self, mark: str, style: str, stage: StageDisplay) -> None:
        if self.console.options.ascii_only:
            mark = {"✓": "ok", "✗": "failed"}[mark]
        line = Text.assemble(
            "  ", (mark, style), f" {stage.title:<{_TITLE_WIDTH}} ", (f"{_clock(stage.seconds):>9}", "dim")
        )
        if stage.outcome and self.console.is_terminal and line.cell_len + len(stage.outcome) + 3 > self.console.width:
            self._line(line)
            self.console.print(Padding(Text(stage.outcome), (0, 0, 0, 6), expand=False))
        else:
            self._line(line.append(f"   {stage.outcome}") if stage.outcome else line)
        for note in stage.notes:
            self._line(Text(f"      {note}", style="dim"))

    def _bar(self) -> Progress:
        return Progress(
            TextColumn(" "),
            SpinnerColumn(),
            TextColumn(f"{{task.description:<{_TITLE_WIDTH}}}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[count]}", markup=False),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[text]}", style="dim", markup=False),
            console=self.console,
            transient=True,
            refresh_per_second=5,
        )


def _clock(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
