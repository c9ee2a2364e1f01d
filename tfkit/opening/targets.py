"""What a path on the command line names: a run, an artifacts folder, one exported file, or a file from elsewhere."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tfkit.artifacts import (
    OUTSIDE,
    Artifact,
    ImageSpec,
    InputSpec,
    ModelSignature,
    Quantization,
    ResizeMode,
    RunDirectory,
    TaskName,
    TextSpec,
    labels_of_file,
    read_manifest,
    running_process,
)
from tfkit.errors import ConfigError, DataError, ExportError, ModelError, RunError
from tfkit.files import read_regular_file
from tfkit.inputs import input_of
from tfkit.opening.judging import refuse_other_tasks, says_numbers, task_of, task_of_maps

if TYPE_CHECKING:
    import keras

    from tfkit.data.targets import Targets

KERAS_SUFFIXES = (".keras", ".h5", ".hdf5")
MANIFEST = "manifest.json"
_MAPS = 4
_MOST_UNITS = 1_000_000  # of a model from elsewhere: each gets a name


def find_artifacts(
    path: Path,
    *,
    labels: Path | None = None,
    resize: ResizeMode = "crop",
    image_size: int | None = None,
    tokenizer: Path | None = None,
    task: TaskName | None = None,
    named: bool = True,
) -> tuple[Artifact, ...]:
    """The exported models that a path names.

    Args:
        path: A run's folder, an artifacts folder, a `.tflite` file or a SavedModel's folder.
        labels: A file with one label a line, instead of the labels written beside the model or in its metadata.
        resize: How images are fitted, for a file that tfkit did not write.
        image_size: Pixels of height and width, for a SavedModel that does not say.
        tokenizer: The tokeniser's folder, for a `.tflite` file of token ids that tfkit did not write.
        task: What the scores of a file that tfkit did not write are; None for what its last operator says.
            That of numbers: an artifact with a label a number, whose own task means nothing.
        named: Whether labels or data say which classes its scores are.

    Returns:
        One artifact for a file; all of them for a run.

    Raises:
        ModelError: When nothing there can be run, or the number of labels does not fit.
        ExportError: When a manifest cannot be read.
    """
    refuse_other_tasks(task)
    if not path.exists():
        raise ModelError(f"there is no '{path}'", hint="name a run's folder, a .tflite file or a SavedModel's folder")
    refuse_unfinished(path)
    for folder in (path / "artifacts", path):
        if (folder / MANIFEST).is_file():
            found = read_manifest(folder)
            break
    else:
        if path.is_dir() and not _version_folders(path) and not (path / "saved_model.pb").is_file():
            hint = "name a run's folder, an artifacts folder, a .tflite file or a SavedModel's folder"
            raise ModelError(f"'{path}' holds no exported model", hint=hint)
        found = (_single(path, resize=resize, image_size=image_size, tokenizer=tokenizer),)
        if found[0].made_by == OUTSIDE:
            single = _of_numbers(found[0]) if says_numbers(task) else found[0]
            single = single if labels else _with_own_labels(single)
            if not says_numbers(task):
                single = _with_task(single, task, named=named or brings_labels(single))
            found = (single,)
    return tuple(_with_labels(artifact, labels) for artifact in found)


def brings_labels(artifact: Artifact) -> bool:
    """Whether an artifact has labels of its own, and not only numbers in their place."""
    return artifact.class_names != _numbered(artifact.signature, artifact.path)


def targets_of_file(artifact: Artifact, data: Path) -> "Targets":
    """What a file's examples are labelled with: a column of the table for each label or number, or one for all.

    Data that cannot say several labels, such as folders of classes, are read as one class an example.
    """
    from tfkit.data.targets import CLASSES, Targets
    from tfkit.tasks import task_named

    asked = task_named(artifact.task)
    if asked.answers_pixels:
        return _targets_of_masks(artifact)
    if asked.answers_boxes:
        return Targets(asked.targets.name)
    is_table = data.suffix.lower() in (".csv", ".tsv", ".jsonl")
    if asked.of_classes or artifact.made_by == OUTSIDE or not is_table:
        return CLASSES
    first = read_regular_file(data).split(b"\n", 1)[0].decode("utf-8-sig", "replace")
    own = all(name in first for name in artifact.class_names)
    return Targets(asked.targets.name, columns=artifact.class_names if own else ())


def _targets_of_masks(artifact: Artifact) -> "Targets":
    """What the values of masks mean, as the recipe of the file's run says."""
    from tfkit.config import load_recipe
    from tfkit.running.planning import targets_of

    recipe = next(
        (RunDirectory(folder).recipe for folder in artifact.path.parents if RunDirectory(folder).recipe.is_file()), None
    )
    if recipe is None or artifact.made_by == OUTSIDE:
        raise DataError(
            f"nobody says what values in masks mean for '{artifact.path}': that stands in the recipe of its run",
            hint="name the run's folder, or the file inside of it",
        )
    targets = targets_of(load_recipe(recipe))
    if targets.masks is None or not isinstance(artifact.input, ImageSpec):
        raise DataError(f"'{recipe}' is no recipe of segmentation, as '{artifact.path}' is")
    values = targets.masks.values or {name: place for place, name in enumerate(artifact.class_names)}
    if tuple(values) != artifact.class_names:
        raise DataError(f"the classes of '{recipe}' are not those of '{artifact.path}'")
    return replace(targets, masks=replace(targets.masks, image=artifact.input, values=values))


