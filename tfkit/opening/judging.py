"""What a model takes and gives, and which score is which class: said, found in the model, or tried on pictures."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tfkit.artifacts import RAW, ImageSpec, PixelScaling, TaskName
from tfkit.errors import ConfigError, ModelError

if TYPE_CHECKING:
    import keras
    import numpy as np
    from numpy.typing import NDArray

    from tfkit.data import ImageExamples
    from tfkit.running import Display
    from tfkit.tasks import Task
    from tfkit.verification import InputFinding, LabelOrder

_ASK = (
    "say what they are: --task classification (logits: the largest is the class), --task multilabel (several labels "
    "at once) or --task regression; --labels FILE names classes"
)
_MAPS = 4
_MANY_SMALL, _SOME_LARGE, _SMALL_PIXELS = 200, 100, 96 * 96


def judge_head(
    model: "keras.Model", path: Path, said: TaskName | None, *, named: int | None
) -> "tuple[keras.Model, TaskName, str]":
    """A model as it is served: a score for each class, and what its scores are.

    Args:
        model: The Keras model.
        path: Its file.
        said: `--task`; None for nothing.
        named: How many classes the labels or the data name; None for nothing known.

    Returns:
        The model - one sigmoid unit made into two scores -, the task, and what a reader of the scores must know;
        empty for softmax scores.

    Raises:
        ModelError: When the outputs are several or no row of scores, are numbers, or nobody knows what they are.
    """
    from tfkit.exporters import with_two_scores
    from tfkit.graph import read_head
    from tfkit.models import gives_boxes, is_of_numbers
    from tfkit.tasks import CLASSIFICATION

    refuse_other_tasks(said)
    if (said is None or says_numbers(said)) and is_of_numbers(model):  # it says so itself
        return model, _the_task(lambda task: task.gives_numbers).name, ""
    if gives_boxes(model):
        return model, _the_task(lambda task: task.answers_boxes).name, ""
    head = read_head(model)
    if len(model.outputs[0].shape) == _MAPS:
        asked = task_of_maps()
        return model, asked.name, _of_masks(asked, head.activation, head.units, path, said)
    task, note = task_of(head.activation, head.units, path, said, named=named)
    if head.units == 1 and task == CLASSIFICATION.name:
        return with_two_scores(model, head), task, note
    return model, task, note


def _the_task(is_it: "Callable[[Task], bool]") -> "Task":
    from tfkit.tasks import TASKS

    return next(task for task in TASKS if is_it(task))


def task_of_maps() -> "Task":
    """What is asked of a model that answers each pixel."""
    return _the_task(lambda task: task.answers_pixels)


def refuse_other_tasks(said: TaskName | None) -> None:
    """Refuse what is no task of rows of scores.

    Raises:
        ConfigError: Names those that may be said.
    """
    from tfkit.tasks import TASKS

    may_be = [task.name for task in TASKS if task.has_names and task.answers_whole]
    if said is not None and said not in may_be:
        raise ConfigError(f"--task is {said!r}, expected {', '.join(may_be[:-1])} or {may_be[-1]}")


def says_numbers(said: TaskName | None) -> bool:
    """Whether `--task` says that the outputs are numbers."""
    from tfkit.tasks import task_named

    return said is not None and task_named(said).gives_numbers


def task_of(
    activation: str, units: int, path: Path, said: TaskName | None, *, named: int | None
) -> tuple[TaskName, str]:
    """What the scores behind an activation are, and what to tell; see `judge_head`."""
    from tfkit.tasks import CLASSIFICATION, task_named

    if says_numbers(said):
        raise numbers_refused(path)
    if units == 1:
        return CLASSIFICATION.name, _of_one_unit(activation, path, said, named)
    if said is not None:
        return said, task_named(said).outside_notes.get(activation, "")
    if activation in ("softmax", "sigmoid"):
        asked = _the_task(lambda task: task.activation == activation)
        return asked.name, asked.outside_notes[activation]
    if named == units:
        notes = CLASSIFICATION.outside_notes
        return CLASSIFICATION.name, notes.get(activation, notes[""])
    ends = {"linear": "linear units", "unknown": "a layer that does not say what it gives"}
    raise ModelError(
        f"'{path}' ends in {ends.get(activation, activation)}: {units} numbers that may be logits or anything else",
        hint=_ASK,
    )


def numbers_refused(path: Path) -> ModelError:
    """What is told of a model whose outputs the user calls numbers."""
    return ModelError(
        f"'{path}' gives numbers (--task regression); of models from elsewhere tfkit exports and proves classifiers",
        hint="`tfkit predict --task regression` shows them; a recipe of task.kind regression proves its own",
    )


def _of_masks(asked: "Task", activation: str, units: int, path: Path, said: TaskName | None) -> str:
    """What a reader of a segmenter's scores must know; empty for softmax scores."""
    if units == 1:
        raise ModelError(
            f"'{path}' gives one number for each pixel; expected a score for each of two or more classes",
            hint="end it in two softmax channels: the second is that of the thing",
        )
    if said is not None:
        raise ModelError(f"'{path}' gives scores for each pixel: it is a segmenter, not --task {said}")
    return asked.outside_notes.get(activation, asked.outside_notes[""])


