"""Every command with its arguments and options, from the command line itself."""

from collections.abc import Iterator
from typing import Any

import typer

from tfkit.cli.main import app

_HEAD = """# Commands

Written from the command line itself; `tfkit COMMAND --help` shows the same. The exit status is 0, 1 (error), 2 (wrong
usage) or 3 (a file was refused, or none met a budget); 130 after Ctrl-C.
"""


def command_page() -> str:
    """The text of the page."""
    return "\n\n".join([_HEAD, *_described(typer.main.get_command(app), "tfkit")]) + "\n"


def _described(command: Any, name: str) -> Iterator[str]:
    if hasattr(command, "list_commands"):
        context = command.make_context(name, [], resilient_parsing=True)
        for word in command.list_commands(context):
            yield from _described(command.get_command(context, word), f"{name} {word}")
        return
    yield f"## {name}"
    yield (command.help or "").strip()
    context = command.make_context(name, [], resilient_parsing=True)
    records = [record for parameter in command.params if (record := parameter.get_help_record(context))]
    rows = [_row(*record) for record in records if record[0] != "--help"]
    yield "\n".join(["| argument | what it is |", "| --- | --- |", *rows])


def _row(name: str, text: str) -> str:
    word, _, kind = name.partition(" <")
    kind = kind.removesuffix(">").removeprefix("list[").removesuffix("]").removesuffix(" range")
    choices = kind.split("|") if word.startswith("-") and kind else []
    if len(choices) == 1:
        word += f" {kind.upper()}"
    elif choices:
        text = f"{', '.join(f'`{choice}`' for choice in choices)}. {text}"
    cells = [f"`{word}`", " ".join(text.split())]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
