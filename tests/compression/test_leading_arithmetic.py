"""Arithmetic on the pixels is their scaling, whoever wrote it: Rescaling, operations, `preprocess_input`."""

import keras
import numpy as np
import pytest

from tfkit.artifacts import ImageSpec
from tfkit.compression import (
    QuantizationPolicy,
    quantization_coverage,
    quantize_aware,
    settle_biases,
    strip_compression,
)
from tfkit.errors import ModelError
from tfkit.exporters.quantization_aware import export_integers
from tfkit.runtimes import LiteRTRuntime

L = keras.layers
IMAGE = ImageSpec(12, 12, 3)


def _applications(mode):
    return lambda x: keras.applications.imagenet_utils.preprocess_input(x, data_format="channels_last", mode=mode)


WRITTEN = {
    "operations": lambda x: keras.ops.subtract(keras.ops.multiply(x, 1 / 127.5), 1.0),
    "tf": _applications("tf"),
    "torch": _applications("torch"),
    "caffe": _applications("caffe"),
    "flipped": lambda x: x[..., ::-1] / 255 - 0.5,
    "augmented": lambda x: _applications("tf")(L.RandomRotation(0.1)(L.RandomFlip()(x))),
    "mixed": lambda x: L.Normalization(mean=[0.4, 0.5, 0.6], variance=[0.1, 0.2, 0.3])(x / 255.0),
}
# What needs no operator of its own: the file's input tensor has the scale.
IN_THE_INPUT = {"operations", "tf", "augmented"}
_QUICK = {"operations", "caffe"}
WAYS = [way if way in _QUICK else pytest.param(way, marks=pytest.mark.slow) for way in WRITTEN]


def _pixels(count=48):
    rng = np.random.default_rng(0)
    base = rng.integers(0, 256, (count, 1, 1, 3)) + rng.integers(-40, 40, (count, 12, 12, 3))
    return np.clip(base, 0, 255).astype(np.uint8)


def _classifier(scaled):
    keras.utils.set_random_seed(0)
    pixels = keras.Input(IMAGE.shape)
    x = L.Conv2D(16, 3, padding="same", activation="relu", bias_initializer="random_normal", name="conv")(
        scaled(pixels)
    )
    spread = keras.initializers.RandomNormal(0, 2, seed=1)
    return keras.Model(pixels, L.Dense(5, "softmax", kernel_initializer=spread)(L.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize("way", WAYS)
def test_the_file_scales_raw_pixels_as_the_model_does(way, tmp_path):
    model = _classifier(WRITTEN[way])
    rows = {row.layer: row for row in quantization_coverage(model)}
    assert {row.treatment for row in rows.values()} <= {"input", "absent", "kernel", "activation", "compute", "fixed"}
    assert any(row.treatment == "input" for row in rows.values())
    student = quantize_aware(model, _pixels())
    settle_biases(student)
    made = export_integers(student, image=IMAGE, pixels=_pixels(4))
    (tmp_path / "m.tflite").write_bytes(made.flatbuffer)
    wanted, trained = (one.predict(_pixels().astype("float32"), verbose=0) for one in (model, student))
    with LiteRTRuntime(tmp_path / "m.tflite") as runtime:
        found = runtime.scores(_pixels())
    assert np.mean(wanted.argmax(1) == trained.argmax(1)) >= 0.9
    assert np.mean(np.abs(wanted - trained)) < 0.02
    assert np.abs(found - trained).max() * 256 <= 4
    first = next(row.operator for row in made.layers)
    assert (first == "CONV_2D") == (way in IN_THE_INPUT | {"caffe", "flipped"})
    np.testing.assert_allclose(
        strip_compression(student).predict(_pixels(8).astype("float32"), verbose=0), wanted[:8], atol=0.05
    )


def test_sixteen_bits_scale_channel_by_channel_too():
    student = quantize_aware(_classifier(WRITTEN["caffe"]), _pixels(), policy=QuantizationPolicy(activation_bits=16))
    settle_biases(student)
    assert export_integers(student, image=IMAGE, pixels=_pixels(4)).layers[-1].mean_steps < 8 * 257


def test_numbers_for_each_place_of_a_picture_are_refused_in_words():
    means = np.arange(12 * 12 * 3.0).reshape(IMAGE.shape)
    places = L.Normalization(axis=(1, 2, 3), mean=means, variance=np.full(IMAGE.shape, 3600.0))
    with pytest.raises(ModelError, match="scales each place by numbers of its own"):
        quantization_coverage(_classifier(places))


def test_a_reordering_of_features_is_no_scaling():
    pixels = keras.Input(IMAGE.shape)
    x = L.Conv2D(3, 3, name="conv")(L.Rescaling(1 / 255)(pixels))
    model = keras.Model(pixels, L.Dense(2)(L.GlobalAveragePooling2D()(x[..., ::-1] / 2.0)))
    rows = {row.kind: row.treatment for row in quantization_coverage(model)}
    assert rows["GetItem"] == "same"