def refuse_unfinished(path: Path) -> None:
    """Refuse the folder of a run that has not come to its end: what lies in it is not what the recipe asks for.

    Args:
        path: What the command line names; anything but a run's folder passes.

    Raises:
        RunError: When it has a recipe and no report; names the models that it kept.
    """
    run = RunDirectory(path)
    if not run.recipe.is_file() or run.is_finished:
        return
    if (process := running_process(path)) is not None:
        raise RunError(f"the run in '{path}' is still going, in process {process}", hint="wait for its end")
    kept = next(iter(run.finished_models), None)
    ways = f", or name the model that it kept: {kept}" if kept else ""
    raise RunError(f"the run in '{path}' is unfinished: it has no report", hint=f"run its recipe again{ways}")


def is_keras_file(path: Path) -> bool:
    """Whether a path names a Keras model rather than an exported one: a file, or a run that exported nothing."""
    if path.is_dir():
        return (path / "models" / "float.keras").is_file() and not (path / "artifacts" / MANIFEST).is_file()
    return path.suffix in KERAS_SUFFIXES


def run_thresholds(path: Path) -> tuple[float, ...]:
    """The thresholds that the run of a Keras model chose; none for a file from elsewhere, or a run without files."""
    folder = RunDirectory.of_model(path).artifacts
    return read_manifest(folder, compare=False)[0].thresholds if (folder / MANIFEST).is_file() else ()


def keras_image(
    model: "keras.Model", path: Path, *, resize: ResizeMode = "crop", image_size: int | None = None
) -> ImageSpec:
    """The images that a Keras model takes.

    Raises:
        ModelError: When the model does not take images, or does not say their size and `image_size` is None.
    """
    taken = model.input_shape
    if isinstance(taken, dict | list):
        named = {tensor.name: tuple(tensor.shape) for tensor in model.inputs}
        shown = ", ".join(f"'{name}' {size}" for name, size in named.items())
        raise ModelError(
            f"'{path}' has {len(named)} inputs: {shown}; expected one, of images",
            hint="tfkit takes classifiers of images alone; put the rest into the model as constants, or leave it out",
        )
    shape = tuple(taken)
    return _image_of_shape(shape, path, resize=resize, image_size=image_size)


def read_labels(path: Path) -> tuple[str, ...]:
    """The labels of a text file, one a line, in the order of the scores.

    Raises:
        ConfigError: When the file cannot be read.
    """
    try:
        return labels_of_file(read_regular_file(path))
    except (OSError, UnicodeDecodeError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"cannot read the labels '{path}': {reason}", hint="one label a line") from None


