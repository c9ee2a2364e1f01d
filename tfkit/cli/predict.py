"""`tfkit predict`: what a model says about pictures or texts."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfkit.artifacts import OUTSIDE, ImageSpec, PixelScaling, ResizeMode, TaskName
from tfkit.cli.answers import Answered, answers_json, echo_json, show_answers, tell_numbered
from tfkit.cli.options import CustomObjects, InputChannels, InputMean, InputRange, InputStd, TaskOption, pixel_scaling
from tfkit.errors import DataError, ModelError
from tfkit.files import read_regular_file, refuse_irregular
from tfkit.opening.heads import Task

if TYPE_CHECKING:
    import numpy as np

_WANTED = "name JPEG, PNG, BMP, GIF or WebP files, or folders of them; for texts outside of a run say --tokenizer"
# tfkit.data knows them too, but a wrong path is told before TensorFlow is started.
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp"})
_BATCH = 32  # pictures held at a time


def predict(
    path: Annotated[
        Path,
        typer.Argument(help="A run's folder, a .tflite file, a SavedModel's folder or a .keras file.", metavar="PATH"),
    ],
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Pictures or folders of pictures; for a model of texts, texts or .txt files of a text a line.",
            metavar="INPUTS...",
        ),
    ],
    labels: Annotated[Path | None, typer.Option(help="A file with one label a line.")] = None,
    custom_objects: CustomObjects = None,
    top: Annotated[int, typer.Option(min=1, help="How many labels to show for each.")] = 5,
    resize: Annotated[
        ResizeMode, typer.Option(help="How pictures are fitted, for a file that tfkit did not write.")
    ] = "crop",
    input_range: InputRange = None,
    input_mean: InputMean = None,
    input_std: InputStd = None,
    input_channels: InputChannels = "rgb",
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
    from tfkit.cli.explanation import refuse_unexplainable
    from tfkit.cli.text_predict import predict_texts
    from tfkit.cli.text_search import find_search_index, refuse_nearest, search_texts
    from tfkit.opening.targets import refuse_unfinished, takes_texts
    from tfkit.terminal.quiet import chatter_dropped

    refuse_unfinished(path)
    said = pixel_scaling(input_range, input_mean, input_std, input_channels)
    if explain:
        classifies = not nearest and not find_search_index(path) and takes_texts(path, tokenizer=tokenizer)
        refuse_unexplainable(path, classifies_texts=classifies)
    if index := find_search_index(path):
        return search_texts(path, index, inputs, nearest=nearest, top=top, as_json=as_json)
    if nearest:
        raise refuse_nearest(path)
    outside: dict[str, Any] = {"tokenizer": tokenizer, "sequence_length": sequence_length}
    if takes_texts(path, tokenizer=tokenizer):
        return predict_texts(path, inputs, labels=labels, top=top, as_json=as_json, explain=explain, **outside)
    files = _image_files([Path(word) for word in inputs])
    with chatter_dropped():
        said_of: dict[str, Any] = {"said": said, "task": task, "custom_objects": custom_objects}
        answered = _answered(path, files, labels=labels, resize=resize, **said_of)
    if as_json:
        echo_json(answered.model, "image", answers_json("image", files, answered, top=top))
    else:
        show_answers("image", files, answered, top=top)
        tell_numbered(answered.class_names)
    return 0


def _answered(
    path: Path,
    files: list[Path],
    *,
    labels: Path | None,
    resize: Any,
    said: PixelScaling | None,
    task: Task | None,
    custom_objects: str | None,
) -> Answered:
    """What a file or a Keras model says."""
    import numpy as np

    from tfkit.opening.heads import judge_head
    from tfkit.opening.inputs import given_pixels, on_raw_pixels_of, refuse_other_channels
    from tfkit.opening.targets import (
        best_artifact,
        find_artifacts,
        is_keras_file,
        keras_image,
        read_labels,
        run_labels,
        run_thresholds,
    )
    from tfkit.runtimes import KerasRuntime, SavedModelRuntime, open_runtime
    from tfkit.terminal.quiet import import_tensorflow

    if is_keras_file(path):
        import_tensorflow()
        from tfkit.models import load_model_file, register_custom_objects

        register_custom_objects(custom_objects)
        model = load_model_file(path)
        names = read_labels(labels) if labels else run_labels(path)
        found: TaskName = "regression"
        if task != "regression":
            model, found, note = judge_head(model, path, task, named=len(names) or None)
            if note:
                typer.echo(f"  {note}", err=True)
        image, given = keras_image(model, path, resize=resize), given_pixels(model, said)
        if given.note and not run_labels(path):
            typer.echo(f"  {given.note}", err=True)
        runtime = KerasRuntime(on_raw_pixels_of(model, image, given, path))
        scores = np.concatenate([runtime.scores(pixels) for pixels in _pixel_batches(files, image)])
        if found == "regression":
            scores = scores[:, -model.output_shape[-1] :]  # a sigmoid's number comes behind 1 - itself
        names = names or tuple(map(str, range(scores.shape[1])))
        if len(names) != scores.shape[1]:
            raise ModelError(f"there are {len(names)} labels; '{path}' gives {scores.shape[1]} scores")
        return Answered(path, names, scores, found, run_thresholds(path))
    asked: dict[str, Any] = {"task": task, "named": labels is not None}
    artifact = best_artifact(find_artifacts(path, labels=labels, resize=resize, **asked))
    outside = artifact.made_by == OUTSIDE
    if said is not None and not outside:
        raise ModelError(
            f"'{artifact.path}' takes raw pixels, as every file of tfkit does; got {said.option}", hint="leave that out"
        )
    if isinstance(artifact.input, ImageSpec):
        refuse_other_channels(said, artifact.input, artifact.path)
    with open_runtime(artifact, scaling=said) as opened:
        if isinstance(opened, SavedModelRuntime) and opened.takes_encoded:
            scores = opened.scores_from_encoded(_whole_contents(files, artifact.input))
        else:
            batches = _pixel_batches(files, artifact.input)
            scores = np.concatenate([opened.scores(pixels) for pixels in batches])
    names = artifact.class_names or tuple(map(str, range(scores.shape[1])))
    if outside and task == "regression":
        return Answered(
            artifact.path, names, scores[:, -len(names) :], task
        )  # a sigmoid's number comes behind 1 - itself
    return Answered(artifact.path, names, scores, artifact.task, artifact.thresholds)


def _pixel_batches(files: list[Path], image: Any) -> "Iterator[np.ndarray]":
    """uint8 (n, height, width, channels), not all at once; all files that are no pictures are told at once."""
    import numpy as np

    from tfkit.data import picture_pixels

    faults = []
    for start in range(0, len(files), _BATCH):
        chosen = files[start : start + _BATCH]
        pixels = []
        for file, content in zip(chosen, _contents(chosen), strict=True):
            try:
                pixels.append(picture_pixels(content, image))
            except DataError as fault:
                faults.append(f"'{file}' cannot be used as a picture: {fault}")
        if not faults:
            yield np.stack(pixels)
    if faults:
        raise DataError("\n".join(faults), hint="tfkit reads JPEG, PNG, BMP, GIF and WebP")


def _whole_contents(files: list[Path], image: Any) -> list[bytes]:
    """The files' bytes for a SavedModel, which decodes them itself and mends what is damaged without a word."""
    from tfkit.data.decoder import picture_fault

    contents = _contents(files)
    reasons = [picture_fault(content, channels=image.channels) for content in contents]
    faults = [f"'{file}' cannot be used as a picture: {why}" for file, why in zip(files, reasons, strict=True) if why]
    if faults:
        raise DataError("\n".join(faults), hint="tfkit reads JPEG, PNG, BMP, GIF and WebP")
    return contents


def _contents(files: list[Path]) -> list[bytes]:
    contents, faults = [], []
    for file in files:
        try:
            contents.append(read_regular_file(file))
        except OSError as fault:
            faults.append(f"'{file}' cannot be read: {fault.strerror}")
    if faults:
        raise DataError("\n".join(faults), hint=_WANTED)
    return contents


def _image_files(paths: list[Path]) -> list[Path]:
    files: list[Path] = []
    faults = []
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in _SUFFIXES and file.is_file())
            files += inside
            faults += [] if inside else [f"there is no picture in '{path}'"]
            continue
        try:
            refuse_irregular(path)
            files.append(path)
        except FileNotFoundError:
            faults.append(f"there is no picture '{path}'")
        except OSError as fault:
            faults.append(f"'{path}' cannot be read as a picture: {fault.strerror}")
    if faults:
        raise DataError("\n".join(faults), hint=_WANTED)
    return files
