"""`tfkit export`: any Keras classifier of images or texts to a SavedModel and `.tflite` files."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfkit.artifacts import FORMAT_NAMES, INTEGER_NAMES, ResizeMode
from tfkit.cli.options import (
    Column,
    CustomObjects,
    Header,
    ImageSize,
    KerasModel,
    Labels,
    PixelOptions,
    TaskOption,
    min_runtime_option,
)
from tfkit.errors import ConfigError

_INT8 = "tflite_int8"
if TYPE_CHECKING:
    from tfkit.artifacts import Artifact
    from tfkit.terminal import Display

    # the list of formats is a value; the command takes it for a type
    ExportFormat = str
else:
    ExportFormat = StrEnum("ExportFormat", {name.upper(): name for name in FORMAT_NAMES})


def export(
    model: KerasModel,
    *,
    output: Annotated[Path, typer.Option(help="The folder to make; it must be new or empty.", metavar="DIR")],
    formats: Annotated[
        list[ExportFormat] | None, typer.Option("--format", help="May be given more than once.", show_default=_INT8)
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(help="For int8: training images (class folders, .npz, CSV) or labelled texts.", metavar="DATA"),
    ] = None,
    calibration_examples: Annotated[int, typer.Option(min=1, help="How many of them to use.")] = 200,
    allow_float: Annotated[
        list[str] | None,
        typer.Option(help="An operator or layer that may stay in float in tflite_int8; repeatable.", metavar="NAME"),
    ] = None,
    custom_objects: CustomObjects = None,
    labels: Labels = None,
    image_size: ImageSize = None,
    resize: Annotated[ResizeMode, typer.Option(help="How an app shall fit pictures.")] = "crop",
    pixels: PixelOptions,
    task: TaskOption = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="Its folder, for a model of texts outside of its run.", metavar="DIR")
    ] = None,
    sequence_length: Annotated[
        int | None, typer.Option(min=3, help="Tokens of a text, for a model outside of its run.")
    ] = None,
    min_runtime: Annotated[str | None, min_runtime_option("formats")] = None,
    segment_ids: Annotated[
        bool, typer.Option("--segment-ids", help="Of texts: add the input that MediaPipe's text tasks ask for.")
    ] = False,
    text_column: Column = None,
    label_column: Column = None,
    header: Header = None,
) -> int:
    """Export any Keras classifier of images, or of token ids, to files that ship.

    The files of images take raw pixels, whatever the model took: its scaling is put inside.
    """
    from tfkit.operations import TextTable, export, make_empty
    from tfkit.terminal import Display, tensorflow_started

    wanted = list(dict.fromkeys(map(str, formats or [_INT8])))
    if calibration is None and (integers := [name for name in wanted if name in INTEGER_NAMES]):
        raise ConfigError(
            f"{' and '.join(integers)} needs --calibration DATA", hint="name the training data, or another --format"
        )
    said = pixels.scaling()
    make_empty(output)
    display = Display()
    display.header(f"{model} to {output}")
    with tensorflow_started():
        artifacts = export(
            model, output, formats=wanted, calibration=calibration, calibration_examples=calibration_examples,
            allow_float=allow_float or (), custom_objects=custom_objects, labels=labels, image_size=image_size,
            resize=resize, scaling=said, task=task, tokenizer=tokenizer, sequence_length=sequence_length,
            segment_ids=segment_ids, table=TextTable(text_column, label_column, header), min_runtime=min_runtime,
            display=display,
        )  # fmt: skip
        test = _show(display, artifacts)
    words = f"tfkit verify {output} --data {test} --reference {model}"
    display.next_command(f"{words} {said.option}" if said else words)
    return 0


def _show(display: "Display", artifacts: "tuple[Artifact, ...]") -> str:
    """Show the files; returns what stands for data that they are verified on."""
    from tfkit.exporters.metadata import beyond_mediapipe
    from tfkit.inputs import input_of
    from tfkit.reports.quantities import file_size

    for artifact in artifacts:
        display.note(f"{artifact.path}  {file_size(artifact.bytes)}")
        if "in float, as allowed" in artifact.made_by:
            display.note(artifact.made_by.partition("; ")[2])
    files = [artifact for artifact in artifacts if artifact.format == "tflite"]
    if files and (refused := beyond_mediapipe(files[0].input)):
        display.note(refused)
    return f"TEST_{input_of(artifacts[0].input).noun.upper()}S"
