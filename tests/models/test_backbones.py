"""Backbones: raw pixels in, feature maps out, whatever they come from."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tfkit.artifacts import ImageSpec
from tfkit.errors import ModelError
from tfkit.models import backbone_names, build_backbone, build_classifier, load_model_file, save_model_file

SMALL = ImageSpec(32, 32)


def pixels(count: int = 4, size: int = 32, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (count, size, size, channels)).astype("float32")


@pytest.mark.parametrize(("depth", "parameters"), [(8, 77_360), (20, 271_824)])
def test_cifar_resnets_have_the_size_of_the_paper(depth: int, parameters: int) -> None:
    # He et al. 2015, table 6: 0.27 M parameters for 20 layers, 0.85 M for 56.
    backbone = build_backbone(f"resnet{depth}", image=SMALL)
    assert backbone.output_shape == (None, 8, 8, 64)
    assert backbone.count_params() == pytest.approx(parameters, rel=0.03)
    convolutions = [layer for layer in backbone.layers if isinstance(layer, keras.layers.Conv2D)]
    shortcuts = [layer for layer in convolutions if "shortcut" in layer.name]
    assert len(convolutions) - len(shortcuts) + 1 == depth


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("mobilenet_v2", keras.applications.mobilenet_v2),
        ("resnet50", keras.applications.resnet50),
        pytest.param("densenet121", keras.applications.densenet, marks=pytest.mark.slow),
    ],
)
def test_published_preprocessing_lives_inside_the_model(name: str, published, tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    constructor = {"mobilenet_v2": "MobileNetV2", "resnet50": "ResNet50", "densenet121": "DenseNet121"}[name]
    original = getattr(keras.applications, constructor)(weights=None, include_top=False, input_shape=(64, 64, 3))
    original.save_weights(tmp_path / "w.weights.h5")
    backbone = build_backbone(name, image=ImageSpec(64, 64), weights=str(tmp_path / "w.weights.h5"))
    x = pixels(size=64)
    expected = original.predict_on_batch(published.preprocess_input(x.copy()))
    np.testing.assert_allclose(backbone.predict_on_batch(x), expected, rtol=2e-3, atol=2e-3)


def test_weights_of_a_classifier_load_into_its_backbone(tmp_path: Path) -> None:
    classifier = keras.applications.MobileNetV2(weights=None, input_shape=(96, 96, 3), alpha=0.35, classes=7)
    classifier.save_weights(tmp_path / "with_top.weights.h5")
    backbone = build_backbone(
        "mobilenet_v2", image=ImageSpec(96, 96), weights=str(tmp_path / "with_top.weights.h5"), width=0.35
    )
    ours = backbone.get_layer("Conv1").get_weights()[0]
    np.testing.assert_array_equal(ours, classifier.get_layer("Conv1").get_weights()[0])


def test_an_earlier_run_gives_its_backbone_and_random_does_not_keep_its_weights(tmp_path: Path) -> None:
    model = build_classifier(build_backbone("resnet8", image=SMALL), classes=3)
    save_model_file(model, tmp_path / "models" / "float.keras")
    again = build_backbone(str(tmp_path), image=SMALL)
    fresh = build_backbone(str(tmp_path), image=SMALL, weights="random")
    assert again.output_shape == (None, 8, 8, 64)
    kernel = model.get_layer("stem_conv").get_weights()[0]
    np.testing.assert_array_equal(again.get_layer("stem_conv").get_weights()[0], kernel)
    assert not np.array_equal(fresh.get_layer("stem_conv").get_weights()[0], kernel)


def test_nested_models_are_laid_open_with_the_same_outputs(tmp_path: Path) -> None:
    inner = keras.Sequential([keras.Input((16, 16, 16)), keras.layers.Conv2D(16, 3), keras.layers.BatchNormalization()])
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = inner(keras.layers.Conv2D(16, 3, padding="same")(x), training=False)
    outputs = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x))
    nested = keras.Model(inputs, outputs)
    nested.save(tmp_path / "nested.keras")
    backbone = build_backbone(str(tmp_path / "nested.keras"), image=ImageSpec(16, 16))
    assert not any(isinstance(layer, keras.Model) for layer in backbone.layers)
    expected = keras.Model(inputs, nested.layers[-2].output).predict_on_batch(pixels(size=16))
    pooled = backbone.predict_on_batch(pixels(size=16)).mean(axis=(1, 2))
    np.testing.assert_allclose(pooled, expected, rtol=1e-5, atol=1e-6)


def test_an_unknown_backbone_names_the_nearest_ones() -> None:
    with pytest.raises(ModelError, match=r"no backbone 'mobilenetv2'; did you mean mobilenet_v2"):
        build_backbone("mobilenetv2", image=SMALL)
    assert "efficientnet_b0" in backbone_names()


def test_weights_of_another_width_are_refused_with_both_shapes(tmp_path: Path) -> None:
    keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.5).save_weights(
        tmp_path / "half.weights.h5"
    )
    with pytest.raises(ModelError, match=r"do not fit .*\(3, 3, 3, 32\).*\(3, 3, 3, 16\).*layers differ"):
        build_backbone("mobilenet_v2", image=SMALL, weights=str(tmp_path / "half.weights.h5"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "resnet8", "weights": "imagenet"}, "no published ImageNet weights"),
        ({"name": "resnet8", "weights": "nowhere.weights.h5"}, "no weights file"),
        ({"name": "resnet50", "weights": "random", "width": 0.5}, "no width multiplier"),
        ({"name": "nowhere.keras"}, "no model at"),
        ({"name": "efficientnet_b0", "weights": "random", "image": ImageSpec(32, 32, 1)}, "takes RGB"),
    ],
)
def test_what_cannot_be_built_says_why_and_what_to_do(options: dict, words: str) -> None:
    with pytest.raises(ModelError, match=words) as told:
        build_backbone(**({"image": SMALL} | options))
    assert told.value.hint


def test_a_model_for_other_images_is_refused(tmp_path: Path) -> None:
    build_classifier(build_backbone("resnet8", image=SMALL), classes=3).save(tmp_path / "m.keras")
    with pytest.raises(ModelError, match=r"takes images of \(32, 32, 3\); the recipe gives \(64, 64, 3\)"):
        build_backbone(str(tmp_path / "m.keras"), image=ImageSpec(64, 64))


def test_a_classifier_gives_probabilities_in_float32() -> None:
    model = build_classifier(build_backbone("resnet8", image=SMALL), classes=5, dropout=0.5, l2=1e-3)
    scores = model.predict_on_batch(pixels())
    assert scores.shape == (4, 5)
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)
    assert model.inputs[0].name == "pixels"


def test_a_model_saves_and_loads_under_safe_mode(tmp_path: Path) -> None:
    model = build_classifier(build_backbone("mobilenet_v2", image=SMALL, weights="random"), classes=2)
    save_model_file(model, tmp_path / "m.keras")
    np.testing.assert_array_equal(
        load_model_file(tmp_path / "m.keras").predict_on_batch(pixels()), model.predict_on_batch(pixels())
    )
