"""A layer that is called several times stays one, or is refused in words before anything is trained."""

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
from tfkit.compression.channels import plan_channel_pruning, prune_channels
from tfkit.compression.pruning import prunable, strip_pruning
from tfkit.compression.splitting import split_layers
from tfkit.errors import ModelError
from tfkit.exporters.quantization_aware import export_integers
from tfkit.graph import build_model, read_graph
from tfkit.models import with_dtype_policy
from tfkit.search.preparation import searchable_classifier

L = keras.layers
IMAGE = ImageSpec(12, 12, 3)
SHARED = {
    "Conv2D": lambda: L.Conv2D(16, 3, padding="same", activation="relu", name="shared"),
    "SeparableConv2D": lambda: L.SeparableConv2D(16, 3, padding="same", activation="relu", name="shared"),
    "DepthwiseConv2D": lambda: L.DepthwiseConv2D(3, padding="same", activation="relu", name="shared"),
    "BatchNormalization": lambda: L.BatchNormalization(name="shared"),
    "LayerNormalization": lambda: L.LayerNormalization(name="shared"),
    "Dense": lambda: L.Dense(16, activation="silu", name="shared"),
}

_QUICK = {"Conv2D", "LayerNormalization"}
KINDS = [kind if kind in _QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in SHARED]


def _model(kind):
    keras.utils.set_random_seed(0)
    pixels = keras.Input(IMAGE.shape)
    x = L.Conv2D(16, 3, strides=2, padding="same", activation="relu", name="stem")(L.Rescaling(1 / 255)(pixels))
    shared = SHARED[kind]()
    x = shared(L.MaxPooling2D(1)(shared(x)))
    x = L.BatchNormalization(name="norm")(L.Conv2D(32, 1, name="wide")(x))
    model = keras.Model(pixels, L.Dense(4, activation="softmax", name="logits")(L.GlobalAveragePooling2D()(x)))
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if len(weight.shape) == 1:  # as uneven as a trained model's
            weight.assign(weight + np.abs(rng.normal(0, 0.3, weight.shape)))
    return model


def _pixels(count=16):
    return np.random.default_rng(0).integers(0, 256, (count, *IMAGE.shape), dtype=np.uint8)


def _same(model, made):
    given = _pixels().astype("float32")
    np.testing.assert_allclose(made.predict(given, verbose=0), model.predict(given, verbose=0), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_rounding_a_shared_layer_is_refused_and_leaving_it_in_float_keeps_it_one(kind, tmp_path):
    model = _model(kind)
    with pytest.raises(ModelError, match=r"'shared.*is called 2 times"):
        quantize_aware(model, _pixels())
    with pytest.raises(ModelError, match="is called 2 times"):
        quantization_coverage(model)
    policy = QuantizationPolicy(skip=["shared*"])
    student = quantize_aware(model, _pixels(), policy=policy)
    own = {layer.name for layer in student.layers if layer.name.startswith("shared") and layer.weights}
    assert sum(len(student.get_layer(name).get_weights()) for name in own if "quantizer" not in name) == len(
        model.get_layer("shared").get_weights()
    )
    settle_biases(student)
    made = export_integers(student, image=IMAGE, pixels=_pixels(4))
    assert made.layers[-1].mean_steps < 2


@pytest.mark.parametrize("kind", KINDS)
def test_every_other_copy_keeps_it_one(kind):
    model = _model(kind)
    weights = len(model.weights)
    copies = [
        build_model(read_graph(model)),
        build_model(split_layers(read_graph(model))),
        with_dtype_policy(model, "float32"),
        searchable_classifier(model),
        strip_compression(prunable(model)),
        strip_pruning(prunable(model)),
        prune_channels(model, plan_channel_pruning(model, keep=1.0)),
    ]
    for made in copies:
        assert len(made.weights) == weights
        _same(model, made)
    assert len(with_dtype_policy(model, "mixed_bfloat16").weights) == weights
