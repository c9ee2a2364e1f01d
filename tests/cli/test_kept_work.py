"""A run that stops says which model it saved, and never one of an older run."""

import errno
import os
from pathlib import Path

import pytest

from tfkit.errors import DataError, RunError
from tfkit.terminal.interruption import InterruptedRunError, kept_work_noted


def save(run: Path, name: str, *, written: int) -> Path:
    path = run / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"a model")
    os.utime(path, (written, written))
    return path


def stopped(run: Path, fault: BaseException, **saved: int) -> BaseException:
    with pytest.raises(BaseException) as told, kept_work_noted(run):
        for stage, written in saved.items():
            save(run, f"checkpoints/{stage}.keras", written=written)
        raise fault
    return told.value


def test_an_interruption_names_the_model_saved_last(tmp_path: Path) -> None:
    told = stopped(tmp_path, KeyboardInterrupt(), head=100, fine_tune=200)
    assert isinstance(told, InterruptedRunError) and str(told) == "interrupted"
    assert told.__notes__ == [f"'{tmp_path}/checkpoints/fine_tune.keras', the model that was saved last"]
    assert told.hint == "to go on from here: the same command"


def test_a_fault_passes_as_it_is_with_the_note(tmp_path: Path) -> None:
    fault = DataError("no images")
    assert stopped(tmp_path, fault, head=100) is fault
    assert "head.keras" in fault.__notes__[0]


def test_a_model_of_an_older_run_is_not_claimed(tmp_path: Path) -> None:
    save(tmp_path, "models/float.keras", written=100)
    told = stopped(tmp_path, KeyboardInterrupt())
    assert not hasattr(told, "__notes__") and "to go on from here" in told.hint


@pytest.mark.parametrize(
    "fault", [OSError(errno.ENOSPC, "No space left on device"), Exception("x; No space left on device [Op:SaveV2]")]
)
def test_a_full_disk_is_told_with_the_run_it_stopped(tmp_path: Path, fault: Exception) -> None:
    told = stopped(tmp_path, fault)
    assert isinstance(told, RunError) and str(told) == f"cannot write to '{tmp_path}': the disk is full"


@pytest.mark.parametrize("fault", [MemoryError(), ValueError("array is too big; `arr.size * arr.dtype.itemsize`")])
def test_lack_of_memory_is_told_with_what_to_lower(tmp_path: Path, fault: Exception) -> None:
    told = stopped(tmp_path, fault, head=100)
    assert isinstance(told, RunError) and str(told) == "out of memory" and "data.batch_size" in told.hint
    assert "head.keras" in told.__notes__[0]


@pytest.mark.parametrize(("kept", "reason"), [(None, "No such file or directory"), (300, "Invalid JPEG data")])
def test_a_file_that_goes_bad_in_training_is_told(tmp_path: Path, kept: int | None, reason: str) -> None:
    import numpy as np
    import tensorflow as tf

    from tfkit.data import FileSource

    path = tmp_path / "a.jpg"
    whole = tf.io.encode_jpeg(tf.zeros((64, 64, 3), tf.uint8)).numpy()
    if kept is not None:
        path.write_bytes(whole[:kept])
    with pytest.raises(tf.errors.OpError) as fault:
        list(FileSource([path], channels=3).pixels(np.array([0])))
    told = stopped(tmp_path / "run", fault.value)
    assert isinstance(told, RunError) and "a file of the data cannot be read any more" in str(told)
    assert reason in str(told)


def test_more_lost_files_than_allowed_are_told(tmp_path: Path) -> None:
    import numpy as np
    import tensorflow as tf

    from tfkit.data import load_image_splits

    for number in range(20):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tf.io.encode_png(tf.fill((8, 8, 3), tf.constant(number, tf.uint8))).numpy())
    train = load_image_splits(source="image_folder", directory=tmp_path / "photos").train
    path.unlink()
    with pytest.raises(tf.errors.OpError) as fault:
        list(train.source.pixels(np.arange(20)))
    told = stopped(tmp_path / "run", fault.value)
    assert isinstance(told, RunError) and "tfkit check" in told.hint
    assert str(told) == (
        "1 of 20 images broke or vanished after the check, more than data.max_lost_fraction (0.02) allows: b/19.png"
    )
