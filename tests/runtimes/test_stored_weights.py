"""Counting the zeros of a file's kernels."""

import os
from pathlib import Path

import numpy as np
import pytest

from tfkit.exporters import export_tflite
from tfkit.runtimes import read_stored_weights


@pytest.fixture(scope="module")
def half_empty(small_classifier):
    """The small classifier with every second weight of its kernels at zero, and how many weights there are."""
    import keras

    model = keras.models.clone_model(small_classifier)
    weights = [array.copy() for array in small_classifier.get_weights()]
    kernels = [array for array in weights if array.ndim > 1]
    for kernel in kernels:
        kernel.reshape(-1)[::2] = 0
        kernel.reshape(-1)[1::2] = np.sign(kernel.reshape(-1)[1::2]) * 0.5  # far from rounding to zero
    model.set_weights(weights)
    return model, sum(kernel.size for kernel in kernels)


@pytest.mark.parametrize("quantization", ["none", "float16", "dynamic_int8", "int8"])
def test_zeros_are_counted_in_every_kind_of_file(half_empty, quantization, image, class_names, random_pixels, tmp_path):
    model, weights = half_empty
    path = tmp_path / "model.tflite"
    pixels = random_pixels if quantization == "int8" else None
    export_tflite(model, path, quantization=quantization, spec=image, class_names=class_names, calibration=pixels)
    stored = read_stored_weights(path)
    assert stored.weights == weights
    assert stored.share == pytest.approx(0.5, abs=0.01)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="only Linux lists a process's open files")
def test_the_file_is_closed_after_reading(int8_file):
    read_stored_weights(int8_file)
    assert str(int8_file) not in {os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()}
