"""int8 after training of layers whose own conversion stays in float, and of those that cannot be calibrated."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tfkit.artifacts import ImageSpec
from tfkit.compression import quantize_aware
from tfkit.errors import ExportError
from tfkit.exporters import export_tflite
from tfkit.runtimes import LiteRTRuntime, read_operators

PIXELS = np.random.default_rng(0).integers(0, 256, (32, 12, 12, 3)).astype(np.uint8)
IMAGE = ImageSpec(12, 12)


def classifier(*layers: Any) -> keras.Model:
    keras.utils.set_random_seed(0)
    first = [keras.Input((12, 12, 3)), keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(8, 3)]
    return keras.Sequential([*first, *layers, keras.layers.Dense(3), keras.layers.Softmax()])


class _SumOfTwoParts(keras.layers.Layer):
    def call(self, x: Any) -> Any:
        first, _, _, last = keras.ops.split(x, 4, axis=-1)
        return first + last


@pytest.mark.parametrize(
    "layers",
    [
        lambda: (keras.layers.GlobalMaxPooling2D(),),
        lambda: (keras.layers.UpSampling2D(), keras.layers.GlobalAveragePooling2D()),
        lambda: (keras.layers.LeakyReLU(0.1), keras.layers.GlobalAveragePooling2D()),
        lambda: (keras.layers.Activation("selu"), keras.layers.GlobalAveragePooling2D()),
        lambda: (
            keras.layers.PReLU("ones", shared_axes=[1, 2]),
            keras.layers.Conv2D(8, 3),
            keras.layers.ReLU(max_value=1),
            keras.layers.Conv2D(8, 3),
            keras.layers.ELU(),
            keras.layers.GlobalAveragePooling2D(),
        ),
        lambda: (_SumOfTwoParts(), keras.layers.GlobalAveragePooling2D()),
        lambda: (keras.layers.Reshape((10, 80)), keras.layers.LSTM(4, unroll=True)),
    ],
    ids=[
        "global maximum",
        "upsampling",
        "leaky relu",
        "comparison of SELU",
        "slopes, bounds and functions",
        "a part that nobody reads",
        "steps without a loop, whose first forgets a state of zeros",
    ],
)
def test_the_file_is_all_integers_and_answers_as_the_model(tmp_path: Path, layers: Any) -> None:
    model = classifier(*layers())
    described: dict[str, Any] = {"spec": IMAGE, "class_names": ("a", "b", "c"), "calibration": PIXELS}
    file = export_tflite(model, tmp_path / "m.tflite", quantization="int8", **described).path
    with LiteRTRuntime(file, threads=1) as runtime:
        scores = runtime.scores(PIXELS)
    np.testing.assert_allclose(scores, model.predict(PIXELS.astype("float32"), verbose=0), atol=0.03)


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.GRU(4, name="rows"),
        keras.layers.Bidirectional(keras.layers.SimpleRNN(4, name="rows")),
    ],
    ids=["GRU", "both ways"],
)
def test_loops_are_refused_in_words(tmp_path: Path, layer: Any) -> None:
    model = classifier(keras.layers.Reshape((10, 80)), layer)
    described: dict[str, Any] = {"spec": IMAGE, "class_names": ("a", "b", "c"), "calibration": PIXELS[:4]}
    with pytest.raises(ExportError, match=r"inside of loops .* WHILE \(layer '\w*rows'\)") as caught:
        export_tflite(model, tmp_path / "m.tflite", quantization="int8", **described)
    assert "dynamic_int8" in caught.value.hint and "allocate_tensors" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("quantization", ["none", "int8"])
def test_a_model_of_whole_pixels_has_no_casts_in_its_files(tmp_path: Path, quantization: Any) -> None:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((12, 12, 3), dtype="uint8")
    x = keras.layers.Conv2D(8, 3, activation="relu")(keras.ops.cast(inputs, "float32") / 255.0)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(keras.layers.GlobalMaxPooling2D()(x)))
    described: dict[str, Any] = {"spec": IMAGE, "class_names": ("a", "b", "c"), "calibration": PIXELS}
    file = export_tflite(model, tmp_path / "m.tflite", quantization=quantization, **described).path
    assert "CAST" not in {operator.name for operator in read_operators(file)}
    with LiteRTRuntime(file, threads=1) as runtime:
        np.testing.assert_allclose(runtime.scores(PIXELS), model.predict(PIXELS, verbose=0), atol=0.03)
    assert quantize_aware(model, PIXELS).inputs[0].dtype == "float32"


def test_named_operators_may_stay_in_float_and_are_told(tmp_path: Path) -> None:
    model = classifier(keras.layers.UnitNormalization(name="unit"), keras.layers.GlobalAveragePooling2D())
    described: dict[str, Any] = {"spec": IMAGE, "class_names": ("a", "b", "c"), "calibration": PIXELS}
    with pytest.raises(ExportError, match="'unit'") as caught:
        export_tflite(model, tmp_path / "m.tflite", quantization="int8", **described)
    assert "allow_float [unit]" in caught.value.hint
    file = export_tflite(model, tmp_path / "m.tflite", quantization="int8", allow_float=["unit"], **described)
    assert "in float, as allowed" in file.made_by and "unit" in file.made_by
    with LiteRTRuntime(file.path, threads=1) as runtime:
        np.testing.assert_allclose(
            runtime.scores(PIXELS), model.predict(PIXELS.astype("float32"), verbose=0), atol=0.03
        )
