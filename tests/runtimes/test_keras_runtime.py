"""The reference runtime."""

import keras
import numpy as np
import pytest

from tfkit.errors import ModelError
from tfkit.runtimes import KerasRuntime


def test_scores_do_not_depend_on_how_images_are_batched(small_classifier, random_pixels):
    whole = small_classifier.predict(random_pixels.astype(np.float32), verbose=0)
    for batch_size in (1, 7, 64):
        scores = KerasRuntime(small_classifier, batch_size=batch_size).scores(random_pixels)
        np.testing.assert_allclose(scores, whole, atol=1e-6)


def test_no_image_gives_no_scores(small_classifier, random_pixels):
    assert KerasRuntime(small_classifier).scores(random_pixels[:0]).shape == (0, 5)


@pytest.mark.parametrize("activation", ["sigmoid", "linear"])
def test_one_sigmoid_unit_is_two_classes_as_in_its_file(activation, random_pixels):
    pixels = keras.Input(random_pixels.shape[1:])
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(pixels))
    model = keras.Model(pixels, keras.layers.Dense(1, activation=activation)(x))
    one = model.predict(random_pixels.astype(np.float32), verbose=0)
    expected = np.concatenate([1 - one, one], axis=1) if activation == "sigmoid" else one
    np.testing.assert_allclose(KerasRuntime(model).scores(random_pixels), expected, atol=1e-6)
    assert KerasRuntime(model).scores(random_pixels[:0]).shape == (0, expected.shape[1])


def test_model_with_two_outputs_is_refused():
    values = keras.Input((4,))
    model = keras.Model(values, [keras.layers.Dense(1)(values), keras.layers.Dense(2)(values)])
    with pytest.raises(ModelError, match="1 inputs and 2 outputs"):
        KerasRuntime(model)
