"""What any model says about pictures, texts or users: `tfkit.predict`."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import (
    OUTSIDE,
    Artifact,
    ImageSpec,
    PixelScaling,
    ResizeMode,
    RunDirectory,
    TaskName,
    best_artifact,
)
from tfkit.errors import DataError, ModelError
from tfkit.explaining.methods import HeatMapMethod, refuse_missing_method
from tfkit.files import read_regular_file
from tfkit.inputs import input_of
from tfkit.opening import (
    find_artifacts,
    given_pixels,
    is_keras_file,
    judge_head,
    keras_image,
    on_raw_pixels_of,
    picture_files,
    read_labels,
    refuse_other_channels,
    refuse_unfinished,
    run_thresholds,
    takes_histories,
    takes_prompts,
    takes_texts,
)
from tfkit.opening.judging import says_numbers
from tfkit.opening.unlabelled import PICTURES_WANTED
from tfkit.operations.heat_maps import heat_maps_of
from tfkit.operations.predicting_questions import predict_questions
from tfkit.operations.predicting_texts import (
    find_search_index,
    predict_texts,
    refuse_nearest,
    refuse_unexplainable,
    search_texts,
)
from tfkit.operations.predicting_users import predict_users
from tfkit.operations.values import FoundTexts, PathLike, Prediction, Replies, as_path
from tfkit.terminal import import_tensorflow

if TYPE_CHECKING:
    from tfkit.runtimes import Runtime

_WANTED = f"{PICTURES_WANTED}; for texts outside of a run say --tokenizer"
_BATCH = 32  # pictures held at a time
Tell = Callable[[str], None]


def _unheard(sentence: str) -> None:
    """Tell nobody."""


def predict(
    path: PathLike,
    inputs: PathLike | Sequence[PathLike],
    *,
    labels: PathLike | None = None,
    top: int = 5,
    resize: ResizeMode = "crop",
    scaling: PixelScaling | None = None,
    task: TaskName | None = None,
    custom_objects: str | None = None,
    tokenizer: PathLike | None = None,
    sequence_length: int | None = None,
    nearest: bool = False,
    explain: bool | HeatMapMethod = False,
    tell: Tell = _unheard,
) -> Prediction | FoundTexts | Replies:
    """Ask a model, exported or not, about pictures, texts or users; what `tfkit predict` does.

    Args:
        path: A run's folder, a `.tflite` file, a SavedModel's folder or a `.keras` file.
        inputs: One or several pictures or folders of pictures; for a model of texts, texts or `.txt` files of a text a
            line; for a recommender, what each user took, with semicolons between; for a language model questions.
        labels: A file with one label a line, instead of the model's own.
        top: Of sentence embeddings: how many of the nearest texts to name.
        resize: How pictures are fitted, for a file that tfkit did not write.
        scaling: What the model takes for raw pixels, where it does not say.
        task: What its outputs are, where the model does not say.
        custom_objects: A Python file or module that defines the model's own layers; it is run.
        tokenizer: The tokeniser's folder, for a file of token ids outside of its run.
        sequence_length: Tokens of a text, for a Keras file outside of its run.
        nearest: Refuse a model that has no search index.
        explain: Say which words gave each text its label, or where in each picture the model looked: by occlusion,
            or by `"shap"` or `"lime"` (extra `explain`); or which items of a user spoke for those offered.
        tell: Called with each sentence that a reader of the scores must know.

    Returns:
        Scores float32 (n, k) with their labels, of a segmenter (n, height, width, k); for a model of sentence
        embeddings, the answers of its search index; for a language model its replies.

    Raises:
        ModelError: When nothing there can be run, or it is not known what it takes or gives.
        ConfigError: When shap or lime is asked for and is not installed.
        DataError: When a picture or text cannot be read; tells all of them.
        RunError: When the run is unfinished.

    Example:
        >>> told = tfkit.predict("runs/digits", "seven.png")  # doctest: +SKIP
        >>> told.best(top=1)  # doctest: +SKIP
        [[('7', 0.998)]]
    """
    path, labels, tokenizer = Path(path), as_path(labels), as_path(tokenizer)
    words = [str(word) for word in ([inputs] if isinstance(inputs, str | Path) else inputs)]
    refuse_unfinished(path)
    if takes_prompts(path):
        if explain:
            raise ModelError(f"'{path}' says itself what it answers from; got --explain", hint="leave it out")
        return predict_questions(path, words)
    if takes_histories(path):
        return predict_users(path, words, explain=bool(explain))
    index = find_search_index(path)
    method: HeatMapMethod | None = "occlusion" if explain is True else explain or None
    if explain and (nearest or index or takes_texts(path, tokenizer=tokenizer)):
        refuse_unexplainable(path, classifies=not nearest and not index, method=method)
    if index:
        return search_texts(path, index, words, top=top)
    if nearest:
        raise refuse_nearest(path)
    if takes_texts(path, tokenizer=tokenizer):
        return predict_texts(
            path, words, labels=labels, tokenizer=tokenizer, sequence_length=sequence_length, explain=bool(explain)
        )
    if method is not None:
        refuse_missing_method(method, asked="explaining by")
    files = picture_files([Path(word) for word in words], wanted=_WANTED)
    if is_keras_file(path):
        return _of_keras(
            path, files, labels=labels, resize=resize, said=scaling, task=task, custom_objects=custom_objects,
            method=method, tell=tell,
        )  # fmt: skip
    return _of_file(path, files, labels=labels, resize=resize, said=scaling, task=task, method=method)


def _of_keras(
    path: Path,
    files: list[Path],
    *,
    labels: Path | None,
    resize: ResizeMode,
    said: PixelScaling | None,
    task: TaskName | None,
    custom_objects: str | None,
    method: HeatMapMethod | None,
    tell: Tell,
) -> Prediction:
    """What a Keras model says about pictures."""
    import_tensorflow()
    from tfkit.models import gives_boxes, load_model_file, named_outputs, register_custom_objects
    from tfkit.runtimes import KerasRuntime

    register_custom_objects(custom_objects)
    model = load_model_file(path)
    names = read_labels(labels) if labels else RunDirectory.of_model(path).class_names
    found = task
    if found is None or not says_numbers(found):
        model, found, note = judge_head(model, path, task, named=len(names) or None)
        if note:
            tell(note)
    image, given = keras_image(model, path, resize=resize), given_pixels(model, said)
    if given.note and not RunDirectory.of_model(path).class_names:
        tell(given.note)
    runtime = KerasRuntime(on_raw_pixels_of(model, image, given, path))
    scores = np.concatenate([runtime.scores(pixels) for pixels in _pixel_batches(files, image)])
    if says_numbers(found):
        scores = scores[:, -model.output_shape[-1] :]  # a sigmoid's number comes behind 1 - itself
    outputs = named_outputs(model) if gives_boxes(model) else scores.shape[-1]  # a sigmoid of two classes has two
    names = names or tuple(map(str, range(outputs)))
    if len(names) != outputs:
        raise ModelError(f"there are {len(names)} labels; '{path}' gives {outputs} scores")
    told = Prediction("image", tuple(map(str, files)), path, names, scores, found, run_thresholds(path))
    return heat_maps_of(told, _pictures(files, image), runtime.scores, method) if method else told


def _of_file(
    path: Path,
    files: list[Path],
    *,
    labels: Path | None,
    resize: ResizeMode,
    said: PixelScaling | None,
    task: TaskName | None,
    method: HeatMapMethod | None,
) -> Prediction:
    """What an exported file says about pictures."""
    artifact = best_artifact(find_artifacts(path, labels=labels, resize=resize, task=task, named=labels is not None))
    outside = artifact.made_by == OUTSIDE
    if said is not None and not outside:
        raise ModelError(
            f"'{artifact.path}' takes raw pixels, as every file of tfkit does; got {said.option}", hint="leave that out"
        )
    if not isinstance(artifact.input, ImageSpec):
        told = f"'{artifact.path}' takes {input_of(artifact.input).noun}s; got pictures"
        raise ModelError(told, hint="name its run's folder, and texts")
    refuse_other_channels(said, artifact.input, artifact.path)
    from tfkit.runtimes import open_runtime

    image = artifact.input
    with open_runtime(artifact, scaling=said) as opened:
        scores = _file_scores(opened, image, files)
        answered = _told(artifact, files, scores, task)
        return heat_maps_of(answered, _pictures(files, image), opened.scores, method) if method else answered


def _told(artifact: Artifact, files: list[Path], scores: NDArray[np.floating], task: TaskName | None) -> Prediction:
    names = artifact.class_names or tuple(map(str, range(scores.shape[-1])))
    shown = tuple(map(str, files))
    if artifact.made_by == OUTSIDE and task is not None and says_numbers(task):
        # a sigmoid's number comes behind 1 - itself
        return Prediction("image", shown, artifact.path, names, scores[:, -len(names) :], task)
    return Prediction("image", shown, artifact.path, names, scores, artifact.task, artifact.thresholds)


def _file_scores(opened: "Runtime", image: ImageSpec, files: list[Path]) -> NDArray[np.floating]:
    from tfkit.runtimes import SavedModelRuntime

    if isinstance(opened, SavedModelRuntime) and opened.takes_encoded:
        return opened.scores_from_encoded(_whole_contents(files, image))
    return np.concatenate([opened.scores(pixels) for pixels in _pixel_batches(files, image)])


def _pictures(files: list[Path], image: ImageSpec) -> Iterator[NDArray[np.uint8]]:
    for pixels in _pixel_batches(files, image):
        yield from pixels


def _pixel_batches(files: list[Path], image: ImageSpec) -> Iterator[NDArray[np.uint8]]:
    """uint8 (n, height, width, channels), not all at once; all files that are no pictures are told at once."""
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


def _whole_contents(files: list[Path], image: ImageSpec) -> list[bytes]:
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
