"""`tfkit predict`: what a model says about pictures or texts."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfkit.artifacts import ResizeMode
from tfkit.cli.options import CustomObjects, ModelPath, PixelOptions, TaskOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfkit.explaining import Explanation, WordShare
    from tfkit.operations import FoundTexts, Prediction
    from tfkit.operations.values import Explained
    from tfkit.terminal import PlainConsole

_NOT_SURE = "not sure"
_TOP, _FEW = 5, 20  # labels of each input; of more inputs than a screen has room for, the table shows the best alone
_MOST_WORDS = 16  # a table of more is no answer: of longer texts the strongest are shown
_BAR = 12  # characters of the longest bar


def predict(
    path: ModelPath,
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Pictures or folders of pictures; for a model of texts, texts or .txt files of a text a line.",
            metavar="INPUTS...",
        ),
    ],
    *,
    labels: Annotated[Path | None, typer.Option(help="A file with one label a line.")] = None,
    custom_objects: CustomObjects = None,
    top: Annotated[
        int | None,
        typer.Option(min=1, help="Labels to show for each: 5, in a table of more than 20 the best."),
    ] = None,
    resize: Annotated[
        ResizeMode, typer.Option(help="How pictures are fitted, for a file that tfkit did not write.")
    ] = "crop",
    pixels: PixelOptions,
    task: TaskOption = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="Its folder, for a file of token ids outside of its run.", metavar="DIR")
    ] = None,
    sequence_length: Annotated[
        int | None, typer.Option(min=3, help="Tokens of a text, for a Keras file outside of its run.")
    ] = None,
    nearest: Annotated[
        bool, typer.Option("--nearest", help="Of sentence embeddings: the nearest indexed texts, --top of them.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Of texts: which words gave each its label, from the run's Keras model.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> int:
    """Classify pictures with any model, exported or not; or texts with one that tfkit made."""
    from tfkit.operations import FoundTexts, predict
    from tfkit.terminal import chatter_dropped

    said = pixels.scaling()
    with chatter_dropped():
        told = predict(
            path,
            inputs,
            labels=labels,
            top=top or _TOP,
            resize=resize,
            scaling=said,
            task=task,
            custom_objects=custom_objects,
            tokenizer=tokenizer,
            sequence_length=sequence_length,
            nearest=nearest,
            explain=explain,
            tell=lambda sentence: typer.echo(f"  {sentence}", err=True),
        )
    if as_json:
        _echo_document(told.document() if isinstance(told, FoundTexts) else told.document(top=top or _TOP))
    elif isinstance(told, FoundTexts):
        _show_found(told, nearest=nearest)
    else:
        _show_answers(told, top=top or (_TOP if len(told.inputs) <= _FEW else 1))
        _tell_numbered(told.class_names)
        if told.explained:
            _show_explained(told.explained)
    return 0


def _echo_document(document: dict[str, object]) -> None:
    """Print values as JSON; bytes of a name that are not UTF-8 come out as `\\udcff`."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    typer.echo(text.encode("utf-8", "backslashreplace").decode())


def _show_answers(told: "Prediction", *, top: int) -> None:
    """Print a table of the labels; those that are not given are dim."""
    from rich.text import Text

    from tfkit.terminal import PlainConsole, plain_table

    numbers = told.targets == "numbers"
    table = plain_table([told.kind, "number" if numbers else "label"], ["value" if numbers else "score"])
    for one, row, given in zip(told.inputs, told.best(top=top), told.given(), strict=True):
        for place, (label, score) in enumerate(row):
            style = "" if label in given else "dim"
            shown = f"{score:.5g}" if numbers else f"{score:.3f}"
            table.add_row(Text(one if place == 0 else ""), Text(label, style=style), Text(shown, style=style))
        table.add_section()
    console = PlainConsole()
    console.print(str(told.model), style="dim", soft_wrap=True)
    console.print(table)
    if told.targets == "labels":
        limits = "their own thresholds" if told.thresholds else "0.5"
        console.print(f"  several labels may be true at once: those that reach {limits} are given", style="dim")


def _tell_numbered(class_names: tuple[str, ...]) -> None:
    """Say how labels are named, where they are only numbers."""
    if class_names == tuple(map(str, range(len(class_names)))):
        typer.echo("  labels are numbers: --labels FILE names them, one a line", err=True)


def _show_found(told: "FoundTexts", *, nearest: bool) -> None:
    from rich.text import Text

    from tfkit.terminal import PlainConsole, plain_table

    table = plain_table(["text", "nearest" if nearest else "answer", "label"], ["cosine" if nearest else "confidence"])
    for one in told.answers:
        if nearest:
            rows = [(near.text, near.label, near.cosine) for near in one.nearest]
        else:
            rows = [(one.answer or _NOT_SURE, one.label, one.confidence)]
        for place, (found, label, figure) in enumerate(rows):
            style = "" if place == 0 and (nearest or one.answer) else "dim"
            asked = Text(one.text if place == 0 else "")
            table.add_row(asked, Text(found, style=style), Text(label, style=style), Text(f"{figure:.3f}", style=style))
        table.add_section()
    console = PlainConsole()
    console.print(str(told.model), style="dim", soft_wrap=True)
    console.print(table)


def _show_explained(told: "Explained") -> None:
    """Print the words of each text, and which model was asked."""
    from tfkit.terminal import PlainConsole

    console = PlainConsole()
    console.print(f"\nexplained with {told.model}", style="dim", soft_wrap=True)
    for note in told.notes:
        console.print(f"  {note}", style="dim", soft_wrap=True)
    for label, explanation in zip(told.labels, told.explanations, strict=True):
        _show_words(explanation, label=label, console=console)


def _show_words(explanation: "Explanation", *, label: str, console: "PlainConsole") -> None:
    """A table of words, each with a bar: to the right it spoke for the label, to the left against it."""
    from rich.text import Text

    from tfkit.terminal import plain_table

    words = _strongest(explanation.words)
    longest = max((abs(word.share) for word in words), default=0.0) or 1.0
    table = plain_table(["word"], ["share", "against"], ["for"])
    for word in words:
        bar = "█" * round(_BAR * abs(word.share) / longest)
        sides = ("", Text(bar, style="green")) if word.share >= 0 else (Text(bar, style="red"), "")
        table.add_row(Text(" ".join(word.word.split())), _percent(word.share), *sides)
    title = Text.assemble("\nwhy ", (label, "bold"), f": {' '.join(explanation.text.split())}\n")
    console.print(title, soft_wrap=True)
    if words:
        console.print(table)
    for line in _remarks(explanation, len(words)):
        console.print(Text(f"  {line}", style="dim"), soft_wrap=True)


def _strongest(words: "Sequence[WordShare]") -> "list[WordShare]":
    """The strongest words of a text, in its order."""
    chosen = sorted(words, key=lambda word: -abs(word.share))[:_MOST_WORDS]
    return sorted(chosen, key=lambda word: word.start)


def _remarks(explanation: "Explanation", shown: int) -> list[str]:
    told = []
    if (weaker := len(explanation.words) - shown) > 0:
        told.append(f"{weaker} weaker words are not shown")
    if explanation.read_characters < len(explanation.text):
        told.append("the model reads no further than the last of its words: the text was cut")
    told.append(
        f"without its words {explanation.blank_score:.1%}, with them {explanation.score:.1%}; the words add up to that "
        f"change but for {explanation.gap:.2%} of what they moved ({explanation.steps} steps of integrated gradients)"
    )
    return told


def _percent(share: float) -> str:
    rounded = round(100 * share)
    return f"{rounded:+d} %".replace("-", "−") if rounded else "0 %"