def _single(path: Path, *, resize: ResizeMode, image_size: int | None, tokenizer: Path | None) -> Artifact:
    """One file or SavedModel: as its manifest says where tfkit wrote it, else as the file itself says."""
    version = _version_folders(path)[-1] if path.is_dir() and _version_folders(path) else path
    for folder in (version.parent, version.parent.parent):
        if (folder / MANIFEST).is_file():
            for artifact in read_manifest(folder, only=version):
                if artifact.path.resolve() == version.resolve():
                    return artifact
    if version.is_dir():
        return _outside_saved_model(version, resize=resize, image_size=image_size)
    if version.suffix == ".onnx":
        from tfkit.runtimes.onnx_runtime import of_nobody

        raise of_nobody(version)
    return _outside_tflite(version, resize=resize, tokenizer=tokenizer)


def _outside_tflite(path: Path, *, resize: ResizeMode, tokenizer: Path | None) -> Artifact:
    from tfkit.runtimes import read_signature

    signature = read_signature(path)
    if not signature.inputs or not signature.outputs:
        missing = "inputs" if not signature.inputs else "outputs"
        raise ModelError(f"the graph of '{path}' has no {missing}", hint="export or download it again")
    shape = signature.inputs[0].shape
    of_tokens = "token_ids" in {tensor.name for tensor in signature.inputs}
    if of_tokens and tokenizer is None:
        hint = "name the folder of its tokeniser: --tokenizer FOLDER"
        raise ModelError(f"'{path}' takes token ids, and no manifest says of which tokeniser", hint=hint)
    taken: InputSpec = (
        TextSpec(shape[1] or 0, tokenizer)
        if of_tokens and tokenizer is not None
        else _image_of_shape(shape, path, resize=resize, image_size=None)
    )
    return Artifact(
        path=path,
        format="tflite",
        quantization=_quantization(path),
        signature=signature,
        input=taken,
        class_names=_numbered(signature, path),
        made_by=OUTSIDE,
    )


def _outside_saved_model(path: Path, *, resize: ResizeMode, image_size: int | None) -> Artifact:
    from tfkit.runtimes import SavedModelRuntime

    with SavedModelRuntime(path) as runtime:
        signature, pixels = runtime.signature, runtime.numbers_signature.inputs
    shape = pixels[0].shape if pixels else (None, None, None, 3)
    return Artifact(
        path=path,
        format="saved_model",
        quantization="none",
        signature=signature,
        input=_image_of_shape(shape, path, resize=resize, image_size=image_size),
        class_names=_numbered(signature, path),
        made_by=OUTSIDE,
    )


def _with_task(artifact: Artifact, said: TaskName | None, *, named: bool) -> Artifact:
    """A file from elsewhere with what its scores are: as its last operator says, or as the user does."""
    from tfkit.runtimes import read_last_function
    from tfkit.tasks import TASKS

    if artifact.format == "saved_model":
        labels = [tensor for tensor in artifact.signature.outputs if tensor.dtype == "string"]
        if labels:  # it says its own labels
            several = len(labels[0].shape) == 2
            return replace(artifact, task=next(task.name for task in TASKS if task.gives_several == several))
        function = "softmax" if said is None and not named and _sums_to_one(artifact) else "unknown"
    else:
        function = read_last_function(artifact.path)
    scores = next((tensor for tensor in artifact.signature.outputs if tensor.dtype != "string"), None)
    units = int(scores.shape[-1] or 0) if scores is not None and scores.shape else 0
    if units == 1 and function != "sigmoid":
        raise ModelError(
            f"'{artifact.path}' gives one number that is no sigmoid's: a logit, or no class at all",
            hint="convert it again with a sigmoid, or two softmax units, at its end",
        )
    if units == 0:
        return artifact
    if scores is not None and len(scores.shape) == _MAPS and scores.shape[1:3] != (1, 1):
        return replace(artifact, task=task_of_maps().name)
    task, _ = task_of(function, units, artifact.path, said, named=units if named else None)
    return replace(artifact, task=task)


