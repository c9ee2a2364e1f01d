"""Models are fed by the names of their inputs, and bare where they have one input without a name."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from tfkit.artifacts import ImageSpec
from tfkit.compression import quantize_aware, settle_biases
from tfkit.exporters import export_saved_model, export_tflite
from tfkit.graph import fed
from tfkit.runtimes import KerasRuntime, open_runtime

_PIXELS = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)


def test_values_go_to_the_inputs_of_their_names() -> None:
    one, two = (keras.Input((2,), name=name) for name in ("one", "two"))
    named = keras.Model({"one": one, "two": two}, layers.Add()([one, two]))
    feed = {"two": np.ones((1, 2)), "one": np.zeros((1, 2)), "other": np.ones((1, 2))}
    assert list(fed(named, feed)) == ["one", "two"]
    bare = np.ones((1, 2))
    assert fed(keras.Model(one, layers.ReLU()(one)), {"pixels": bare}) is bare


@pytest.fixture(scope="module")
def sequential() -> keras.Sequential:
    """Never called: it has `inputs`, and no `input`."""
    head = [layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax")]
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Rescaling(1 / 255), layers.Conv2D(4, 3), *head])
    assert not hasattr(model, "input")
    return model


def test_a_sequential_that_was_never_called_runs_and_is_exported(sequential: keras.Sequential, tmp_path: Path) -> None:
    with KerasRuntime(sequential) as runtime:
        expected = runtime.scores(_PIXELS)
    names, image = ("a", "b", "c"), ImageSpec(8, 8, 3)
    made = [
        export_saved_model(sequential, tmp_path, spec=image, class_names=names),
        export_tflite(sequential, tmp_path / "m.tflite", quantization="none", spec=image, class_names=names),
    ]
    for artifact in made:
        with open_runtime(artifact) as runtime:
            np.testing.assert_allclose(runtime.scores(_PIXELS), expected, atol=1e-5)


def test_a_sequential_that_was_never_called_is_trained_quantisation_aware(sequential: keras.Sequential) -> None:
    student = quantize_aware(sequential, _PIXELS)
    assert settle_biases(student) > 0
