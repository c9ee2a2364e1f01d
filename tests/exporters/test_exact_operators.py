"""Operators whose integer kernels round in a way of their own: tensors of the file are the Keras model's to the step."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from tfkit.artifacts import ImageSpec, LayerDifference
from tfkit.compression import quantize_aware, settle_biases
from tfkit.exporters.quantization_aware import export_integers

_IMAGE = ImageSpec(16, 16, 3)


@pytest.fixture(scope="module")
def pixels() -> Any:
    """Blocks with some noise, so that images differ and means of neighbours do."""
    random = np.random.default_rng(0)
    blocks = random.integers(0, 256, (32, 4, 4, 3)).repeat(4, 1).repeat(4, 2)
    return (blocks + random.integers(-40, 40, (32, 16, 16, 3))).clip(0, 255).astype(np.uint8)


def _exported(
    middle: Callable[[Any], Any], pixels: Any, *, activation: str | None = "relu", stem: bool = True
) -> dict[str, LayerDifference]:
    x = inputs = keras.Input(_IMAGE.shape)
    x = layers.Rescaling(1 / 255)(x)
    if stem:
        x = layers.Conv2D(16, 3, padding="same", activation=activation, name="stem")(x)
    x = middle(x)
    if len(x.shape) == 4:
        x = layers.Conv2D(8, 1, activation="relu", name="behind")(x)
    student = quantize_aware(keras.Model(inputs, layers.Dense(5, activation="softmax")(layers.Flatten()(x))), pixels)
    settle_biases(student)
    rows = export_integers(student, image=_IMAGE, pixels=pixels[:4]).layers
    return {row.operator: row for row in rows}


_AVERAGES: dict[str, Callable[[Any], Any]] = {
    "two by two": layers.AveragePooling2D(2),
    "same, three by three": layers.AveragePooling2D(3, strides=2, padding="same"),
    "seven by seven": layers.AveragePooling2D(7, strides=1),
    "rows": lambda x: layers.AveragePooling1D(2)(layers.Reshape((256, 16))(x)),
}


@pytest.mark.parametrize("activation", ["relu", None, "sigmoid"])
@pytest.mark.parametrize("average", _AVERAGES)
def test_averages_are_rounded_as_the_integer_kernel_rounds_them(average: str, activation: str, pixels: Any) -> None:
    rows = _exported(_AVERAGES[average], pixels, activation=activation)
    assert rows["AVERAGE_POOL_2D"].worst_steps < 0.01  # it was one step for one value in eight
    assert rows["CONV_2D" if average != "rows" else "SOFTMAX"].worst_steps <= 1.01


@pytest.mark.parametrize("twice", [False, True])
def test_averages_of_averages_have_rows_of_their_own_in_the_layer_table(twice: bool, pixels: Any) -> None:
    pooling = layers.AveragePooling2D(2, name="first")
    rows = _exported(lambda x: layers.AveragePooling2D(2, name="second")(pooling(x)) if twice else pooling(x), pixels)
    assert rows["AVERAGE_POOL_2D"].layer == ("second_quantizer" if twice else "first_quantizer")
    assert rows["AVERAGE_POOL_2D"].worst_steps < 0.01


@pytest.mark.parametrize("size", [2, 3])
def test_bilinear_upsampling_is_rounded_as_the_integer_kernel_rounds_it(size: int, pixels: Any) -> None:
    rows = _exported(layers.UpSampling2D(size, interpolation="bilinear"), pixels)
    assert rows["RESIZE_BILINEAR"].worst_steps < 0.01


@pytest.mark.parametrize("middle", [layers.AveragePooling2D(2), layers.UpSampling2D(2, interpolation="bilinear")])
def test_means_of_raw_pixels_stay_on_the_pixels_grid(middle: Any, pixels: Any) -> None:
    dark = pixels // 4  # a range learned from them would be a quarter of the grid
    rows = _exported(middle, dark, stem=False)
    means = rows.get("AVERAGE_POOL_2D") or rows["RESIZE_BILINEAR"]
    assert means.worst_steps < 0.01 and rows["CONV_2D"].worst_steps < 0.01


@pytest.mark.parametrize("kind", [layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D])
def test_global_pooling_agrees(kind: Any, pixels: Any) -> None:
    assert all(row.worst_steps <= 1.01 for row in _exported(kind(), pixels).values())
