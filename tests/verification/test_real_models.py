"""Published models and files of other people, on real images."""

import os
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfkit.artifacts import ImageSpec
from tfkit.cli.targets import find_artifacts
from tfkit.data import calibration_pixels, decode_image, fit_image, load_image_examples
from tfkit.exporters import export_tflite
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
    assert ours.accuracy > keras_accuracy - 0.01
    assert theirs.accuracy > keras_accuracy - 0.01
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
