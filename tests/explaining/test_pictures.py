"""Heat maps of pictures: hot where the answer comes from, and judged by the model itself."""

import keras
import numpy as np
import pytest

from tfkit.artifacts import ImageSpec
from tfkit.errors import ConfigError, ModelError
from tfkit.explaining import (
    blur,
    faithfulness,
    grad_cam,
    heat_map,
    integrated_gradients,
    occlusion,
    refuse_missing_method,
)
from tfkit.models import build_backbone, build_classifier
from tfkit.runtimes import KerasRuntime

SIDE = 32
SQUARE = 12


def _pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, list[tuple[slice, slice]]]:
    """Noise with a striped square somewhere: stripes that lie are one class, those that stand another."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count)
    pixels = random.integers(90, 160, (count, SIDE, SIDE, 3)).astype(np.uint8)
    places = []
    for picture, label in zip(pixels, labels, strict=True):
        top, left = random.integers(0, SIDE - SQUARE, 2)
        places.append((slice(top, top + SQUARE), slice(left, left + SQUARE)))
        stripes = np.tile([[255], [255], [0], [0]], (SQUARE // 4, SQUARE))
        picture[places[-1]] = (stripes if label == 0 else stripes.T)[..., None]
    return pixels, labels, places


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    classifier = build_classifier(build_backbone("resnet8", image=ImageSpec(SIDE, SIDE)), classes=2)
    classifier.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    pixels, labels, _ = _pictures(256, 0)
    classifier.fit(pixels.astype(np.float32), labels, epochs=6, batch_size=32, verbose=0)
    pixels, labels, _ = _pictures(64, 1)
    assert classifier.evaluate(pixels.astype(np.float32), labels, verbose=0)[1] > 0.95
    return classifier


@pytest.fixture(scope="module")
def scores(model: keras.Model):
    with KerasRuntime(model) as runtime:
        yield runtime.scores


@pytest.mark.parametrize("method", ["occlusion", "grad_cam", "integrated_gradients", "shap", "lime"])
def test_the_heat_lies_where_the_class_shows_itself(method: str, model: keras.Model, scores) -> None:
    by_gradient = {"grad_cam": grad_cam, "integrated_gradients": integrated_gradients}
    shares, judged = [], []
    for picture, label, place in zip(*_pictures(8, 2), strict=True):
        if method in by_gradient:
            heat = by_gradient[method](model, picture, int(label))
        elif method == "occlusion":
            heat = occlusion(scores, picture, int(label))
        else:
            pytest.importorskip(method, reason="the extra explain is not installed")
            heat = heat_map(scores, picture, int(label), method=method)
        assert heat.shape == (SIDE, SIDE) and heat.dtype == np.float32
        spoke = np.maximum(heat, 0)
        shares.append(float(spoke[place].sum() / spoke.sum()))
        judged.append(faithfulness(scores, picture, heat, int(label)))
    assert np.median(shares) > 2 * SQUARE**2 / SIDE**2
    assert np.mean([one.insertion > one.random_insertion[0] for one in judged]) >= 0.5


def test_a_heat_map_of_elsewhere_means_nothing(scores) -> None:
    (picture,), (label,), (place,) = _pictures(1, 3)
    elsewhere = np.ones((SIDE, SIDE), np.float32)
    elsewhere[place] = 0.0
    assert not faithfulness(scores, picture, elsewhere, int(label)).means_something


def test_curves_go_from_the_picture_to_its_blur_and_back(scores) -> None:
    pixels, labels, _ = _pictures(1, 4)
    told = faithfulness(scores, pixels[0], np.zeros((SIDE, SIDE), np.float32), int(labels[0]), steps=4)
    assert len(told.deletion_curve) == len(told.insertion_curve) == 5
    assert told.deletion_curve[0] == pytest.approx(told.insertion_curve[-1])
    assert told.deletion_curve[-1] == pytest.approx(told.insertion_curve[0])


def test_a_model_without_maps_is_told_what_works() -> None:
    inputs = keras.Input((SIDE, SIDE, 3))
    plain = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)), name="plain")
    with pytest.raises(ModelError, match="model 'plain' has no feature maps"):
        grad_cam(plain, np.zeros((SIDE, SIDE, 3), np.uint8), 0)


@pytest.mark.parametrize("method", ["shap", "lime"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_libraries_find_the_only_part_that_counts(method: str, channels: int) -> None:
    pytest.importorskip(method, reason="the extra explain is not installed")
    pixels = np.random.default_rng(0).integers(0, 60, (SIDE, SIDE, channels)).astype(np.uint8)
    pixels[4:16, 16:28] = 255
    asked = []

    def scores(batch: np.ndarray) -> np.ndarray:
        asked.append(batch)
        bright = batch[:, 4:16, 16:28].mean((1, 2, 3)) / 255
        return np.stack([1 - bright, bright], axis=1)

    speaks_for, against = (heat_map(scores, pixels, one, method=method) for one in (1, 0))
    assert speaks_for.shape == (SIDE, SIDE) and speaks_for.dtype == np.float32
    elsewhere = np.ones((SIDE, SIDE), bool)
    elsewhere[4:16, 16:28] = False
    assert speaks_for[4:16, 16:28].mean() > 5 * abs(speaks_for[elsewhere].mean())
    assert against[4:16, 16:28].mean() < 0
    assert {batch.dtype for batch in asked} == {np.dtype(np.uint8)}
    assert {batch.shape[1:] for batch in asked} == {pixels.shape}


def test_shap_values_add_up_to_what_the_score_gained(model: keras.Model, scores) -> None:
    pytest.importorskip("shap", reason="the extra explain is not installed")
    (picture,), (label,), _ = _pictures(1, 5)
    answer = int(label)
    heat = heat_map(scores, picture, answer, method="shap")
    gained = scores(picture[None])[0, answer] - scores(blur(picture)[None])[0, answer]
    assert heat.sum() == pytest.approx(gained, abs=1e-3)


def test_lime_is_the_same_with_the_same_seed(scores, capfd) -> None:
    pytest.importorskip("lime", reason="the extra explain is not installed")
    (picture,), (label,), _ = _pictures(1, 6)
    first, second = (heat_map(scores, picture, int(label), method="lime", seed=3) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert capfd.readouterr().err == ""


def test_an_unknown_method_is_told(scores) -> None:
    with pytest.raises(ConfigError, match="made by occlusion, shap, lime; got 'smoothgrad'"):
        heat_map(scores, np.zeros((SIDE, SIDE, 3), np.uint8), 0, method="smoothgrad")


def test_a_missing_library_is_told_with_its_extra(monkeypatch) -> None:
    monkeypatch.setattr("tfkit.explaining.methods.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"task\.heat_maps shap needs shap") as told:
        refuse_missing_method("shap", asked="task.heat_maps")
    assert "tfkit[explain]" in str(told.value.hint)