def _of_one_unit(activation: str, path: Path, said: TaskName | None, named: int | None) -> str:
    from tfkit.tasks import task_named

    if said is not None and task_named(said).gives_several:
        raise ModelError(f"'{path}' ends in one unit, which is no several labels", hint="--task classification")
    if activation == "sigmoid":
        return "ends in one sigmoid unit: two classes, the second one over .5; the file gives a score for each"
    if activation == "linear" and (said is not None or named == 2):
        return "ends in one linear unit: taken as the logit of the second of two classes"
    raise ModelError(
        f"'{path}' ends in one unit that is no sigmoid ({activation}): a logit of two classes, or a number",
        hint="say which: --task classification or --task regression",
    )


@dataclass(frozen=True)
class GivenPixels:
    """What a Keras model is given for raw pixels.

    Attributes:
        scaling: The scaling outside of it.
        said: Whether someone said so: the user, or the preprocessor in the file.
        note: What the user should be told; empty for nothing.
    """

    scaling: PixelScaling
    said: bool
    note: str = ""


def given_pixels(model: "keras.Model", said: PixelScaling | None) -> GivenPixels:
    """What a Keras model is given for raw pixels: as was said, as its preprocessor says, or the pixels themselves.

    Args:
        model: The model as it was saved.
        said: What the user said; None for nothing.

    Returns:
        The scaling, and a note where nobody can know it.
    """
    from tfkit.models import preprocessor_scaling, scales_its_pixels

    if said is not None:
        return GivenPixels(said, said=True)
    brought = preprocessor_scaling(model)
    if brought is not None:
        return GivenPixels(brought, said=True, note=f"pixels are given as its own preprocessor does: {brought.words}")
    if scales_its_pixels(model):
        return GivenPixels(RAW, said=False)
    return GivenPixels(
        RAW,
        said=False,
        note="nothing in the model scales its pixels: it is given 0..255; if it learned on others, say "
        "--input-range 0 1, or --input-mean and --input-std",
    )


def on_raw_pixels_of(model: "keras.Model", image: ImageSpec, given: GivenPixels, path: Path) -> "keras.Model":
    """The model that takes raw pixels.

    Raises:
        ModelError: When the scaling is of another number of channels, or the model is quantisation-aware already.
    """
    from tfkit.compression import is_compressed
    from tfkit.models import taking_raw_pixels

    refuse_other_channels(given.scaling, image, path)
    if given.scaling.is_raw:
        return model
    if is_compressed(model):
        raise ModelError(
            f"'{path}' is pruned or quantisation-aware: what scales its pixels cannot be put in front of it",
            hint="say --input-range and the like for the float model, before it is compressed",
        )
    return taking_raw_pixels(model, image, given.scaling)


def refuse_other_channels(scaling: PixelScaling | None, image: ImageSpec, path: Path) -> None:
    """Refuse a scaling of three channels for grey pictures."""
    if scaling is not None and (
        len(scaling.scale) not in (1, image.channels) or scaling.blue_first > image.channels // 3
    ):
        raise ModelError(
            f"'{path}' takes {image.channels} channel; got {scaling.option}", hint="say one number for grey pictures"
        )


