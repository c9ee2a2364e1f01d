"""The published backbones become int8 files without one float operator."""

import keras
import numpy as np
import pytest

from tfkit.artifacts import ImageSpec
from tfkit.exporters import convert_to_float, export_tflite
from tfkit.runtimes import KerasRuntime, LiteRTRuntime, read_operators

IMAGE = ImageSpec(height=96, width=96)
CLASS_NAMES = tuple("abcdefghij")


@pytest.fixture(scope="module")
def photos():
    """uint8 (40, 96, 96, 3): smooth random pictures, which are nearer to photos than noise is."""
    coarse = np.random.default_rng(0).integers(0, 256, (40, 6, 6, 3)).astype(np.float32)
    return np.asarray(keras.ops.image.resize(coarse, (96, 96))).round().astype(np.uint8)


def _classifier(name, photos):
    applications = keras.applications
    keras.utils.set_random_seed(0)
    backbone = getattr(applications, name)(weights=None, include_top=False, input_shape=IMAGE.shape)
    pixels = keras.Input(IMAGE.shape, name="pixels")
    if name == "ResNet50":
        values = applications.resnet.preprocess_input(pixels)
    elif name == "MobileNetV2":
        values = keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    else:
        values = pixels  # these two rescale in the backbone itself
    features = backbone(values)
    _set_batch_statistics(keras.Model(pixels, features), photos)
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    scores = keras.layers.Dense(len(CLASS_NAMES), activation="softmax", name="scores")(pooled)
    return keras.Model(pixels, scores)


def _set_batch_statistics(model, photos):
    """Random weights need BatchNorm statistics of their own, or their activations die out."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.5
    for _ in range(4):
        model(photos.astype(np.float32), training=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNetV2", "MobileNetV3Small", "EfficientNetB0", "ResNet50"])
def test_backbone_becomes_an_all_integer_file_that_computes_what_keras_computes(name, photos, tmp_path):
    model = _classifier(name, photos)
    flatbuffer = convert_to_float(model, spec=IMAGE)
    expected = KerasRuntime(model).scores(photos)
    for quantization, tolerance in (("none", 1e-4), ("float16", 0.01), ("dynamic_int8", 0.15), ("int8", 0.15)):
        artifact = export_tflite(
            model,
            tmp_path / f"{quantization}.tflite",
            quantization=quantization,
            spec=IMAGE,
            class_names=CLASS_NAMES,
            calibration=photos,
            float_flatbuffer=flatbuffer,
        )
        with LiteRTRuntime(artifact.path) as runtime:
            assert np.abs(runtime.scores(photos) - expected).max() < tolerance, quantization
    assert not any(operator.is_float for operator in read_operators(artifact.path))
    assert artifact.signature.inputs[0].dtype == "uint8"
