"""Exported files against Keras, through their real runtimes."""

import dataclasses

import keras
import numpy as np
import pytest

from tfkit.compression import quantize_aware, settle_biases
from tfkit.data import ArraySource, ImageExamples
from tfkit.errors import DataError
from tfkit.exporters import export_saved_model, export_tflite
from tfkit.opening.targets import find_artifacts
from tfkit.verification import reference_scores, verify_artifact, write_golden_samples


@pytest.fixture(scope="module")
def examples(random_pixels, class_names):
    labels = np.arange(len(random_pixels), dtype=np.int32) % len(class_names)
    return ImageExamples(
        source=ArraySource(random_pixels, channels=3),
        indices=np.arange(len(random_pixels)),
        labels=labels,
        names=tuple(f"test[{number}]" for number in range(len(random_pixels))),
        class_names=class_names,
    )


@pytest.fixture(scope="module")
def reference(small_classifier, examples, image):
    return reference_scores(small_classifier, examples, image, batch_size=16)


@pytest.fixture(scope="module")
def artifacts(small_classifier, image, class_names, random_pixels, tmp_path_factory):
    folder = tmp_path_factory.mktemp("artifacts")
    given = {"spec": image, "class_names": class_names}
    return (
        export_tflite(small_classifier, folder / "model_float32.tflite", quantization="none", **given),
        export_tflite(
            small_classifier, folder / "model_int8.tflite", quantization="int8", calibration=random_pixels, **given
        ),
        export_saved_model(small_classifier, folder / "saved_model", **given),
    )


def test_reference_scores_are_keras_predictions_in_order(small_classifier, random_pixels, reference):
    predicted = small_classifier.predict(random_pixels.astype(np.float32), verbose=0)
    np.testing.assert_allclose(reference, predicted, atol=1e-6)


def test_float_file_agrees_with_keras_on_every_image(artifacts, examples, reference):
    verification = verify_artifact(artifacts[0], examples, reference=reference)
    assert verification.examples == 40
    assert verification.agreement == 1.0
    assert verification.max_difference < 1e-5
    assert verification.mean_difference <= verification.max_difference
    assert verification.quality.value == np.mean(reference.argmax(axis=1) == examples.labels)
    assert verification.accuracy == verification.quality.value  # scripts of other people ask for it by this name
    assert verification.float_ops == sum(verification.operators.values()) == 7
    assert verification.operators["CONV_2D"] == 2
    assert verification.problems == ()


def test_int8_file_has_no_float_operators_and_small_differences(artifacts, examples, reference):
    verification = verify_artifact(artifacts[1], examples, reference=reference)
    assert verification.float_ops == 0
    assert 0 < verification.mean_difference < verification.max_difference < 0.02


@pytest.mark.slow
def test_saved_model_is_proved_through_encoded_images(artifacts, examples, reference):
    seen = []
    verification = verify_artifact(
        artifacts[2], examples, reference=reference, progress=lambda done, total: seen.append((done, total))
    )
    assert verification.agreement == 1.0
    assert verification.max_difference < 1e-5
    assert (verification.operators, verification.problems) == ({}, ())
    assert seen == [(32, 40), (40, 40)]


@pytest.mark.slow
def test_saved_model_whose_decoding_differs_from_training_is_found(class_names, image, examples, tmp_path):
    """A preprocessing mistake of the kind that only serving shows: red and blue swapped while decoding."""
    import tensorflow as tf

    means = keras.Sequential(
        [keras.Input(image.shape), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(len(class_names))]
    )
    archive = keras.export.ExportArchive()
    archive.track(means)

    def serve(image_bytes):
        decoded = tf.map_fn(
            lambda one: tf.io.decode_png(one, channels=3)[..., ::-1],
            image_bytes,
            fn_output_signature=tf.TensorSpec(image.shape, tf.uint8),
        )
        return {"scores": means(tf.cast(decoded, tf.float32))}

    archive.add_endpoint("serving_default", serve, [tf.TensorSpec((None,), tf.string, name="image_bytes")])
    archive.add_endpoint(
        "predict",
        lambda pixels: {"scores": means(pixels)},
        [tf.TensorSpec((None, *image.shape), tf.float32, name="pixels")],
    )
    archive.write_out(tmp_path / "1", verbose=False)

    outside = dataclasses.replace(find_artifacts(tmp_path)[0], class_names=class_names)  # it brings no labels
    verification = verify_artifact(outside, examples, reference=None)

    assert "predict on pixels and serving_default on what clients send differ" in verification.problems[0]
    assert verification.agreement is None


