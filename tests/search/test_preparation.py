"""Every kind of classifier becomes one with logits and a softmax of its own, and answers as before."""

import keras
import numpy as np
import pytest

from tfkit.compression import quantize_aware
from tfkit.errors import ModelError
from tfkit.models import logits_model
from tfkit.search.preparation import searchable_classifier

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3)).astype(np.float32)


def network(head: str) -> keras.Model:
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(16, 3, use_bias=False)(keras.layers.Rescaling(1 / 255)(inputs))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(keras.layers.BatchNormalization()(x)))
    if head == "dense":
        return keras.Model(inputs, keras.layers.Dense(4, activation="softmax")(x))
    logits = keras.layers.Dense(4)(x)
    ends = {"activation": keras.layers.Activation("softmax"), "layer": keras.layers.Softmax(), "sigmoid": None}
    if head == "logits":
        return keras.Model(inputs, logits)
    return keras.Model(inputs, (ends[head] or keras.layers.Activation("sigmoid"))(logits))


@pytest.mark.parametrize("head", ["dense", "activation", "layer", "logits"])
def test_answers_stay_and_logits_can_be_had(head: str) -> None:
    model = network(head)
    model.trainable = False
    prepared = searchable_classifier(model)
    wanted = model(PIXELS, training=False)
    wanted = keras.ops.softmax(wanted) if head == "logits" else wanted
    np.testing.assert_allclose(prepared(PIXELS, training=False), wanted, atol=1e-6)
    logits = logits_model(prepared)(PIXELS, training=False)
    np.testing.assert_allclose(keras.ops.softmax(logits), wanted, atol=1e-6)
    assert all(layer.trainable for layer in prepared.layers)


def test_what_is_no_float_classifier_is_refused() -> None:
    with pytest.raises(ModelError, match="ends in sigmoid, expected a softmax"):
        searchable_classifier(network("sigmoid"))
    with pytest.raises(ModelError, match="pruned or quantisation-aware already"):
        searchable_classifier(quantize_aware(network("layer"), PIXELS))
    vector = keras.Input((8,))
    with pytest.raises(ModelError, match=r"takes \[\(None, 8\)\].*; it gives \[\(None, 1\)\]"):
        searchable_classifier(keras.Model(vector, keras.layers.Dense(1)(vector)))
