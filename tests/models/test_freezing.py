"""Which layers learn, and BatchNorm's rule."""

import keras
import numpy as np
import pytest

from tfkit.artifacts import ImageSpec
from tfkit.errors import ModelError
from tfkit.models import build_backbone, build_classifier, freeze_backbone, statistics_that_follow, unfreeze

IMAGE = ImageSpec(16, 16)


def classifier() -> keras.Model:
    return build_classifier(build_backbone("resnet8", image=IMAGE), classes=3)


def test_a_frozen_backbone_leaves_only_the_head() -> None:
    model = classifier()
    freeze_backbone(model)
    assert [weight.path.split("/")[0] for weight in model.trainable_weights] == ["logits", "logits"]


def test_a_share_counts_weighted_layers_from_the_end() -> None:
    few, many = (unfreeze(classifier(), share) for share in (0.2, 0.8))
    assert 0 < len(few.layers) < len(many.layers)
    assert "stem_conv" not in many.layers
    assert "stem_conv" in unfreeze(classifier(), "all").layers


def test_a_layer_name_is_where_learning_begins() -> None:
    model = classifier()
    unfreeze(model, "stage3_block1_1_conv")
    assert not model.get_layer("stage2_block1_1_conv").trainable
    assert model.get_layer("stage3_block1_1_conv").trainable


def test_batch_norm_stays_frozen_unless_asked() -> None:
    model = classifier()
    assert unfreeze(model, "all").frozen_batch_norms == 9
    assert unfreeze(model, "all", batch_norm="train").frozen_batch_norms == 0


def test_folded_batch_norm_cannot_be_trained() -> None:
    model = classifier()
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            layer.set_weights([gamma, beta + 0.5, mean, variance])
    unfreeze(model, "all")
    with pytest.raises(ModelError, match="folded statistics"):
        unfreeze(model, "all", batch_norm="train")


@pytest.mark.parametrize(
    ("wrong", "words"), [("stage3_blok1", "no layer"), (1.5, r"in \(0, 1\]"), (0.0, r"in \(0, 1\]")]
)
def test_what_names_nothing_is_refused(wrong: float | str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        unfreeze(classifier(), wrong)


def test_the_documented_keras_pattern_does_move_running_statistics() -> None:
    """Why tfkit freezes layers: Keras 3.15 overrides `training=False` of a nested base. Goes when Keras mends it."""
    base = build_backbone("resnet8", image=IMAGE)
    inputs = keras.Input(IMAGE.shape)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(base(inputs, training=False)))
    model.compile("sgd", "mse", jit_compile=False)
    before = np.copy(base.get_layer("stem_bn").moving_mean)
    model.train_on_batch(np.full((4, *IMAGE.shape), 200, "float32"), np.ones((4, 64), "float32"))
    assert not np.array_equal(before, np.asarray(base.get_layer("stem_bn").moving_mean))


def test_a_bias_in_front_of_a_batch_norm_that_follows_the_batch_stays_and_nothing_else_changes() -> None:
    def small() -> keras.Model:
        keras.utils.set_random_seed(5)
        pixels = keras.Input((8, 8, 3))
        x = keras.layers.Conv2D(4, 3, bias_initializer="random_normal", name="before_norm")(pixels)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization(name="norm")(x))
        x = keras.layers.Conv2D(4, 3, name="before_relu")(x)
        return build_classifier(keras.Model(pixels, keras.layers.ReLU()(x)), classes=2)

    plain, model = small(), small()
    assert unfreeze(model, "all", batch_norm="train").trainable_parameters == model.count_params() - 4 - 8
    assert not model.get_layer("before_norm").bias.trainable
    assert model.get_layer("before_relu").bias.trainable
    random = np.random.default_rng(5)
    pixels, labels = random.normal(size=(16, 8, 8, 3)).astype("float32"), random.integers(0, 2, 16)
    for one in (plain, model):
        one.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", jit_compile=False)
        one.fit(pixels, labels, batch_size=8, epochs=3, shuffle=False, verbose=0)
    np.testing.assert_allclose(model.predict(pixels, verbose=0), plain.predict(pixels, verbose=0), atol=1e-4)
    unfreeze(model, "all")
    assert model.get_layer("before_norm").bias.trainable  # a frozen BatchNorm takes nothing away


def test_running_statistics_reach_a_short_training_and_momenta_come_back() -> None:
    """Keras's MobileNets keep 99.9 % of them a step: after a thousand steps a third was still the old images'."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    norm = keras.layers.BatchNormalization(momentum=0.999, name="learns")
    frozen = keras.layers.BatchNormalization(momentum=0.999, trainable=False, name="frozen")
    quick = keras.layers.BatchNormalization(momentum=0.3, name="quick")
    model = keras.Model(inputs, quick(frozen(norm(inputs))))
    model.compile("sgd", "mse")
    batches = np.random.default_rng(0).normal(5, 2, (1600, 4)).astype(np.float32)
    with statistics_that_follow(model, steps=100):
        assert (norm.momentum, frozen.momentum, quick.momentum) == (0.9, 0.999, 0.3)
        model.fit(batches, np.zeros_like(batches), batch_size=16, verbose=0)
    assert (norm.momentum, frozen.momentum, quick.momentum) == (0.999, 0.999, 0.3)
    mean, variance = norm.get_weights()[2:]
    np.testing.assert_allclose(mean, 5, atol=0.5)
    np.testing.assert_allclose(variance, 4, rtol=0.3)


def test_momenta_come_back_from_a_training_that_failed() -> None:
    norm = keras.layers.BatchNormalization(momentum=0.99)
    model = keras.Sequential([keras.Input((2,)), norm])
    with pytest.raises(RuntimeError), statistics_that_follow(model, steps=2):
        assert norm.momentum == 0.5
        raise RuntimeError
    assert norm.momentum == 0.99
