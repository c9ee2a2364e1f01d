"""Write an exported model under its name only when it is finished and found good."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from tfkit.artifacts import InputSpec, TaskName
from tfkit.errors import ExportError, RunError
from tfkit.exporters.box_outputs import with_score_and_location
from tfkit.exporters.metadata import with_metadata
from tfkit.exporters.normalization import normalized
from tfkit.runtimes import scale_that_is_no_number
from tfkit.tasks import task_named


@contextlib.contextmanager
def finished_model(path: Path) -> Iterator[Path]:
    """Give a temporary name to write to; it becomes `path` when the body ends well, and is removed when not.

    Args:
        path: The file or folder that is to be. It must not exist; its parents are made.

    Yields:
        The temporary path beside it, which the body makes.

    Raises:
        ExportError: When `path` exists.
        RunError: When it cannot be written: the disk is full, or the folder is not writable.
    """
    if path.exists():
        raise ExportError(
            f"'{path}' exists already and is never overwritten", hint="choose another name, or move it away"
        )
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(unfinished)
        yield unfinished
        unfinished.rename(path)
    except (OSError, tf.errors.OpError) as fault:
        _remove(unfinished)
        # TensorFlow's message is `{{function_node ...}} <file>; No space left on device [Op:SaveV2]`.
        reason = fault.strerror if isinstance(fault, OSError) else fault.message.split("; ")[-1].split(" [Op:")[0]
        raise RunError(
            f"cannot write '{path}': {reason}", hint="make room on the disk, or choose another folder"
        ) from fault
    except BaseException:
        _remove(unfinished)
        raise


@contextlib.contextmanager
def finished_tflite(
    path: Path, *, spec: InputSpec, class_names: tuple[str, ...], task: TaskName = "classification"
) -> Iterator[Path]:
    """As `finished_model`, for a `.tflite` file: it is normalised and described before it gets its name.

    Args:
        path: The file that is to be. It must not exist; its parents are made.
        spec: The images or texts it takes.
        class_names: Its labels, in the order of the scores; none for an embedder.
        task: What is asked of it.

    Yields:
        The temporary path beside it, where the body writes a flatbuffer.

    Raises:
        ExportError: When `path` exists, or the file holds a scale that is no number.
        RunError: When it cannot be written.
    """
    with finished_model(path) as unfinished:
        yield unfinished
        _refuse_odd_scales(unfinished, path)
        flatbuffer = normalized(unfinished.read_bytes())
        if task_named(task).answers_boxes:
            flatbuffer = with_score_and_location(flatbuffer)
        unfinished.write_bytes(with_metadata(flatbuffer, spec=spec, class_names=class_names, task=task))


def _refuse_odd_scales(unfinished: Path, path: Path) -> None:
    if (tensor := scale_that_is_no_number(unfinished)) is not None:
        raise ExportError(
            f"'{path}' would hold a scale that is no number, of tensor '{tensor}'",
            hint="the model's activations overflow: train it again with a lower learning_rate, or look at its inputs",
        )


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
