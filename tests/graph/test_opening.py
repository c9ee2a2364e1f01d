"""Layers of one's own around a sequence: what embeds is laid open, what does anything else is left alone."""

import keras
import numpy as np
import pytest
from keras import ops

from tfkit.graph import call_with_rows, read_graph

L = keras.layers


class Tokens(L.Layer):
    """A class token in front of a sequence, and a learned row for each place."""

    def build(self, input_shape):
        self.token = self.add_weight(shape=(1, 1, input_shape[-1]), initializer="normal")
        self.rows = self.add_weight(shape=(1, input_shape[1] + 1, input_shape[-1]), initializer="normal")

    def call(self, inputs):
        token = ops.broadcast_to(self.token, (ops.shape(inputs)[0], 1, inputs.shape[-1]))
        return ops.concatenate([token, inputs], axis=1) + self.rows


class PatchEncoder(L.Layer):
    """As keras.io's example of a vision transformer has it."""

    def __init__(self, places, width, **kwargs):
        super().__init__(**kwargs)
        self.places = places
        self.projection, self.positions = L.Dense(width), L.Embedding(places, width)

    def call(self, inputs):
        return self.projection(inputs) + self.positions(ops.expand_dims(ops.arange(self.places), 0))


class PatchedPicture(L.Layer):
    """Patches by a convolution, zeros for positions yet, and dropout."""

    def build(self, input_shape):
        self.patches, self.dropout = L.Conv2D(6, 4, strides=4), L.Dropout(0.3)
        self.patches.build(input_shape)
        places = (input_shape[1] // 4) * (input_shape[2] // 4)
        self.rows = self.add_weight(shape=(places, 6), initializer="zeros")

    def call(self, inputs):
        patches = self.patches(inputs)
        return self.dropout(ops.reshape(patches, (ops.shape(inputs)[0], -1, 6)) + self.rows)


class Scaled(L.Layer):
    """Multiplies by ones as long as nothing has trained it."""

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones")

    def call(self, inputs):
        return inputs * self.scale


class Mixed(L.Layer):
    """Adds rows that depend on what it takes."""

    def build(self, input_shape):
        self.rows = self.add_weight(shape=input_shape[1:], initializer="normal")

    def call(self, inputs):
        return inputs + self.rows * ops.mean(inputs, axis=(1, 2), keepdims=True)


def _node(layer, shape):
    inputs = keras.Input(shape)
    keras.utils.set_random_seed(0)
    return read_graph(keras.Model(inputs, layer(inputs))).nodes[0]


EMBEDDINGS = {
    "tokens": (Tokens, (9, 6), ["ZeroPadding1D", "AddPositions"]),
    "encoder": (lambda: PatchEncoder(9, 6), (9, 12), ["Dense", "AddPositions"]),
    "picture": (PatchedPicture, (8, 12, 3), ["Conv2D", "Reshape", "AddPositions", "Dropout"]),
}


@pytest.mark.parametrize("name", EMBEDDINGS)
def test_what_embeds_becomes_plain_layers_that_answer_alike(name):
    make, shape, kinds = EMBEDDINGS[name]
    node = _node(make(), shape)
    inputs = keras.Input(shape)
    opened = keras.Model(inputs, call_with_rows(node, inputs))
    assert [type(layer).__name__ for layer in opened.layers[1:]] == kinds
    given = np.random.default_rng(1).normal(0, 1, (2, *shape)).astype("float32")
    np.testing.assert_allclose(opened(given), node.operation(given), atol=1e-5)
    assert opened.count_params() <= node.operation.count_params()


@pytest.mark.parametrize("kind", [Scaled, Mixed])
def test_what_does_more_than_add_is_left_alone(kind):
    assert call_with_rows(_node(kind(), (9, 6)), keras.Input((9, 6))) is None


def test_looking_at_a_layer_leaves_its_weights_as_they_are():
    node = _node(Tokens(), (9, 6))
    before = node.operation.get_weights()
    call_with_rows(node, keras.Input((9, 6)))
    for old, new in zip(before, node.operation.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_rows_of_patches_are_resized_as_a_picture_is():
    node = _node(PatchedPicture(), (8, 8, 3))
    slope = np.repeat(np.arange(2, dtype="float32"), 2)[:, None] * np.ones((1, 6), "float32")
    node.operation.rows.assign(slope)  # 0 in the upper patches, 1 in the lower ones
    inputs = keras.Input((16, 24, 3))
    rows = keras.Model(inputs, call_with_rows(node, inputs)).layers[-2].get_weights()[0].reshape(4, 6, 6)
    assert np.ptp(rows, axis=(1, 2)).max() < 1e-5 and (np.diff(rows[:, 0, 0]) > 0).all()
