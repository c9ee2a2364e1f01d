"""`tfkit export`: any Keras image classifier to a SavedModel and `.tflite` files."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from tfkit.artifacts import ResizeMode
from tfkit.errors import ConfigError, RunError


# As in a recipe's export.formats; tfkit.config is not imported here, because --help must come at once.
class Format(StrEnum):
    """What can be exported."""

    SAVED_MODEL = "saved_model"
    TFLITE_FLOAT32 = "tflite_float32"
    TFLITE_FLOAT16 = "tflite_float16"
    TFLITE_DYNAMIC_INT8 = "tflite_dynamic_int8"
    TFLITE_INT8 = "tflite_int8"


def export(
    model: Annotated[Path, typer.Argument(help="A .keras or .h5 file, or a run's folder.", metavar="MODEL")],
    output: Annotated[Path, typer.Option(help="The folder to make; it must be new or empty.", metavar="DIR")],
    formats: Annotated[
        list[Format] | None, typer.Option("--format", help="May be given more than once.", show_default="tflite_int8")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Training images for int8: class folders, .npz or CSV.", metavar="DATA")
    ] = None,
    calibration_examples: Annotated[int, typer.Option(min=1, help="How many of them to use.")] = 200,
    labels: Annotated[Path | None, typer.Option(help="A file with one label a line.", metavar="FILE")] = None,
    image_size: Annotated[int | None, typer.Option(min=1, help="For a model that takes any size.")] = None,
    resize: Annotated[ResizeMode, typer.Option(help="How an app shall fit pictures.")] = "crop",
) -> int:
    """Export any Keras classifier of raw pixels to files that ship."""
    from tfkit.cli.display import Display
    from tfkit.cli.quiet import tensorflow_started

    wanted = list(dict.fromkeys(formats or [Format.TFLITE_INT8]))
    if Format.TFLITE_INT8 in wanted and calibration is None:
        raise ConfigError("tflite_int8 needs --calibration DATA", hint="name the training images, or another --format")
    _make_empty(output)
    display = Display()
    display.header(f"{model} to {output}")
    with tensorflow_started():
        from tfkit.cli.targets import keras_image
        from tfkit.exporters import export_formats
        from tfkit.models import load_model_file
        from tfkit.reports.quantities import file_size

        with display.stage("Model") as stage:
            loaded = load_model_file(model)
            image = keras_image(loaded, model, resize=resize, image_size=image_size)
            stage.result(
                f"{loaded.count_params() / 1e6:.2f} M parameters, {image.height}x{image.width}x{image.channels}"
            )
        class_names, pixels = _labels_and_pixels(
            display, model, loaded, image, labels=labels, data=calibration, count=calibration_examples
        )
        with display.stage("Export") as stage:
            artifacts = export_formats(
                loaded,
                [str(name) for name in wanted],
                output,
                spec=image,
                class_names=class_names,
                calibration=pixels,
                progress=stage.progress,
            )
            for artifact in artifacts:
                stage.note(f"{artifact.path}  {file_size(artifact.bytes)}")
    display.next_command(f"tfkit verify {output} --data TEST_IMAGES --reference {model}")
    return 0


def _labels_and_pixels(
    display: Any, path: Path, model: Any, image: Any, *, labels: Path | None, data: Path | None, count: int
) -> tuple[tuple[str, ...], Any]:
    """Class names - of the file given, the run, the data's folders, else numbers - and calibration pixels."""
    from tfkit.cli.targets import read_labels, run_labels

    classes = int(model.output_shape[-1])
    names = read_labels(labels) if labels else run_labels(path)
    if names and len(names) != classes:
        raise ConfigError(f"there are {len(names)} labels; '{path}' gives {classes} scores", hint="see --labels")
    pixels = None
    if data is not None:
        from tfkit.data import calibration_pixels, load_image_examples

        with display.stage("Calibration images") as stage:
            examples = load_image_examples(data, channels=image.channels, prefer="train")
            pixels = calibration_pixels(examples, image, count=count)
            stage.result(f"{len(pixels)} of {len(examples)}")
        if not names and len(examples.class_names) == classes:
            names = examples.class_names
    if not names:
        display.note("labels are numbers: say --labels FILE to name them")
    return names or tuple(map(str, range(classes))), pixels


def _make_empty(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise RunError(f"'{folder}' is not empty and is never overwritten", hint="name a new folder")
    except OSError as fault:
        raise RunError(f"cannot make '{folder}': {fault.strerror}", hint="name another --output") from None
