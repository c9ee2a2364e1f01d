"""`tfkit export`: any Keras classifier of images or texts to a SavedModel and `.tflite` files."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfkit.artifacts import FORMAT_NAMES, PixelScaling, ResizeMode
from tfkit.cli.options import (
    CustomObjects,
    InputChannels,
    InputMean,
    InputRange,
    InputStd,
    TaskOption,
    pixel_scaling,
    runtime_version,
)
from tfkit.errors import ConfigError, RunError
from tfkit.opening.heads import Task

_INT8 = "tflite_int8"
if TYPE_CHECKING:  # the list of formats is a value; the command takes it for a type
    ExportFormat = str
else:
    ExportFormat = StrEnum("ExportFormat", {name.upper(): name for name in FORMAT_NAMES})


def export(
    model: Annotated[Path, typer.Argument(help="A .keras or .h5 file, or a run's folder.", metavar="MODEL")],
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
    labels: Annotated[Path | None, typer.Option(help="A file with one label a line.", metavar="FILE")] = None,
    image_size: Annotated[int | None, typer.Option(min=1, help="For a model that takes any size.")] = None,
    resize: Annotated[ResizeMode, typer.Option(help="How an app shall fit pictures.")] = "crop",
    input_range: InputRange = None,
    input_mean: InputMean = None,
    input_std: InputStd = None,
    input_channels: InputChannels = "rgb",
    task: TaskOption = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="Its folder, for a model of texts outside of its run.", metavar="DIR")
    ] = None,
    sequence_length: Annotated[
        int | None, typer.Option(min=3, help="Tokens of a text, for a model outside of its run.")
    ] = None,
    min_runtime: Annotated[
        str | None,
        typer.Option(
            help="Refuse formats that this TensorFlow Lite runtime cannot read.",
            metavar="2.14",
            callback=runtime_version,
        ),
    ] = None,
    segment_ids: Annotated[
        bool, typer.Option("--segment-ids", help="Of texts: add the input that MediaPipe's text tasks ask for.")
    ] = False,
    text_column: Annotated[str | None, typer.Option(help="Of texts: its name or number; as the run's data.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Of texts: its name or number; as the run's data.")] = None,
    header: Annotated[bool | None, typer.Option(help="Of texts: whether the first line names the columns.")] = None,
) -> int:
    """Export any Keras classifier of images, or of token ids, to files that ship.

    The files of images take raw pixels, whatever the model took: its scaling is put inside.
    """
    from tfkit.terminal.display import Display
    from tfkit.terminal.quiet import tensorflow_started

    wanted = list(dict.fromkeys(map(str, formats or [_INT8])))
    if _INT8 in wanted and calibration is None:
        raise ConfigError("tflite_int8 needs --calibration DATA", hint="name the training data, or another --format")
    said = pixel_scaling(input_range, input_mean, input_std, input_channels)
    _make_empty(output)
    display = Display()
    display.header(f"{model} to {output}")
    with tensorflow_started():
        from tfkit.cli.text_export import export_texts
        from tfkit.exporters.metadata import beyond_mediapipe
        from tfkit.models import register_custom_objects
        from tfkit.opening.texts import keras_takes_texts
        from tfkit.reports.quantities import file_size

        register_custom_objects(custom_objects)
        names = [str(name) for name in wanted]
        of_texts = keras_takes_texts(model, tokenizer=tokenizer)
        given: dict[str, Any] = {"labels": labels, "calibration": calibration, "count": calibration_examples}
        given["min_runtime"] = min_runtime
        if of_texts:
            table = {"text_column": text_column, "label_column": label_column, "header": header}
            given |= {"tokenizer": tokenizer, "sequence_length": sequence_length, "table": table, "task": task}
            given["segment_ids"] = segment_ids
            artifacts = export_texts(display, model, output, names, **given)
        else:
            given |= {"resize": resize, "image_size": image_size, "said": said, "task": task}
            given["allow_float"] = tuple(allow_float or ())
            artifacts = _export_images(display, model, output, names, **given)
        for artifact in artifacts:
            display.note(f"{artifact.path}  {file_size(artifact.bytes)}")
            if "in float, as allowed" in artifact.made_by:
                display.note(artifact.made_by.partition("; ")[2])
        files = [artifact for artifact in artifacts if artifact.format == "tflite"]
        if files and (refused := beyond_mediapipe(files[0].input)):
            display.note(refused)
    words = f"tfkit verify {output} --data {'TEST_TEXTS' if of_texts else 'TEST_IMAGES'} --reference {model}"
    display.next_command(f"{words} {said.option}" if said else words)
    return 0


def _export_images(
    display: Any,
    path: Path,
    output: Path,
    formats: list[str],
    *,
    labels: Path | None,
    calibration: Path | None,
    count: int,
    resize: ResizeMode,
    image_size: int | None,
    allow_float: tuple[str, ...],
    said: PixelScaling | None,
    task: Task | None,
    min_runtime: str | None,
) -> tuple[Any, ...]:
    from tfkit.data import calibration_pixels
    from tfkit.exporters import export_formats
    from tfkit.exporters.oldest_runtime import refuse_newer_formats
    from tfkit.graph import read_head
    from tfkit.models import load_model_file
    from tfkit.opening.heads import judge_head
    from tfkit.opening.inputs import given_pixels, on_raw_pixels_of, try_on
    from tfkit.opening.targets import keras_image

    with display.stage("Model") as stage:
        loaded = load_model_file(path)
        image = keras_image(loaded, path, resize=resize, image_size=image_size)
        classes = max(2, read_head(loaded).units)
        stage.result(f"{loaded.count_params() / 1e6:.2f} M parameters, {image.height}x{image.width}x{image.channels}")
    names = _known_names(path, classes, labels)
    examples = _examples(display, calibration, image)
    known = bool(names)
    if not known and examples is not None and len(examples.class_names) == classes:
        names = examples.class_names
    scored, scores, head_note = judge_head(loaded, path, task, named=len(names) or None)
    given = given_pixels(scored, said)
    for note in (head_note, given.note if examples is None or given.said else ""):
        if note:
            display.note(note)
    if examples is not None and scores == "classification" and names and set(examples.class_names) <= set(names):
        try_on(display, scored, examples.in_classes(names), image, given, known=known)
    if not names:
        display.note("labels are numbers: say --labels FILE to name them")
    raw = on_raw_pixels_of(scored, image, given, path)
    if min_runtime is not None:
        refuse_newer_formats(raw, formats, spec=image, oldest=min_runtime)
    with display.stage("Export") as stage:
        described: dict[str, Any] = {"spec": image, "class_names": names or tuple(map(str, range(classes)))}
        described["calibration"] = None if examples is None else calibration_pixels(examples, image, count=count)
        described["allow_float"] = allow_float
        return export_formats(raw, formats, output, task=scores, progress=stage.progress, **described)


def _known_names(path: Path, classes: int, labels: Path | None) -> tuple[str, ...]:
    """The class names of the file given, or of the run; none where nobody says them."""
    from tfkit.opening.targets import read_labels, run_labels

    names = read_labels(labels) if labels else run_labels(path)
    if names and len(names) != classes:
        raise ConfigError(f"there are {len(names)} labels; '{path}' gives {classes} scores", hint="see --labels")
    return names


def _examples(display: Any, data: Path | None, image: Any) -> Any:
    from tfkit.data import load_image_examples

    if data is None:
        return None
    with display.stage("Calibration images") as stage:
        examples = load_image_examples(data, channels=image.channels, prefer="train")
        stage.result(str(len(examples)))
    return examples


def _make_empty(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise RunError(f"'{folder}' is not empty and is never overwritten", hint="name a new folder")
    except OSError as fault:
        raise RunError(f"cannot make '{folder}': {fault.strerror}", hint="name another --output") from None
