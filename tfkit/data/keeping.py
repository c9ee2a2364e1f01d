"""Where a run keeps its decoded images for all stages: in memory, or in a file without a name on disk."""

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import ImageSpec
from tfkit.data.examples import ImageExamples
from tfkit.data.kept_pixels import KeptPixels
from tfkit.errors import printable

_GB = 1e9
_LEFT_FREE = 0.5  # of what is free now: checkpoints, models and the report come after


def keep_pixels(splits: Sequence[ImageExamples], image: ImageSpec, *, memory_bytes: int, folder: Path) -> str | None:
    """From now on, decode each encoded image of some splits once, whoever asks for it.

    All pixels go into one array: in memory when they fit the allowance, otherwise in a mapped file without a name,
    which the system removes when the process ends, however it ends. What is kept already, stays.

    Args:
        splits: The examples of a run.
        image: The size that its model takes; other sizes are decoded each time.
        memory_bytes: The most that is held in memory; 0 keeps nothing at all.
        folder: A folder on the disk that takes what does not fit.

    Returns:
        A sentence for the user when the disk is used, or has no room and images are decoded in every epoch.

    Example:
        >>> splits = load_image_splits(source="digits")
        >>> keep_pixels([splits.train], ImageSpec(8, 8, 1), memory_bytes=1 << 20, folder=Path())  # arrays are decoded
    """
    sources = {id(one.source): one.source for one in splits if one.source.is_encoded}
    used = {
        key: np.unique(np.concatenate([one.indices for one in splits if one.source is source]))
        for key, source in sources.items()
    }
    shape = (sum(map(len, used.values())), *image.shape)
    size = int(np.prod(shape, dtype=np.int64))
    kept_already = all(source.kept and source.kept.has_place(image, used[key]) for key, source in sources.items())
    if not size or not memory_bytes or kept_already:
        return None
    array, note = (np.empty(shape, np.uint8), None) if size <= memory_bytes else _on_disk(shape, size, folder)
    if array is None:
        return note
    begin = 0
    for key, source in sources.items():
        indices = used[key]
        source.kept = KeptPixels(image, indices, array[begin : begin + len(indices)])
        begin += len(indices)
    return note


def _on_disk(shape: tuple[int, ...], size: int, folder: Path) -> tuple[NDArray[np.uint8] | None, str]:
    """A mapped array whose room on the disk is taken now, so that no write to it can fail; None without that room."""
    told = f"decoded images take {size / _GB:.1f} GB, more than data.cache_mb allows"
    again = "they are decoded again in every epoch"
    free = shutil.disk_usage(folder).free
    if size > _LEFT_FREE * free:
        return None, f"{told}, and the disk of '{folder}' has {free / _GB:.1f} GB free; {again}"
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
            array = np.memmap(file, np.uint8, "r+", shape=shape)
    except OSError as fault:
        return None, f"{told}, and cannot be written to '{folder}' ({printable(str(fault.strerror))}); {again}"
    return array, f"{told}: they are kept on the disk of '{folder}' until the run ends"
