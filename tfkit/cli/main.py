"""The `tfkit` command: its sub-commands, its exit codes and how it tells errors."""

import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from tfkit.cli import (
    benchmark,
    doctor,
    drift,
    export,
    label_queue,
    lineage,
    monitor,
    optimize,
    package,
    predict,
    recipes,
    redact,
    run,
    tune,
    tune_file,
    verify,
)
from tfkit.cli.options import laid_open
from tfkit.errors import TfkitError, printable
from tfkit.terminal.interruption import (
    OUT_OF_MEMORY_HINT,
    InterruptedRunError,
    ctrl_c_remembered,
    interrupted_status,
    is_disk_full,
    is_out_of_memory,
    was_interrupted,
)
from tfkit.version import __version__

USAGE_ERROR = 2
INTERRUPTED = 130
DEBUG_VARIABLE = "TFKIT_DEBUG"

_HOW: Any = {
    "add_completion": False,
    "rich_markup_mode": "rich",
    "context_settings": {"help_option_names": ["-h", "--help"]},
}
app = typer.Typer(
    name="tfkit", help="Fine-tune a pretrained Keras model, export it, and prove every exported file.", **_HOW
)
app.add_typer(recipes.app, name="recipes")
app.add_typer(package.app, name="package")
_COMMANDS: tuple[Callable[..., int], ...] = (
    run.run,
    run.check,
    export.export,
    optimize.optimize,
    tune.tune,
    tune_file.tune_file,
    verify.verify,
    benchmark.benchmark,
    predict.predict,
    drift.drift,
    monitor.monitor,
    label_queue.label_queue,
    redact.redact,
    lineage.lineage,
    lineage.push,
    lineage.sign,
    doctor.doctor,
)
for _command in _COMMANDS:
    app.command()(laid_open(_command))


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tfkit {__version__}")
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Fine-tune a pretrained Keras model, export it, and prove every exported file."""


def main(arguments: Sequence[str] | None = None, *, command: Callable[..., int] | None = None) -> int:
    """Run one `tfkit` command.

    Args:
        arguments: The words after `tfkit`; those of this process when None.
        command: What a script does, with typer's annotations; its words are its own. None for `tfkit`.

    Returns:
        The exit status: 0, 1 (error), 2 (wrong usage), 3 (an exported file was refused, none met a budget, or
        inputs drifted), or 130 (Ctrl-C), 143 (SIGTERM), 129 (SIGHUP).

    Example:
        >>> main(["--version"])
        tfkit 0.1.0
        0
    """
    program, name, words = app, "tfkit", list(sys.argv[1:] if arguments is None else arguments)
    if command is not None:
        program, name = typer.Typer(**_HOW), os.path.relpath(sys.argv[0])
        program.command()(laid_open(command))
    with ctrl_c_remembered():
        status = _run(program, name, words or ["--help"])
        return interrupted_status() if status == INTERRUPTED else status


def _run(program: typer.Typer, name: str, words: list[str]) -> int:
    try:
        status = typer.main.get_command(program).main(args=words, prog_name=name, standalone_mode=False)
    except InterruptedRunError as fault:
        return _tell(str(fault), fault.hint, INTERRUPTED, kept=_kept(fault))
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    except TfkitError as fault:
        if not was_interrupted():
            return _tell(str(fault), fault.hint, kept=_kept(fault))
        status = INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`tfkit recipes show digits | head`); the interpreter must not flush into it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as fault:
        if hasattr(fault, "format_message"):  # typer's usage errors, whose class differs between its versions
            return _usage_error(fault.format_message(), getattr(fault, "ctx", None))
        if os.environ.get(DEBUG_VARIABLE):
            raise
        if was_interrupted():
            return _tell("interrupted", "", INTERRUPTED, kept=_kept(fault))
        if is_disk_full(fault):
            return _tell("the disk is full", "make room, or write to another disk")
        if is_out_of_memory(fault):
            return _tell("out of memory", OUT_OF_MEMORY_HINT, kept=_kept(fault))
        if isinstance(fault, OSError) and fault.filename is not None and fault.strerror:
            return _tell(f"'{os.fsdecode(fault.filename)}': {fault.strerror}", "", kept=_kept(fault))
        first_line = (str(fault).strip().splitlines() or [""])[0][:300]
        hint = f"{DEBUG_VARIABLE}=1 in front of the command shows the traceback; please report it"
        return _tell(f"unexpected {type(fault).__name__}: {first_line}", hint, kept=_kept(fault))
    return _tell("interrupted", "", INTERRUPTED) if status == INTERRUPTED else int(status or 0)


def _usage_error(message: str, context: typer.Context | None) -> int:
    command = context.command_path if context else "tfkit"
    # Without a word after it, `tfkit recipes` shows its help and says nothing more.
    return _tell(message, f"{command} --help", USAGE_ERROR) if message else USAGE_ERROR


def _kept(fault: BaseException) -> str:
    return "\n".join(getattr(fault, "__notes__", ()))


def _tell(message: str, hint: str, status: int = 1, *, kept: str = "") -> int:
    for label, colour, text in (("error", "red", message), ("kept", "green", kept), ("hint", "cyan", hint)):
        if text:
            told = _wrapped(f"{label}: {printable(text, lines=True)}").removeprefix(f"{label}: ")
            typer.echo(typer.style(f"{label}: ", fg=colour, bold=True) + told, err=True)
    return status


def _wrapped(text: str) -> str:
    """Lines broken between words on a terminal; as they are in a log, where programs look for them."""
    if not sys.stderr.isatty():
        return text
    width = shutil.get_terminal_size().columns - 1
    wrapped = []
    for line in text.splitlines():
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        wrapped += textwrap.wrap(
            line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        ) or [""]
    return "\n".join(wrapped)


if __name__ == "__main__":
    sys.exit(main())