def labelled_pixels(examples: "ImageExamples", image: ImageSpec) -> "tuple[NDArray[np.uint8], NDArray[np.int32]]":
    """Some pictures and their labels, as many of each class: enough to try a model on in seconds."""
    import numpy as np

    from tfkit.data import host_pixel_batches
    from tfkit.data.splitting import spread_over_classes

    count = _MANY_SMALL if image.height * image.width <= _SMALL_PIXELS else _SOME_LARGE
    chosen = spread_over_classes(examples.labels, count=count, seed=0)
    some = examples.select(chosen)
    return np.concatenate(list(host_pixel_batches(some, image, batch_size=64))), some.labels


def ask_keras(model: "keras.Model", examples: "ImageExamples", image: ImageSpec, given: GivenPixels) -> "InputFinding":
    """Try a Keras model on labelled pictures; see `tfkit.verification.probe_inputs`."""
    from tfkit.runtimes import KerasRuntime

    with KerasRuntime(model) as runtime:
        return ask(lambda scaling, pixels: runtime.scores(scaling.applied(pixels)), examples, image, given.scaling)


def ask(
    scores: "Callable[[PixelScaling, NDArray[np.uint8]], NDArray[np.floating]]",
    examples: "ImageExamples",
    image: ImageSpec,
    given: PixelScaling,
) -> "InputFinding":
    """Try a model on labelled pictures.

    Args:
        scores: The model's scores of uint8 pictures under a scaling.
        examples: The labelled pictures, of the model's classes.
        image: What it takes.
        given: What was said.
    """
    from tfkit.verification import probe_inputs

    pixels, labels = labelled_pixels(examples, image)
    return probe_inputs(
        lambda scaling: scores(scaling, pixels),
        labels,
        given=given,
        classes=len(examples.class_names),
        channels=image.channels,
    )


def try_on(
    display: "Display",
    model: "keras.Model",
    examples: "ImageExamples",
    image: ImageSpec,
    given: GivenPixels,
    *,
    known: bool,
) -> None:
    """Tell, before a file is written, that a model takes other pixels, or has its classes in another order.

    What the user said stands, with a word; what was taken for granted does not.

    Args:
        display: Where to show it.
        model: The Keras model as it was saved.
        examples: Labelled pictures of the model's classes.
        image: What it takes.
        given: What it is given for raw pixels.
        known: Whether someone said which score is which class.

    Raises:
        ModelError: Says how it is right more often.
    """
    names = examples.class_names
    with display.stage("Pixels and labels") as stage:
        finding = ask_keras(model, examples, image, given)
        stage.result(f"right on {finding.given:.0%} of {finding.examples} of them, given {given.scaling.words}")
    told, hint = range_told(finding, given.scaling, names)
    sure = given.said
    if not told and finding.order is not None:
        (told, hint), sure = order_told(finding.order, names), known
    if told and not sure:
        raise ModelError(told, hint=hint)
    if told:
        display.note(f"mind: {told}; {hint}")


def range_told(finding: "InputFinding", given: PixelScaling, class_names: tuple[str, ...]) -> tuple[str, str]:
    """What was found about the pixels, and what to say; empty where they are as was said."""
    if not finding.ways:
        return "", ""
    told = (
        f"right on {finding.given:.0%} of {finding.examples} labelled pictures as {given.words}, "
        f"on {finding.accuracy:.0%} as {' or as '.join(way.words for way in finding.ways)}"
    )
    if finding.order is not None:
        told += f", with the labels in the order {finding.order.listed(class_names)}"
    which = "say which it learned on: " if len(finding.ways) > 1 else "say "
    options = ", or ".join(way.option for way in finding.ways)
    return told, f"{which}{options}; to leave it as it is, say {given.option}"


def order_told(order: "LabelOrder", class_names: tuple[str, ...]) -> tuple[str, str]:
    """What was found about the order of the labels, and what to do."""
    hint = "write the labels in the order of the scores, one a line, into a file: --labels FILE"
    return order.told(class_names), hint
