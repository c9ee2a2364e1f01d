"""Copies and rewrites that do not answer as the model are told, by the first layer that differs."""

import keras
import numpy as np
import pytest

from tfkit.compression import QuantizationPolicy, quantize_aware, strip_compression
from tfkit.compression.channels import plan_channel_pruning, prune_channels
from tfkit.compression.pruning import prunable, strip_pruning
from tfkit.errors import ModelError
from tfkit.graph import build_model, read_graph, refuse_difference
from tfkit.models import with_dtype_policy
from tfkit.models.text import adapt, build_text_embedder, merge_adaptation, open_transformer
from tfkit.search.preparation import searchable_classifier
from tfkit.training.weight_averaging import average_weights, copied

IMAGE = (16, 16, 3)


@keras.saving.register_keras_serializable("tests")
class Standardized(keras.layers.Layer):
    """Keeps what it computes with beside its weights, as a layer of one's own may."""

    mean, deviation = 0.0, 1.0

    def measure(self, pixels):
        self.mean, self.deviation = float(pixels.mean()), float(pixels.std())

    def call(self, inputs):
        return (inputs - self.mean) / self.deviation


def _pixels(count=16):
    return np.random.default_rng(0).integers(0, 256, (count, *IMAGE)).astype(np.float32)


def _classifier(first, *, trained=True):
    pixels = keras.Input(IMAGE)
    x = keras.layers.Conv2D(16, 3, activation="relu", name="conv")(first(pixels))
    x = keras.layers.GlobalAveragePooling2D(name="pooling")(x)
    start = "glorot_uniform" if trained else "zeros"
    scores = keras.layers.Dense(4, "softmax", kernel_initializer=start, name="answers")(x)
    return keras.Model(pixels, scores, name="mine")


def _own_layer(**options):
    layer = Standardized(name="standardized")
    layer.measure(_pixels())
    return _classifier(layer, **options)


def _adapted():
    layer = keras.layers.Normalization(name="standardized")
    layer.adapt(_pixels())
    return _classifier(layer)


def _narrower(model, given):
    return prune_channels(model, plan_channel_pruning(model, keep=0.5, criterion="weight_norm"), given)


IN_FLOAT = QuantizationPolicy(skip=["standard*"])
WEIGHTS = QuantizationPolicy(activation_bits=32)
COPIES = {
    "with_dtype_policy": lambda model, given: with_dtype_policy(model, "float32", given),
    "mixed precision": lambda model, given: with_dtype_policy(model, "mixed_float16", given),
    "copy for a run": lambda model, given: copied(model, given),
    "mean of runs": lambda model, given: average_weights([model, model]),
    "masks": lambda model, given: prunable(model, given),
    "stripped": lambda model, given: strip_compression(model),
    "quantisation-aware": lambda model, given: quantize_aware(model, given, policy=IN_FLOAT),
    "weights alone": lambda model, given: quantize_aware(model, given, policy=WEIGHTS),
    "narrower": _narrower,
    "search": lambda model, given: searchable_classifier(model, given),
}
FIRST = r"'mine'.*the first layer that differs is 'standardized'.*gives .* where"


@pytest.mark.parametrize("way", COPIES)
def test_a_layer_that_keeps_its_state_to_itself_is_named_before_anything_is_trained(way):
    with pytest.raises(ModelError, match=FIRST) as told:
        COPIES[way](_own_layer(), _pixels())
    assert "finalize_state" in told.value.hint


@pytest.mark.parametrize("way", COPIES)
def test_copies_of_an_adapted_normalization_pass(way):
    COPIES[way](_adapted(), _pixels())


def test_a_head_that_is_not_trained_yet_hides_nothing():
    """Its scores are the same for whatever comes in."""
    for way in ("with_dtype_policy", "stripped", "quantisation-aware", "search"):
        with pytest.raises(ModelError, match="'standardized'"):
            COPIES[way](_own_layer(trained=False), _pixels())


