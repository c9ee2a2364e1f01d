"""Any Keras classifier of images or texts to a SavedModel and `.tflite` files: `tfkit.export`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tfkit.artifacts import (
    INTEGER_NAMES,
    Artifact,
    ImageSpec,
    Lineage,
    PixelScaling,
    ResizeMode,
    RunDirectory,
    TaskName,
    TextSpec,
    parent_of,
)
from tfkit.benchmarking import describe_host
from tfkit.errors import ConfigError, RunError
from tfkit.opening import (
    given_pixels,
    judge_head,
    keras_image,
    keras_takes_texts,
    on_raw_pixels_of,
    read_labelled,
    read_labels,
    try_on,
)
from tfkit.operations.values import PathLike, TextTable, as_path
from tfkit.running import Display, SilentDisplay
from tfkit.terminal import import_tensorflow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tfkit.data import ImageExamples
    from tfkit.data.text import TextExamples, Tokenizer

_INT8 = "tflite_int8"
_NUMBERED = "labels are numbers: say --labels FILE to name them"


@dataclass(frozen=True)
class _Wanted:
    """What is exported, and how; the arguments of `export` by their names."""

    path: Path
    output: Path
    formats: tuple[str, ...]
    labels: Path | None
    calibration: Path | None
    count: int
    resize: ResizeMode
    image_size: int | None
    said: PixelScaling | None
    task: TaskName | None
    allow_float: tuple[str, ...]
    tokenizer: Path | None
    sequence_length: int | None
    segment_ids: bool
    table: TextTable
    min_runtime: str | None
    display: Display


def export(
    model: PathLike,
    output: PathLike,
    *,
    formats: Sequence[str] = (_INT8,),
    calibration: PathLike | None = None,
    calibration_examples: int = 200,
    allow_float: Sequence[str] = (),
    custom_objects: str | None = None,
    labels: PathLike | None = None,
    image_size: int | None = None,
    resize: ResizeMode = "crop",
    scaling: PixelScaling | None = None,
    task: TaskName | None = None,
    tokenizer: PathLike | None = None,
    sequence_length: int | None = None,
    segment_ids: bool = False,
    table: TextTable = TextTable(),  # noqa: B008 - a frozen value
    min_runtime: str | None = None,
    display: Display | None = None,
) -> tuple[Artifact, ...]:
    """Export any Keras classifier of images, or of token ids, to files that ship; what `tfkit export` does.

    The files of images take raw pixels, uint8 (n, height, width, channels), whatever the model took.

    Args:
        model: A `.keras` or `.h5` file, or a run's folder.
        output: The folder to make; it must be new or empty.
        formats: Names of `tfkit.artifacts.FORMAT_NAMES`.
        calibration: For `tflite_int8`: training images (class folders, .npz, CSV) or labelled texts.
        calibration_examples: How many of them to use.
        allow_float: Operators or layers that may stay in float in `tflite_int8`.
        custom_objects: A Python file or module that defines the model's own layers; it is run.
        labels: A file with one label a line; the run's classes, else numbers, when None.
        image_size: Pixels of height and width, for a model that takes any size.
        resize: How an app shall fit pictures.
        scaling: What the model takes for raw pixels, where it does not say.
        task: What its outputs are, where the model does not say.
        tokenizer: The tokeniser's folder, for a model of texts outside of its run.
        sequence_length: Tokens of a text, likewise.
        segment_ids: Of texts: add the input that MediaPipe's text tasks ask for.
        table: How the file of texts is laid out.
        min_runtime: Refuse formats that this TensorFlow Lite runtime cannot read, such as `2.14`.
        display: Where progress is shown; nowhere when None.

    Returns:
        One artifact for each format.

    Raises:
        ConfigError: When `tflite_int8` has no calibration data, or the labels do not fit.
        RunError: When the folder is not empty, or cannot be made.
        ModelError: When it is not known what the model takes or gives.
        ExportError: When a format cannot be made of it.

    Example:
        >>> files = tfkit.export("model.keras", "exported", formats=["tflite_float32"])  # doctest: +SKIP
        >>> files[0].path  # doctest: +SKIP
        PosixPath('exported/model_float32.tflite')
    """
    if calibration is None and (integers := [name for name in formats if name in INTEGER_NAMES]):
        raise ConfigError(
            f"{' and '.join(integers)} needs --calibration DATA", hint="name the training data, or another --format"
        )
    model, output = Path(model), Path(output)
    make_empty(output)
    import_tensorflow()
    from tfkit.models import register_custom_objects

    register_custom_objects(custom_objects)
    wanted = _Wanted(
        path=model,
        output=output,
        formats=tuple(formats),
        labels=as_path(labels),
        calibration=as_path(calibration),
        count=calibration_examples,
        resize=resize,
        image_size=image_size,
        said=scaling,
        task=task,
        allow_float=tuple(allow_float),
        tokenizer=as_path(tokenizer),
        sequence_length=sequence_length,
        segment_ids=segment_ids,
        table=table,
        min_runtime=min_runtime,
        display=display or SilentDisplay(),
    )
    return _export_texts(wanted) if keras_takes_texts(model, tokenizer=wanted.tokenizer) else _export_images(wanted)


def _export_images(wanted: _Wanted) -> tuple[Artifact, ...]:
    from tfkit.exporters import export_formats
    from tfkit.exporters.rehearsal import refuse_newer_formats
    from tfkit.graph import read_head
    from tfkit.inputs import calibration_inputs
    from tfkit.models import load_model_file

    path, display = wanted.path, wanted.display
    with display.stage("Model") as stage:
        loaded = load_model_file(path)
        image = keras_image(loaded, path, resize=wanted.resize, image_size=wanted.image_size)
        classes = max(2, read_head(loaded).units)
        stage.result(f"{loaded.count_params() / 1e6:.2f} M parameters, {image.height}x{image.width}x{image.channels}")
    names = _known_names(path, classes, wanted.labels)
    examples = _calibration_images(display, wanted.calibration, image)
    known = bool(names)
    if not known and examples is not None and len(examples.class_names) == classes:
        names = examples.class_names
    scored, scores, head_note = judge_head(loaded, path, wanted.task, named=len(names) or None)
    given = given_pixels(scored, wanted.said)
    for note in (head_note, given.note if examples is None or given.said else ""):
        if note:
            display.note(note)
    if examples is not None and scores == "classification" and names and set(examples.class_names) <= set(names):
        try_on(display, scored, examples.in_classes(names), image, given, known=known)
    if not names:
        display.note(_NUMBERED)
    raw = on_raw_pixels_of(scored, image, given, path)
    if wanted.min_runtime is not None:
        refuse_newer_formats(raw, wanted.formats, spec=image, oldest=wanted.min_runtime)
    with display.stage("Export") as stage:
        return export_formats(
            raw,
            wanted.formats,
            wanted.output,
            spec=image,
            class_names=names or tuple(map(str, range(classes))),
            calibration=None if examples is None else calibration_inputs(examples, image, count=wanted.count),
            allow_float=wanted.allow_float,
            task=scores,
            lineage=_lineage(path),
            progress=stage.progress,
        )


def _lineage(path: Path) -> Lineage:
    """Where the files of one Keras model come from: that file."""
    return Lineage(versions=describe_host().versions, parents=(parent_of("model", path),))


def _export_texts(wanted: _Wanted) -> tuple[Artifact, ...]:
    """Export a classifier or an embedder of token ids, with its tokeniser beside the files."""
    from tfkit.data.text import open_tokenizer
    from tfkit.exporters import export_formats
    from tfkit.exporters.rehearsal import refuse_newer_formats
    from tfkit.graph import read_head
    from tfkit.models import load_model_file
    from tfkit.models.text.classifier import is_embedder
    from tfkit.opening.judging import judge_head
    from tfkit.opening.texts import keras_text

    path, display, labels = wanted.path, wanted.display, wanted.labels
    with display.stage("Model") as stage:
        given = keras_text(path, tokenizer=wanted.tokenizer, sequence_length=wanted.sequence_length)
        loaded = load_model_file(path)
        opened = open_tokenizer(given.tokenizer)
        stage.result(f"{loaded.count_params() / 1e6:.2f} M parameters, {given.sequence_length} tokens a text")
    text = TextSpec(given.sequence_length, wanted.output / "tokenizer", wanted.segment_ids)
    class_names: tuple[str, ...] = ()
    scores: TaskName = "classification"
    if is_embedder(loaded):
        if labels is not None:
            raise ConfigError(f"'{path}' gives sentence embeddings, which have no labels", hint="leave --labels out")
    else:
        class_names = _known_names(path, classes := max(2, read_head(loaded).units), labels)
        known = bool(class_names)
        if not known:
            display.note(_NUMBERED)
            class_names = tuple(map(str, range(classes)))
        loaded, scores, note = judge_head(loaded, path, wanted.task, named=len(class_names) if known else None)
        if note:
            display.note(note)
    if wanted.min_runtime is not None:
        refuse_newer_formats(loaded, wanted.formats, spec=text, oldest=wanted.min_runtime)
    tokens = None if wanted.calibration is None else _calibration_tokens(wanted, wanted.calibration, opened, text)
    with display.stage("Export") as stage:
        opened.save(text.tokenizer)
        return export_formats(
            loaded,
            wanted.formats,
            wanted.output,
            spec=text,
            class_names=class_names,
            calibration=tokens,
            task=scores,
            lineage=_lineage(path),
            progress=stage.progress,
        )


def _calibration_tokens(
    wanted: _Wanted, data: Path, tokenizer: "Tokenizer", text: TextSpec
) -> "dict[str, NDArray[np.int32]]":
    """`token_ids` and `padding_mask` of some of the texts, as many of each class."""
    from tfkit.data.text import calibration_tokens

    table = wanted.table
    with wanted.display.stage("Calibration texts") as stage:
        examples = read_labelled(
            data,
            wanted.path,
            text,
            class_names=None,
            text_column=table.text_column,
            label_column=table.label_column,
            header=table.header,
        )
        texts, length = cast("TextExamples", examples), text.sequence_length
        tokens = calibration_tokens(texts, tokenizer, sequence_length=length, count=wanted.count)
        stage.result(str(len(tokens["token_ids"])))
    return tokens


def _known_names(path: Path, classes: int, labels: Path | None) -> tuple[str, ...]:
    """The class names of the file given, or of the run; none where nobody says them."""
    names = read_labels(labels) if labels else RunDirectory.of_model(path).class_names
    if names and len(names) != classes:
        raise ConfigError(f"there are {len(names)} labels; '{path}' gives {classes} scores", hint="see --labels")
    return names


def _calibration_images(display: Display, data: Path | None, image: ImageSpec) -> "ImageExamples | None":
    from tfkit.data import load_image_examples

    if data is None:
        return None
    with display.stage("Calibration images") as stage:
        examples = load_image_examples(data, channels=image.channels, prefer="train")
        stage.result(str(len(examples)))
    return examples


def make_empty(folder: Path) -> None:
    """Make the folder of exported files.

    Raises:
        RunError: When it holds anything, or cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise RunError(f"'{folder}' is not empty and is never overwritten", hint="name a new folder")
    except OSError as fault:
        raise RunError(f"cannot make '{folder}': {fault.strerror}", hint="name another --output") from None
