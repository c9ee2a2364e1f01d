"""Vision transformers, from keras-hub and as people write them, trained on what their int8 file computes."""

import keras
import numpy as np
import pytest
from keras import ops

from tfkit.artifacts import ImageSpec
from tfkit.compression import quantization_coverage, quantize_aware, settle_biases
from tfkit.compression.splitting import split_layers
from tfkit.errors import ModelError
from tfkit.exporters.quantization_aware import export_integers
from tfkit.graph import build_model, read_graph

L = keras.layers
IMAGE = ImageSpec(16, 16)


class Patches(L.Layer):
    """As in keras.io's example of a vision transformer."""

    def __init__(self, patch_size, **kwargs):
        super().__init__(**kwargs)
        self.patch_size = patch_size

    def call(self, images):
        batch, height, width, channels = ops.shape(images)
        patches = ops.image.extract_patches(images, size=self.patch_size)
        places = (height // self.patch_size) * (width // self.patch_size)
        return ops.reshape(patches, (batch, places, self.patch_size * self.patch_size * channels))


class PatchEncoder(L.Layer):
    """From there too."""

    def __init__(self, places, width, **kwargs):
        super().__init__(**kwargs)
        self.places = places
        self.projection, self.position_embedding = L.Dense(width), L.Embedding(places, width)

    def call(self, patch):
        positions = ops.expand_dims(ops.arange(start=0, stop=self.places, step=1), axis=0)
        return self.projection(patch) + self.position_embedding(positions)


class ClassToken(L.Layer):
    def build(self, input_shape):
        self.token = self.add_weight(shape=(1, 1, input_shape[-1]), initializer="normal", name="token")

    def call(self, inputs):
        token = ops.tile(self.token, (ops.shape(inputs)[0], 1, 1))
        return ops.concatenate([token, inputs], axis=1)


class Positions(L.Layer):
    def build(self, input_shape):
        self.rows = self.add_weight(shape=(1, *input_shape[1:]), initializer="normal", name="rows")

    def call(self, inputs):
        return inputs + self.rows


def _blocks(x, count=1, width=16):
    for _ in range(count):
        normalized = L.LayerNormalization(epsilon=1e-6)(x)
        x = L.Add()([L.MultiHeadAttention(num_heads=2, key_dim=width // 2, dropout=0.1)(normalized, normalized), x])
        inner = L.Dense(2 * width, activation=keras.activations.gelu)(L.LayerNormalization(epsilon=1e-6)(x))
        x = L.Add()([L.Dropout(0.1)(L.Dense(width)(L.Dropout(0.1)(inner))), x])
    return L.LayerNormalization(epsilon=1e-6)(x)


def _written_with_tokens(pixels):
    x = L.Reshape((16, 16))(L.Conv2D(16, 4, strides=4)(pixels))
    return _blocks(Positions()(ClassToken()(x)))[:, 0]


def _written_without(pixels):
    """Patches by a Dense layer, whose bias and the rows behind it are one sum in the file."""
    x = L.Dense(16)(Patches(4)(pixels))
    return L.GlobalAveragePooling1D()(_blocks(Positions()(x)))


def _of_keras_io(pixels):
    return L.Dropout(0.5)(L.Flatten()(_blocks(PatchEncoder(16, 16)(Patches(4)(pixels)))))


def _of_keras_hub(kind, **settings):
    def body(pixels):
        import keras_hub

        make = getattr(keras_hub.models, f"{kind}Backbone")
        return L.GlobalAveragePooling1D()(make(image_shape=IMAGE.shape, **settings)(pixels))

    return body


PATCHES = {"patch_size": 4, "num_layers": 1, "num_heads": 2, "hidden_dim": 16}
MODELS = {
    "written with tokens": _written_with_tokens,
    "written without": _written_without,
    "keras.io": _of_keras_io,
    "ViT of keras-hub": _of_keras_hub("ViT", **PATCHES, mlp_dim=32),
    "DeiT of keras-hub": _of_keras_hub("DeiT", **PATCHES, intermediate_dim=32),
}


def _model(name):
    keras.utils.set_random_seed(0)
    pixels = keras.Input(IMAGE.shape)
    features = MODELS[name](L.Rescaling(1 / 127.5, offset=-1.0)(pixels))
    model = keras.Model(pixels, L.Dense(3, activation="softmax", name="logits")(features))
    rng = np.random.default_rng(0)
    for weight in model.weights:  # tokens, rows and biases as uneven as a trained model's
        if "float" in weight.dtype:
            weight.assign(weight + rng.normal(0, 0.05, weight.shape))
    return model


def _pixels(count=16):
    return np.random.default_rng(1).integers(0, 256, (count, *IMAGE.shape), dtype=np.uint8)


@pytest.mark.parametrize("name", MODELS)
def test_every_layer_is_told_and_all_that_learned_still_learns(name):
    model = _model(name)
    rows = {row.layer: row for row in quantization_coverage(model)}
    assert {row.precision for row in rows.values()} <= {"int8", "-"}
    kinds = [row.kind for row in rows.values()]
    assert kinds.count("AddPositions") >= 1 and kinds.count("MatMul") == 2
    opened = build_model(split_layers(read_graph(model)))
    given = _pixels().astype("float32")
    np.testing.assert_allclose(opened.predict(given, verbose=0), model.predict(given, verbose=0), atol=1e-5)
    opened.compile("sgd", "mse")
    before = [weight.numpy() for weight in opened.trainable_weights]
    opened.fit(given, np.eye(3)[np.arange(16) % 3], verbose=0)
    still = [
        weight.path
        for old, weight in zip(before, opened.trainable_weights, strict=True)
        if np.array_equal(old, weight.numpy()) and "_key/bias" not in weight.path  # a softmax takes it away again
    ]
    assert not still


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_the_integer_file_computes_what_was_trained(name):
    model, given = _model(name), _pixels(64)
    student = quantize_aware(model, given)
    student.compile(keras.optimizers.Adam(1e-3), "categorical_crossentropy")
    student.fit(given.astype("float32"), np.eye(3)[np.arange(64) % 3], verbose=0)
    settle_biases(student)
    made = export_integers(student, image=IMAGE, pixels=given[:8])
    assert {row.layer: row for row in made.layers if row.worst_steps > 1e-3} == {}


def test_windows_that_shift_are_refused_by_name():
    pixels = keras.Input(IMAGE.shape)
    body = _of_keras_hub("SwinTransformer", embed_dim=8, depths=(2,), num_heads=(2,), window_size=4, patch_size=2)
    model = keras.Model(pixels, L.Dense(3)(body(pixels)))
    with pytest.raises(ModelError, match="layer 'blocks_1': there is no rule for a SwinTransformerBlock layer"):
        quantization_coverage(model)


def test_a_layer_that_shuffles_more_than_patches_is_refused_by_name():
    class Blurred(L.Layer):
        def call(self, inputs):
            return ops.image.gaussian_blur(inputs)

    pixels = keras.Input(IMAGE.shape)
    x = L.Conv2D(8, 3)(Blurred(name="blurred")(pixels))
    model = keras.Model(pixels, L.Dense(3)(L.GlobalAveragePooling2D()(x)))
    with pytest.raises(ModelError, match="layer 'blurred': there is no rule for a Blurred layer"):
        quantization_coverage(model)
