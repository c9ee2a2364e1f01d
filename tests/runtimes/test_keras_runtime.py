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


def test_model_with_two_outputs_is_refused():
    values = keras.Input((4,))
    model = keras.Model(values, [keras.layers.Dense(1)(values), keras.layers.Dense(2)(values)])
    with pytest.raises(ModelError, match="1 inputs and 2 outputs"):
        KerasRuntime(model)
