"""What several rooms' tests share: a classifier small enough to export in half a second."""

import numpy as np
import pytest

from tfkit.artifacts import ImageSpec


@pytest.fixture(scope="session")
def image():
    return ImageSpec(height=32, width=32)


@pytest.fixture(scope="session")
def class_names():
    return ("ant", "bee", "cat", "dog", "elk")


@pytest.fixture(scope="session")
def small_classifier(image, class_names):
    """Raw pixels -> preprocessing -> nested backbone with BatchNorm -> pooling -> logits -> softmax, untrained."""
    import keras  # not at the top: the command line's tests must not wait for TensorFlow

    keras.utils.set_random_seed(0)
    features = keras.Input((16, 16, 16))
    normed = keras.layers.BatchNormalization()(keras.layers.Conv2D(16, 3, padding="same", use_bias=False)(features))
    backbone = keras.Model(features, keras.layers.ReLU()(normed), name="backbone")
    pixels = keras.Input(image.shape, name="pixels")
    rescaled = keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    stem = keras.layers.Conv2D(16, 3, strides=2, padding="same", activation="relu", name="stem")(rescaled)
    pooled = keras.layers.GlobalAveragePooling2D()(backbone(stem))
    logits = keras.layers.Dense(len(class_names), name="logits")(keras.layers.Dropout(0.2)(pooled))
    return keras.Model(pixels, keras.layers.Softmax(name="scores")(logits))


@pytest.fixture(scope="session")
def random_pixels(image):
    """uint8 (40, 32, 32, 3)."""
    return np.random.default_rng(0).integers(0, 256, (40, *image.shape), dtype=np.uint8)
