"""Takes one training step of each batch size and prints its peak memory; run by `memory`, in a process of its own."""

import functools
import json
import sys
from pathlib import Path

import keras
import numpy as np

from tfkit.keras_types import Array
from tfkit.models import load_model_file
from tfkit.training.result import PeakMemory


def main(path: str, length: str, *batch_sizes: str) -> None:
    """Print a JSON list of (batch size, bytes)."""
    model = load_model_file(Path(path))
    model.trainable = True
    model.compile("adam", "mean_squared_error", jit_compile=False)
    peaks = []
    for size in map(int, batch_sizes):
        memory = PeakMemory()
        ones = functools.partial(_ones, count=size, length=int(length))
        model.train_on_batch(*(keras.tree.map_structure(ones, tensors) for tensors in (model.input, model.output)))
        peaks.append((size, memory.bytes))
    print(json.dumps(peaks))  # noqa: T201


def _ones(tensor: keras.KerasTensor, *, count: int, length: int) -> Array:
    return np.ones((count, *(length if size is None else size for size in tensor.shape[1:])), tensor.dtype)


if __name__ == "__main__":
    main(*sys.argv[1:])
