"""Integer files of segmenters: every score of every pixel as the trained model gives it, whatever enlarges the maps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tfkit.artifacts import ImageSpec
from tfkit.compression import quantize_aware, settle_biases
from tfkit.errors import ExportError, ModelError
from tfkit.exporters import export_tflite
from tfkit.graph import read_head
from tfkit.models import backbone_layers, build_backbone, build_segmenter
from tfkit.runtimes import KerasRuntime, LiteRTRuntime, read_operators

IMAGE = ImageSpec(32, 32)
LABELS = ("ground", "road", "car")


def pictures(count: int = 24) -> np.ndarray:
    random = np.random.default_rng(0)
    blocks = random.integers(0, 256, (count, 8, 8, 3)).repeat(4, 1).repeat(4, 2)
    return (blocks + random.normal(0, 10, blocks.shape)).round().clip(0, 255).astype(np.uint8)


def enlarging(kind: Callable[[int], Any]) -> keras.Model:
    """A small U-Net whose maps are enlarged by a layer of some kind."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input(IMAGE.shape)
    fine = layers.Conv2D(16, 3, padding="same", activation="relu")(layers.Rescaling(1 / 127.5, -1)(inputs))
    coarse = layers.Conv2D(24, 3, strides=2, padding="same", activation="relu")(fine)
    joined = layers.Concatenate()([kind(16)(coarse), layers.Conv2D(16, 1)(fine)])
    logits = layers.Dense(len(LABELS), name="logits")(layers.Conv2D(16, 3, padding="same", activation="relu")(joined))
    return keras.Model(inputs, layers.Softmax(name="scores")(logits))


def shipped(_: int = 0) -> keras.Model:
    """The segmenter of recipes."""
    keras.utils.set_random_seed(1)
    return build_segmenter(build_backbone("resnet8", image=IMAGE), classes=len(LABELS), channels=16)


KINDS: dict[str, Callable[[], keras.Model]] = {
    "shipped": shipped,
    "bilinear": lambda: enlarging(lambda _: layers.UpSampling2D(2, interpolation="bilinear")),
    "nearest": lambda: enlarging(lambda _: layers.UpSampling2D(2)),
    "transposed": lambda: enlarging(lambda channels: layers.Conv2DTranspose(channels, 3, strides=2, padding="same")),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_file_gives_every_pixel_the_scores_of_the_trained_model(kind: str, tmp_path: Path) -> None:
    model, pixels = KINDS[kind](), pictures()
    logits = model.get_layer("logits")
    logits.set_weights([logits.get_weights()[0] * 3, np.zeros(len(LABELS))])
    student = quantize_aware(model, pixels)
    student.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", jit_compile=False)
    masks = (pixels[..., :1] // 86).astype(np.int32)  # which third of its range the red of a pixel is in
    for _ in range(2):
        student.train_on_batch(pixels[:8].astype(np.float32), masks[:8])
    settle_biases(student)
    given: dict[str, Any] = {"spec": IMAGE, "class_names": LABELS, "calibration": pixels[:4], "task": "segmentation"}
    file = export_tflite(student, tmp_path / "model.tflite", quantization="int8", **given)
    assert not [operator.name for operator in read_operators(file.path) if operator.is_float]
    with LiteRTRuntime(file.path) as runtime:
        found = runtime.scores(pixels)
    with KerasRuntime(student) as runtime:
        expected = runtime.scores(pixels)
    assert found.shape == (len(pixels), 32, 32, 3) and len(np.unique(expected.argmax(-1))) == len(LABELS)
    step = 1 / 256
    assert np.abs(found - expected).max() <= 1.01 * step
    assert (found == expected).mean() >= 0.999, "all of it is computed in whole numbers"
    assert (found.argmax(-1) == expected.argmax(-1)).mean() >= 0.999


def test_a_segmenter_answers_in_the_size_of_the_image() -> None:
    model = shipped()
    assert model.output_shape == (None, 32, 32, 3) and read_head(model).units == 3
    assert read_head(model).activation == "softmax"
    before = [layer.name for layer in backbone_layers(model)]
    assert "stem_conv" in before and not any(name.startswith("decoder") for name in before)
    scores = ops.convert_to_numpy(model(pictures(2).astype(np.float32), training=False))
    np.testing.assert_allclose(scores.sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("backbone", "image", "words"),
    [
        ("resnet8", ImageSpec(30, 32), "shrinks images 4 times, and 30 x 32 are no multiples of that"),
        ("vit_micro_8", ImageSpec(32, 32), "a decoder needs feature maps"),
    ],
)
def test_a_backbone_that_does_not_fit_is_refused(backbone: str, image: ImageSpec, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        build_segmenter(build_backbone(backbone, image=image, weights="random"), classes=3)


def test_a_file_of_other_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="expected scores of 2 classes"):
        export_tflite(shipped(), tmp_path / "a.tflite", quantization="none", spec=IMAGE, class_names=("a", "b"))