def test_both_figures_are_told():
    model = _own_layer()
    with pytest.raises(ModelError, match=r"\(Standardized\): it gives (\S+) where the model gives (\S+)$") as told:
        refuse_difference(model, build_model(read_graph(model)), np.full((2, *IMAGE), 200, np.float32), what="copy")
    layer = model.get_layer("standardized")
    assert f"gives 200 where the model gives {(200 - layer.mean) / layer.deviation:.6g}" in str(told.value)


def test_another_wiring_of_the_same_layers_is_told():
    def build(second_from_first):
        pixels = keras.Input(IMAGE)
        first = keras.layers.Conv2D(3, 1, name="first")
        second = keras.layers.Conv2D(3, 1, name="second")
        x = second(first(pixels)) if second_from_first else first(second(pixels))
        return keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(x), name="mine")

    model, made = build(True), build(False)
    for name in ("first", "second"):
        made.get_layer(name).set_weights(model.get_layer(name).get_weights())
    with pytest.raises(ModelError, match="'mine' does not answer as the model"):
        refuse_difference(model, made, _pixels(), what="copy")


def test_a_derived_state_that_finalize_state_derives_is_no_difference():
    @keras.saving.register_keras_serializable("tests")
    class Derived(keras.layers.Layer):
        def build(self, shape):
            self.raw = self.add_weight(name="raw", shape=(shape[-1],), initializer="ones")
            self.finalize_state()

        def finalize_state(self):
            self.scale = np.sqrt(np.asarray(self.raw))

        def call(self, inputs):
            return inputs * self.scale

    model = _classifier(Derived(name="standardized"))
    model.get_layer("standardized").raw.assign([4.0, 9.0, 16.0])
    model.get_layer("standardized").finalize_state()
    for way in ("with_dtype_policy", "copy for a run", "masks"):
        COPIES[way](model, _pixels())


def test_copies_of_texts_and_embedders_pass_and_another_epsilon_is_told(small_text_classifier, short_texts):
    plain = open_transformer(small_text_classifier, short_texts)
    student = quantize_aware(plain, short_texts)
    strip_compression(student)
    strip_pruning(prunable(plain, short_texts))
    config = plain.get_config()
    layers = {entry["name"]: entry["config"] for entry in config["layers"]}
    layers["embeddings_layer_norm"]["epsilon"] = 0.1
    other = keras.Model.from_config(config)
    other.set_weights(plain.get_weights())
    with pytest.raises(ModelError, match="'embeddings_layer_norm'"):
        refuse_difference(plain, other, short_texts, what="copy")


def test_low_rank_updates_that_are_not_merged_are_told(short_texts):
    import keras_hub

    sizes = {"num_layers": 1, "num_heads": 2, "hidden_dim": 32, "intermediate_dim": 64, "max_sequence_length": 16}
    embedder = build_text_embedder(keras_hub.models.BertBackbone(vocabulary_size=100, **sizes))
    before = copied(embedder, short_texts)
    adapted = adapt(embedder, "lora", rank=2).model
    for weight in adapted.weights:
        if weight.name.startswith("lora_kernel_b"):
            weight.assign(np.random.default_rng(0).normal(size=weight.shape))
    merge_adaptation(adapted, short_texts)
    with pytest.raises(ModelError, match="'transformer_layer_0'"):
        refuse_difference(adapted, before, short_texts, what="copy")


def test_a_lost_tensor_of_booleans_is_told():
    def bright(limit, *, inverted):
        pixels = keras.Input(IMAGE)
        x = keras.layers.Lambda(lambda seen: seen > limit, name="bright")(pixels)
        x = keras.layers.Lambda(lambda seen: keras.ops.cast(seen, "float32"), name="as_numbers")(x)
        x = keras.layers.Rescaling(-1.0, 1.0, name="inverted")(x) if inverted else x
        return keras.Model(pixels, keras.layers.Flatten(name="flat")(x), name="mine")

    with pytest.raises(ModelError, match=r"bright|as_numbers"):
        refuse_difference(bright(100.0, inverted=False), bright(120.0, inverted=True), _pixels(), what="copy")
