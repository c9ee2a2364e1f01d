"""After training: biases on the file's grid, and the way back to plain Keras layers."""

import keras
import numpy as np
import pytest

from tfkit import models
from tfkit.artifacts import ImageSpec
from tfkit.compression import (
    FreezeRanges,
    fake_quantizers,
    fold,
    is_compressed,
    is_quantize_aware,
    quantize_aware,
    settle_biases,
    strip_compression,
)
from tfkit.compression.distillation import distiller
from tfkit.layers import CompressedKernel, FakeQuantize

IMAGE = ImageSpec(16, 16, 3)


@pytest.fixture
def student() -> keras.Model:
    keras.utils.set_random_seed(0)
    model = models.build_classifier(models.build_backbone("resnet8", image=IMAGE, weights="random"), classes=4)
    random = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.gamma.shape
            layer.set_weights(
                [random.normal(1, 0.4, size), *(random.normal(0, 0.3, size) for _ in range(2)), np.ones(size)]
            )
    model.get_layer("logits").set_weights([random.normal(0, 0.3, (64, 4)), random.normal(0, 0.1, 4)])
    pixels = random.integers(0, 256, (16, *IMAGE.shape)).astype(np.float32)
    return quantize_aware(model, pixels)


def pixels() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (16, *IMAGE.shape)).astype(np.float32)


def biases_in_steps(model: keras.Model) -> dict[str, np.ndarray]:
    """Each folded bias in steps of its input's scale times its kernel's, for the layers behind the pixels."""
    folded = fold(model)
    first = next(layer for layer in folded.model.layers if isinstance(layer, keras.layers.Conv2D))
    kernel, bias = first.get_weights()
    step = np.abs(kernel).max(axis=(0, 1, 2)) / 127 * (folded.input.maximum - folded.input.minimum) / 255
    return {first.name: bias / step}


def test_settled_biases_are_whole_steps_and_stay_so(student: keras.Model) -> None:
    before = student.predict(pixels(), verbose=0)
    assert any(np.abs(steps - np.round(steps)).max() > 0.05 for steps in biases_in_steps(student).values())
    assert settle_biases(student) == sum(isinstance(layer, CompressedKernel) for layer in student.layers)
    for name, steps in biases_in_steps(student).items():
        np.testing.assert_allclose(steps, np.round(steps), atol=0.02, err_msg=name)
    settled = student.predict(pixels(), verbose=0)
    assert np.abs(settled - before).max() < 0.1
    settle_biases(student)
    assert np.abs(student.predict(pixels(), verbose=0) - settled).max() < 1 / 128


def test_a_stripped_model_is_plain_keras_with_the_kernels_in_use(student: keras.Model) -> None:
    assert is_compressed(student) and is_quantize_aware(student)
    plain = strip_compression(student)
    assert not is_compressed(plain)
    assert {type(layer).__module__.split(".")[0] for layer in plain.layers} == {"keras"}
    for layer in student.layers:
        if isinstance(layer, CompressedKernel):
            assert np.array_equal(plain.get_layer(layer.name).kernel, layer.effective_kernel())
    for layer in student.layers:
        if isinstance(layer, FakeQuantize) or type(layer).__name__ == "PixelGrid":
            layer.enabled = False
    student.make_predict_function(force=True)
    np.testing.assert_allclose(plain.predict(pixels(), verbose=0), student.predict(pixels(), verbose=0), atol=1e-6)


def test_ranges_freeze_under_a_distiller_too(student: keras.Model) -> None:
    teacher = models.logits_model(strip_compression(student))
    taught = distiller(models.logits_model(student), teacher)
    taught.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True))
    targets = np.eye(4, dtype=np.float32)[np.arange(16) % 4]
    taught.fit(pixels(), targets, epochs=1, verbose=0, callbacks=[FreezeRanges(after_epochs=0)])
    learned = [layer for layer in fake_quantizers(student) if layer.fixed_range is None]
    assert learned and all(float(layer.moving_rate) == 0.0 for layer in learned)


def test_what_predicts_as_a_file_is_plain_keras_again_once_stripped() -> None:
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input(IMAGE.shape)
    x = keras.layers.Conv2D(8, 3, padding="same", activation="hard_silu")(keras.layers.Rescaling(1 / 255)(x))
    y = keras.layers.Conv2D(8, 3, padding="same", activation="hard_sigmoid")(x)
    x = keras.layers.LayerNormalization()(keras.layers.Subtract()([keras.layers.Add()([x, y]), y * 0.5]))
    model = keras.Model(inputs, keras.layers.Dense(4, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x)))
    student = quantize_aware(model, pixels())
    settle_biases(student)
    plain = strip_compression(student)
    assert all(type(layer).__module__.startswith("keras.") for layer in plain.layers)
    given = pixels()
    assert np.abs(plain.predict(given, verbose=0) - model.predict(given, verbose=0)).max() < 0.05


def test_a_settled_model_that_is_trained_on_is_not_settled_any_more() -> None:
    """Validation would go on with the sums of the ranges and kernels that it had."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input(IMAGE.shape)
    x = keras.layers.Conv2D(8, 3, padding="same", activation="hard_sigmoid")(keras.layers.Rescaling(1 / 255)(x))
    x = keras.layers.LayerNormalization()(keras.layers.Add()([x, keras.layers.Conv2D(8, 1)(x)]))
    model = keras.Model(inputs, keras.layers.Dense(4, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x)))
    student = quantize_aware(model, pixels())
    settle_biases(student)
    student.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    student.fit(pixels(), np.arange(16) % 4, epochs=3, verbose=0)
    never_settled = quantize_aware(model, pixels())
    never_settled.set_weights(student.get_weights())
    assert np.array_equal(student.predict(pixels(), verbose=0), never_settled.predict(pixels(), verbose=0))
    assert all(layer.settled is None for layer in student.layers if hasattr(layer, "settled"))