def test_scores_that_are_no_numbers_are_a_problem(image, class_names, examples, tmp_path):
    pixels = keras.Input(image.shape, name="pixels")
    model = keras.Model(pixels, keras.layers.Dense(len(class_names))(keras.layers.GlobalAveragePooling2D()(pixels)))
    # Finite weights, which overflow on the first picture: weights that are no numbers are not exported at all.
    model.set_weights([np.full((3, len(class_names)), 3e38), np.zeros(len(class_names))])
    artifact = export_tflite(model, tmp_path / "m.tflite", quantization="none", spec=image, class_names=class_names)
    problems = verify_artifact(artifact, examples, reference=None).problems
    assert problems == ("40 of 40 answers have scores that are no numbers",)


def test_images_of_other_classes_are_refused(artifacts, examples):
    others = dataclasses.replace(examples, class_names=("ant", "bee", "cat", "dog", "fox"))
    with pytest.raises(DataError, match=r"the classes 5: ant, bee, cat, dog, elk; the examples have 5: .*fox"):
        verify_artifact(artifacts[0], others, reference=None)


def test_reference_of_another_shape_is_refused(artifacts, examples, reference):
    for other in (reference[:, :1], reference[:1], reference[:, :3], reference.ravel()):
        with pytest.raises(DataError, match=r"gives scores of shape \(40, 5\); the reference has"):
            verify_artifact(artifacts[0], examples, reference=other)


def test_int8_file_of_one_trained_sigmoid_unit_agrees_with_its_model(random_pixels, image, tmp_path):
    keras.utils.set_random_seed(0)
    pixels = keras.Input(image.shape)
    x = keras.layers.Conv2D(8, 3, activation="relu")(keras.layers.Rescaling(1 / 255)(pixels))
    model = keras.Model(pixels, keras.layers.Dense(1, activation="sigmoid")(keras.layers.Flatten()(x)))
    one = model.predict(random_pixels.astype(np.float32), verbose=0)
    model.layers[-1].bias.assign([-np.median(np.log(one / (1 - one)))])  # half of the pictures are of each class
    student = quantize_aware(model, random_pixels.astype(np.float32))
    settle_biases(student)
    artifact = export_tflite(
        student, tmp_path / "m.tflite", quantization="int8", spec=image, class_names=("bee",), calibration=random_pixels
    )
    examples = ImageExamples(
        source=ArraySource(random_pixels, channels=3),
        indices=np.arange(len(random_pixels)),
        labels=np.zeros(len(random_pixels), np.int32),
        names=tuple(map(str, range(len(random_pixels)))),
        class_names=("bee",),
    )
    reference = reference_scores(student, examples, image)
    verification = verify_artifact(artifact, examples, reference=reference)
    assert set(reference.argmax(axis=1)) == {0, 1}
    assert (verification.agreement, verification.max_difference) == (1.0, 0.0)


def test_no_image_is_refused(artifacts, examples):
    with pytest.raises(DataError, match="there is nothing to verify on"):
        verify_artifact(artifacts[0], examples.select(np.arange(0)), reference=None)


def test_golden_samples_hold_inputs_and_every_artifacts_own_outputs(artifacts, examples, image, tmp_path):
    import json

    verifications = [verify_artifact(artifact, examples, reference=None) for artifact in artifacts]
    path = write_golden_samples(verifications, examples, tmp_path / "golden", spec=image, count=5)

    golden = json.loads(path.read_text())
    inputs = np.load(path.parent / golden["inputs"])
    assert inputs["pixels"].shape == (5, *image.shape)
    assert sorted(inputs["labels"]) == [0, 1, 2, 3, 4]
    assert [entry["file"] for entry in golden["artifacts"]] == [
        "model_float32.tflite",
        "model_int8.tflite",
        "saved_model",
    ]
    scores = [np.load(path.parent / entry["expected"])["scores"] for entry in golden["artifacts"]]
    np.testing.assert_allclose(scores[0], scores[2], atol=1e-5)
    np.testing.assert_array_equal(scores[1] * 256, np.round(scores[1] * 256))
    for entry, pixels in zip(golden["images"], inputs["pixels"], strict=True):
        import tensorflow as tf

        np.testing.assert_array_equal(tf.io.decode_image(tf.io.read_file(str(path.parent / entry["file"]))), pixels)