def _sums_to_one(artifact: Artifact) -> bool:
    """Whether a SavedModel, whose last layer cannot be read, gives shares of one for pictures of noise."""
    import numpy as np

    from tfkit.runtimes import SavedModelRuntime
    from tfkit.runtimes.protocol import some_inputs

    noise = input_of(artifact.input).noise(artifact.input, 4)
    with SavedModelRuntime(artifact.path) as runtime:
        for number in range(4):
            scores = runtime.scores(some_inputs(noise, slice(number, number + 1)))
            if not (scores.shape[-1] > 1 and np.all(scores >= 0) and abs(float(scores.sum()) - 1) < 1e-3):
                return False
    return True


def _quantization(path: Path) -> Quantization:
    from tfkit.runtimes import read_operators

    operators = read_operators(path)
    if not any(operator.is_float for operator in operators):
        return "int8"
    if any("int8" in operator.inputs and operator.is_float for operator in operators):
        return "dynamic_int8"
    return "float16" if any("float16" in operator.inputs for operator in operators) else "none"


def _image_of_shape(
    shape: tuple[int | None, ...], path: Path, *, resize: ResizeMode, image_size: int | None
) -> ImageSpec:
    if len(shape) != 4 or shape[3] not in (1, 3):
        raise ModelError(f"'{path}' takes a tensor of shape {shape}; expected images (n, height, width, 1 or 3)")
    height, width = shape[1] or image_size, shape[2] or image_size
    if height is None or width is None:
        raise ModelError(f"'{path}' does not say which image size it takes", hint="say it: --image-size 224")
    return ImageSpec(height=height, width=width, channels=shape[3], resize=resize)


def _units(signature: ModelSignature, path: Path) -> int:
    scores = [tensor for tensor in signature.outputs if tensor.dtype != "string" and tensor.shape]
    units = (scores[0].shape[-1] or 0) if scores else 0
    if units > _MOST_UNITS:
        from tfkit.runtimes.model_process import DAMAGED

        raise ModelError(
            f"'{path}' gives {units:,} scores in '{scores[0].name}'; at most {_MOST_UNITS:,} are expected", hint=DAMAGED
        )
    return units


def _numbered(signature: ModelSignature, path: Path) -> tuple[str, ...]:
    """`0`, `1`, ...: what the classes of a model are called that brings no labels."""
    units = _units(signature, path)
    return tuple(str(number) for number in range(2 if units == 1 else units))  # one sigmoid unit is two classes


def _of_numbers(artifact: Artifact) -> Artifact:
    """A file from elsewhere whose outputs are numbers: none of them is two classes."""
    return replace(artifact, class_names=tuple(map(str, range(_units(artifact.signature, artifact.path)))))


def _with_own_labels(artifact: Artifact) -> Artifact:
    """A file from elsewhere with the labels in its metadata."""
    from tfkit.runtimes import metadata_labels

    names = metadata_labels(artifact.path) if artifact.format == "tflite" else ()
    if names and len(names) != len(artifact.class_names):
        raise ModelError(
            f"'{artifact.path}' has {len(names)} labels in its metadata and gives {len(artifact.class_names)} scores",
            hint="name them, one a line, in the order of the scores: --labels FILE",
        )
    return replace(artifact, class_names=names) if names else artifact


def _with_labels(artifact: Artifact, labels: Path | None) -> Artifact:
    if labels is None:
        return artifact
    names = read_labels(labels)
    expected = len(artifact.class_names)
    if expected and len(names) != expected:
        hint = "one label a line, in the order of the scores; some models have a class 'background' in front"
        raise ExportError(f"'{labels}' has {len(names)} labels; '{artifact.path}' gives {expected} scores", hint=hint)
    return replace(artifact, class_names=names)


def _version_folders(path: Path) -> list[Path]:
    folders = [folder for folder in path.iterdir() if folder.name.isdigit() and (folder / "saved_model.pb").is_file()]
    return sorted(folders, key=lambda folder: int(folder.name))
