"""`tfkit predict`: what a model says about pictures, texts or users."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfkit.artifacts import ResizeMode
from tfkit.cli.documents import print_document
from tfkit.cli.options import CustomObjects, ModelPath, PixelOptions, TaskOption
from tfkit.explaining.methods import HeatMapMethod

if TYPE_CHECKING:
    from rich.table import Table

    from tfkit.operations import Explained, Prediction

_TOP, _FEW = 5, 20  # labels of each input; of more inputs than a screen has room for, the table shows the best alone


def predict(
    path: ModelPath,
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Pictures or folders; texts or questions, or .txt files of them; of users what they took: 'tea; jam'.",
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
        bool, typer.Option("--explain", help="Which words, parts of a picture or items of a user spoke for it.")
    ] = False,
    explain_by: Annotated[
        HeatMapMethod | None, typer.Option(help="The same for pictures; shap and lime need tfkit[explain].")
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(help="Of a segmenter: a folder to write a mask PNG to for each picture.", metavar="FOLDER"),
    ] = None,
    heat_maps: Annotated[
        Path | None,
        typer.Option(help="Of pictures: where --explain writes them.", show_default="heat_maps", metavar="FOLDER"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> int:
    """Ask any model about pictures; or one that tfkit made about texts, users or questions."""
    from tfkit.errors import ModelError
    from tfkit.operations import FoundTexts, Replies, found_table, predict, prediction_table, reply_table
    from tfkit.terminal import chatter_dropped

    said = pixels.scaling()
    with chatter_dropped():
        told = predict(
            path, inputs, labels=labels, top=top or _TOP, resize=resize, scaling=said, task=task,
            custom_objects=custom_objects, tokenizer=tokenizer, sequence_length=sequence_length, nearest=nearest,
            explain=explain_by or explain or heat_maps is not None,
            tell=lambda sentence: typer.echo(f"  {sentence}", err=True),
        )  # fmt: skip
    if not isinstance(told, FoundTexts | Replies):
        told = _with_files(told, masks, heat_maps)
    elif masks is not None:
        raise ModelError(f"'{path}' answers with texts; got --masks", hint="leave it out")
    if as_json:
        print_document(told.document() if isinstance(told, FoundTexts | Replies) else told.document(top=top or _TOP))
    elif isinstance(told, Replies):
        _show(told.model, reply_table(told))
    elif isinstance(told, FoundTexts):
        _show(told.model, found_table(told, nearest=nearest))
    else:
        _show(told.model, prediction_table(told, top=top or (_TOP if len(told.inputs) <= _FEW else 1)))
        _tell_figures(told, masks)
        _tell_numbered(told.class_names)
        if told.explained:
            _show_explained(told.explained)
        _tell_heat_maps(told)
    return 0


def _with_files(told: "Prediction", masks: Path | None, heat_maps: Path | None) -> "Prediction":
    """Write the masks and heat maps that were asked for."""
    from tfkit.operations import write_heat_maps, write_masks

    told = told if masks is None else write_masks(told, masks)
    if told.heated or heat_maps is not None:
        told = write_heat_maps(told, heat_maps or Path("heat_maps"))
    return told


def _tell_heat_maps(told: "Prediction") -> None:
    """Say where each heat map is, and how the model's own score follows it."""
    for one in told.heated:
        low, high = one.told.random_insertion
        typer.echo(f"  {one.file}: insertion {one.told.insertion:.2f}, random {low:.2f} to {high:.2f}")


def _tell_figures(told: "Prediction", masks: Path | None) -> None:
    """Say how the figures of several labels, or of masks, are to be read."""
    from tfkit.tasks import Decision
    from tfkit.terminal import PlainConsole

    sentence = told.asked.noted(Decision(told.thresholds))
    if told.masks:
        _, height, width, _ = told.scores.shape
        sentence += f"; masks of {width} x {height} pixels: {masks}"
    if sentence:
        PlainConsole().print(f"  {sentence}", style="dim", soft_wrap=bool(told.masks))


def _tell_numbered(class_names: tuple[str, ...]) -> None:
    """Say how labels are named, where they are only numbers."""
    if class_names == tuple(map(str, range(len(class_names)))):
        typer.echo("  labels are numbers: --labels FILE names them, one a line", err=True)


def _show(model: Path, table: "Table") -> None:
    from tfkit.terminal import PlainConsole

    console = PlainConsole()
    console.print(str(model), style="dim", soft_wrap=True)
    console.print(table)


def _show_explained(told: "Explained") -> None:
    """Print the words of each text, and which model was asked."""
    from rich.text import Text

    from tfkit.operations import word_notes, word_table
    from tfkit.terminal import PlainConsole

    console = PlainConsole()
    console.print(f"\nexplained with {told.model}", style="dim", soft_wrap=True)
    for note in told.notes:
        console.print(f"  {note}", style="dim", soft_wrap=True)
    for label, explanation in zip(told.labels, told.explanations, strict=True):
        title = Text.assemble("\nwhy ", (label, "bold"), f": {' '.join(explanation.text.split())}\n")
        console.print(title, soft_wrap=True)
        if (table := word_table(explanation)) is not None:
            console.print(table)
        for line in word_notes(explanation):
            console.print(Text(f"  {line}", style="dim"), soft_wrap=True)
