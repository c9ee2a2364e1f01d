"""An integer `.tflite` file trained against the float one that it was made of: `tfkit.tune_file`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import Artifact, ImageSpec, PixelScaling, ResizeMode
from tfkit.errors import ConfigError, DataError, ModelError
from tfkit.opening import find_artifacts, read_unlabelled
from tfkit.operations.values import PathLike
from tfkit.running import Display, SilentDisplay
from tfkit.terminal import import_tensorflow

if TYPE_CHECKING:
    from tfkit.data import Examples, ImageExamples
    from tfkit.file_tuning import IntegerFileModel, Tuned, Tuning
    from tfkit.runtimes import LiteRTRuntime

_BATCH = 64
_MOST_APART = 0.02  # share of answers that an untrained model may give otherwise than its file


@dataclass(frozen=True)
class TunedFile:
    """What came of it.

    Attributes:
        file: The new file; None where training made nothing better, and nothing was written.
        training: How the loss on held-out pictures fell.
        pictures: How many pictures there were.
        same_before: Share of held-out pictures to which the old file answers as the teacher does.
        same_after: The same of the new file, asked in LiteRT.
        as_the_file: Share of pictures to which the model that was read answers to the step as its file did.
        left_out: Pictures that cannot be read.
    """

    file: Path | None
    training: "Tuned"
    pictures: int
    same_before: float
    same_after: float
    as_the_file: float
    left_out: int

    @property
    def sentences(self) -> list[str]:
        """For the terminal."""
        told = [f"the model that was read answers as its file, to the step, to {self.as_the_file:.1%} of the pictures"]
        if self.left_out:
            told.append(f"{self.left_out} pictures cannot be read")
        if self.file is None:
            return [*told, "training made nothing better on held-out pictures: no file was written"]
        held = f"of {self.training.held_out} held-out pictures"
        return [
            *told,
            f"as the teacher: {self.same_before:.1%} {held}, now {self.same_after:.1%} (epoch {self.training.best})",
            f"the new file is {self.file}: prove it with tfkit verify --data",
        ]


def tune_file(
    path: PathLike,
    teacher: PathLike,
    data: "list[PathLike] | PathLike",
    output: PathLike,
    *,
    plan: "Tuning | None" = None,
    pictures: int = 5000,
    resize: ResizeMode = "crop",
    scaling: PixelScaling | None = None,
    teacher_scaling: PixelScaling | None = None,
    display: Display | None = None,
) -> TunedFile:
    """Train an integer file's weights, scales and biases until it answers as a float file does.

    For files that were made int8 after training, by whomever, when the model and its labels are gone. Nothing but
    weights changes: operators, tensors and metadata stay, and whatever runs the old file runs the new one.

    Args:
        path: The integer `.tflite` file, of pictures.
        teacher: The float `.tflite` file that it was made of.
        data: Pictures, or folders of them; no labels are needed.
        output: The file to write.
        plan: How to train.
        pictures: How many to use at most, drawn at random.
        resize: How pictures are fitted to both files.
        scaling: What the integer file takes for raw pixels, where it does not say.
        teacher_scaling: What the teacher takes for them: without metadata nobody knows it of a float file.
        display: Where progress is shown; nowhere when None.

    Returns:
        What came of it.

    Raises:
        ConfigError: When the two files take other pictures, or give other answers.
        DataError: When there are too few pictures, or the output exists.
        ModelError: When a file cannot be read, or has operators that cannot be trained.

    Example:
        >>> tuned = tfkit.tune_file("int8.tflite", "float32.tflite", "photos", "tuned.tflite")  # doctest: +SKIP
        >>> tuned.same_before, tuned.same_after  # doctest: +SKIP
        (0.968, 0.981)
    """
    from tfkit.runtimes import LiteRTRuntime

    path, output, display = Path(path), Path(output), display or SilentDisplay()
    if output.exists():
        raise DataError(f"'{output}' exists already, and is never overwritten", hint="name another with --output")
    student, knowing = (find_artifacts(Path(one), resize=resize)[0] for one in (path, teacher))
    image, seen = _images_of(student, knowing)
    import_tensorflow()
    from tfkit.file_tuning import Tuning, read_integer_file, tune, written_back
    from tfkit.files import written_whole

    model = read_integer_file(student.path)
    with display.stage("Read the pictures") as stage:
        paths = [Path(one) for one in ([data] if isinstance(data, str | Path) else data)]
        names = student.class_names
        examples, left_out = read_unlabelled(
            paths, image, model=student.path, class_names=names, at_most=pictures, seed=(plan or Tuning()).seed
        )
        stage.result(f"{len(examples)} pictures")
    with display.stage("Ask both files") as stage:
        with LiteRTRuntime(student.path, scaling=scaling) as runtime:
            inputs, answers = _asked(runtime, examples, image, stage.progress)
        with LiteRTRuntime(knowing.path, scaling=teacher_scaling) as runtime:
            _, wanted = _asked(runtime, examples, seen, stage.progress)
        alike = _as_the_file(model, inputs, answers, student.path)
        stage.result(f"{(answers.argmax(-1) == wanted.argmax(-1)).mean():.1%} answers are the same")
    with display.stage("Train the file") as stage:
        tuned = tune(model, inputs, wanted, plan or Tuning(), progress=stage.progress)
        stage.result(f"{tuned.losses[0]:.4f} to {tuned.losses[tuned.best]:.4f} on {tuned.held_out} held-out pictures")
    held = _held_out(len(inputs), plan or Tuning())
    before = float((answers[held].argmax(-1) == wanted[held].argmax(-1)).mean())
    if not tuned.best:
        return TunedFile(None, tuned, len(inputs), before, before, alike, len(left_out))
    with written_whole(output) as unfinished:
        unfinished.write_bytes(written_back(student.path.read_bytes(), model))
    with LiteRTRuntime(output, scaling=scaling) as runtime:
        _, now = _asked(runtime, examples.select(held), image, None)
    after = float((now.argmax(-1) == wanted[held].argmax(-1)).mean())
    return TunedFile(output, tuned, len(inputs), before, after, alike, len(left_out))


def _held_out(count: int, plan: "Tuning") -> NDArray[np.intp]:
    from tfkit.file_tuning.training import held_out

    return held_out(count, plan)[0]


def _images_of(student: Artifact, knowing: Artifact) -> tuple[ImageSpec, ImageSpec]:
    """What both files take; refuses two that cannot be compared."""
    if not isinstance(student.input, ImageSpec) or not isinstance(knowing.input, ImageSpec):
        raise ConfigError("both files must take pictures", hint="name .tflite files of an image classifier")
    if student.input.shape != knowing.input.shape:
        raise ConfigError(f"'{student.path}' takes {student.input.shape}, and the teacher {knowing.input.shape}")
    if len(student.class_names) != len(knowing.class_names):
        raise ConfigError(
            f"'{student.path}' gives {len(student.class_names)} scores, and the teacher {len(knowing.class_names)}"
        )
    return student.input, knowing.input


def _asked(
    runtime: "LiteRTRuntime", examples: "Examples", image: ImageSpec, progress: Callable[[int, int], None] | None
) -> tuple[NDArray[np.number], NDArray[np.float32]]:
    """A file's input integers for pictures, and its answers."""
    from tfkit.data import host_pixel_batches

    inputs, answers = [], []
    for pixels in host_pixel_batches(cast("ImageExamples", examples), image, batch_size=_BATCH):
        inputs.append(runtime.encoded(pixels))
        answers.append(runtime.scores(pixels))
        if progress is not None:
            progress(sum(map(len, answers)), len(examples))
    return np.concatenate(inputs), np.concatenate(answers)


def _as_the_file(
    model: "IntegerFileModel", inputs: NDArray[np.number], answers: NDArray[np.float32], path: Path
) -> float:
    """Whether what was read computes what the file does, before it is trained."""
    (number,) = model.graph.outputs.values()
    tensor = model.tensor(number)
    found = np.concatenate([model(inputs[start : start + _BATCH]).numpy() for start in range(0, len(inputs), _BATCH)])
    if tensor.scales is not None:
        found = (found - float(tensor.zero_points[0])) * np.float32(tensor.scales[0])
    found = found.reshape(len(inputs), -1)
    if found.shape[-1] != answers.shape[-1]:
        raise ModelError(f"'{path}' gives one score for two classes", hint="tune a file with a score for each class")
    apart = float((found.argmax(-1) != answers.argmax(-1)).mean())
    if apart > _MOST_APART:
        raise ModelError(
            f"what was read of '{path}' answers otherwise than the file for {apart:.1%} of the pictures",
            hint="an operator of it is read wrongly: report the file",
        )
    return float((np.abs(found - answers).max(axis=-1) < 1e-6).mean())
