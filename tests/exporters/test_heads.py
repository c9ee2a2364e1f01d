"""What a model's outputs are, whatever stands behind its last weights."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from tfkit.errors import ModelError
from tfkit.exporters import with_two_scores
from tfkit.graph import Head, read_head

LAYERS = keras.layers


def _ending(end: Callable[[Any], Any]) -> keras.Model:
    pixels = keras.Input((6, 6, 3))
    return keras.Model(pixels, end(LAYERS.Conv2D(4, 3, name="convolution")(pixels)))


def _pooled(end: Callable[[Any], Any]) -> keras.Model:
    return _ending(lambda x: end(LAYERS.GlobalAveragePooling2D()(x)))


ENDS = {
    "fused softmax": (lambda: _pooled(LAYERS.Dense(3, activation="softmax")), "softmax"),
    "softmax layer": (lambda: _pooled(lambda x: LAYERS.Softmax()(LAYERS.Dense(3)(x))), "softmax"),
    "activation layer": (lambda: _pooled(lambda x: LAYERS.Activation("sigmoid")(LAYERS.Dense(3)(x))), "sigmoid"),
    "operation": (lambda: _pooled(lambda x: keras.ops.sigmoid(LAYERS.Dense(3)(x))), "sigmoid"),
    "reshaped": (lambda: _pooled(lambda x: LAYERS.Reshape((3,))(LAYERS.Dense(3, activation="softmax")(x))), "softmax"),
    "linear named": (lambda: _pooled(lambda x: LAYERS.Activation("linear")(LAYERS.Dense(3)(x))), "linear"),
    "nested": (
        lambda: _pooled(keras.Sequential([keras.Input((4,)), LAYERS.Dense(3, activation="softmax")])),
        "softmax",
    ),
    "pooled maps": (lambda: _ending(lambda x: LAYERS.GlobalAveragePooling2D()(LAYERS.Conv2D(3, 1)(x))), "linear"),
    "own code": (lambda: _pooled(lambda x: LAYERS.Lambda(lambda t: t * 2)(LAYERS.Dense(3)(x))), "unknown"),
    "joined": (lambda: _pooled(lambda x: LAYERS.Concatenate()([LAYERS.Dense(1)(x), LAYERS.Dense(2)(x)])), "unknown"),
}


@pytest.mark.parametrize("end", ENDS)
def test_the_last_function_is_found(end: str) -> None:
    build, function = ENDS[end]
    assert read_head(build()) == Head(function, 3)


UNITS = {
    "fused": lambda: _pooled(LAYERS.Dense(1, activation="sigmoid")),
    "activation layer": lambda: _pooled(lambda x: LAYERS.Activation("sigmoid")(LAYERS.Dense(1)(x))),
    "operation": lambda: _pooled(lambda x: keras.ops.sigmoid(LAYERS.Dense(1)(x))),
    "without a bias": lambda: _pooled(LAYERS.Dense(1, activation="sigmoid", use_bias=False)),
    "reshaped": lambda: _pooled(lambda x: LAYERS.Reshape((1,))(LAYERS.Dense(1, activation="sigmoid")(x))),
    "convolution": lambda: _ending(lambda x: LAYERS.Flatten()(LAYERS.Conv2D(1, 4, activation="sigmoid")(x))),
}


@pytest.mark.parametrize("end", UNITS)
def test_two_scores_are_those_of_the_one_sigmoid_unit(end: str) -> None:
    keras.utils.set_random_seed(0)
    model = UNITS[end]()
    pixels = np.random.default_rng(0).normal(0, 2, (16, 6, 6, 3)).astype(np.float32)
    one = model.predict(pixels, verbose=0)
    both = with_two_scores(model, read_head(model)).predict(pixels, verbose=0)
    np.testing.assert_allclose(both, np.concatenate([1 - one, one], axis=1), atol=1e-6)


def test_maps_have_the_units_of_a_pixel() -> None:
    head = read_head(_ending(lambda x: LAYERS.Conv2D(3, 1, activation="softmax")(x)))
    assert (head.activation, head.units) == ("softmax", 3)


def test_sequences_are_refused_by_name() -> None:
    with pytest.raises(ModelError, match="expected a row of scores"):
        read_head(_ending(lambda x: LAYERS.Reshape((-1, 2))(LAYERS.Conv2D(2, 1, activation="softmax")(x))))
