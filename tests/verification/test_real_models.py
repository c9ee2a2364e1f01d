"""Published models and files of other people, on real images."""

import os
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfkit.artifacts import ImageSpec
from tfkit.compression import FreezeRanges, quantize_aware, settle_biases
from tfkit.data import calibration_pixels, decode_image, fit_image, load_image_examples
from tfkit.data.pipeline import pixel_batches
from tfkit.exporters import export_tflite
from tfkit.graph import build_model, read_graph
from tfkit.models import with_dtype_policy
from tfkit.opening.targets import find_artifacts
from tfkit.runtimes import open_runtime
from tfkit.verification import reference_scores, verify_artifact

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def root():
    return Path(os.environ["TFKIT_REAL_DATA"])


def test_mlperf_tiny_resnet_keeps_its_accuracy_in_int8_like_mlperfs_own_file(root, tmp_path):
    model = keras.models.load_model(root / "mlperf_tiny/pretrainedResnet.h5", compile=False)
    image = ImageSpec(height=32, width=32)
    test = load_image_examples(root / "cifar10/test2k.npz")
    train = load_image_examples(root / "cifar10/train10k.npz")
    reference = reference_scores(model, test, image)
    keras_accuracy = np.mean(reference.argmax(axis=1) == test.labels)

    artifact = export_tflite(
        model,
        tmp_path / "model_int8.tflite",
        quantization="int8",
        spec=image,
        class_names=test.class_names,
        calibration=calibration_pixels(train, image),
    )
    ours = verify_artifact(artifact, test, reference=reference)
    (outside,) = find_artifacts(root / "mlperf_tiny/pretrainedResnet_quant.tflite")
    theirs = verify_artifact(outside, test, reference=reference)

    assert keras_accuracy == pytest.approx(0.87, abs=0.01)
    assert ours.quality.value > keras_accuracy - 0.01
    assert theirs.quality.value > keras_accuracy - 0.01
    assert ours.agreement > 0.97
    assert ours.mean_difference < theirs.mean_difference
    assert (ours.float_ops, theirs.float_ops) == (0, 0)


def test_outside_quantised_mobilenet_names_the_four_photos(root):
    (artifact,) = find_artifacts(root / "coral/mobilenet_v2_1.0_224_quant.tflite")
    labels = (root / "coral/imagenet_labels.txt").read_text().splitlines()
    expected = {
        "cat.bmp": "Egyptian cat",
        "bird.bmp": "chickadee",
        "sunflower.bmp": "daisy",
        "grace_hopper.bmp": "military uniform",
    }
    photos = [decode_image(tf.io.read_file(str(root / "coral" / name)), channels=3) for name in expected]
    with open_runtime(artifact) as runtime:
        scores = runtime.scores(np.stack([fit_image(photo, artifact.input) for photo in photos]))
    assert artifact.quantization == "int8"
    assert [labels[top] for top in scores.argmax(axis=1)] == list(expected.values())


@pytest.mark.slow
@pytest.mark.timeout(1800)  # compiling its training step is most of it
def test_efficientnet_with_adapted_statistics_is_copied_and_exported(root, tmp_path):
    """Its Normalization computes with what it derives from its weights; published ones come with such statistics."""
    image = ImageSpec(height=64, width=64)
    train, test = (load_image_examples(root / "hymenoptera" / split) for split in ("train", "val"))
    pixels, photos = (np.concatenate(list(pixel_batches(examples, image, batch_size=64))) for examples in (train, test))
    keras.utils.set_random_seed(0)
    backbone = keras.applications.EfficientNetB0(weights=None, include_top=False, input_shape=image.shape)
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.adapt(pixels / np.float32(255))
        elif isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.5
    for _ in range(4):  # random weights need statistics of their own, or their activations die out
        backbone(pixels[:64].astype(np.float32), training=True)
    features = keras.layers.GlobalAveragePooling2D()(backbone.output)
    head = keras.Sequential([keras.Input(features.shape[1:]), keras.layers.Dense(2, activation="softmax")])
    head.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    seen = keras.Model(backbone.inputs, features).predict(pixels.astype(np.float32), verbose=0)
    head.fit(seen, train.labels, epochs=40, verbose=0)
    model = keras.Model(backbone.inputs[0], head.layers[-1](features))

    expected = model.predict(photos.astype(np.float32), verbose=0)
    for copy in (build_model(read_graph(model)), with_dtype_policy(model, "float32", pixels)):
        np.testing.assert_allclose(copy.predict(photos.astype(np.float32), verbose=0), expected, atol=1e-5)
    student = quantize_aware(model, pixels)
    student.compile(keras.optimizers.Adam(1e-5), "sparse_categorical_crossentropy", jit_compile=True)
    frozen = [FreezeRanges(after_epochs=0)]
    student.fit(pixels[:64].astype(np.float32), train.labels[:64], epochs=1, batch_size=32, verbose=0, callbacks=frozen)
    settle_biases(student)
    reference = reference_scores(student, test, image)
    artifact = export_tflite(
        student,
        tmp_path / "model_int8.tflite",
        quantization="int8",
        spec=image,
        class_names=test.class_names,
        calibration=pixels,
    )
    found = verify_artifact(artifact, test, reference=reference)
    assert found.float_ops == 0
    assert found.agreement >= 0.99
