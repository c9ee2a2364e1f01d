"""Running SavedModels in a process of their own."""

import numpy as np
import pytest
import tensorflow as tf

from tfkit.errors import ModelError
from tfkit.runtimes import KerasRuntime, SavedModelRuntime, open_runtime


@pytest.fixture(scope="module")
def runtime(saved_model):
    # Opened by the folder above the version, as servers are given it.
    with open_runtime(saved_model.parent) as runtime:
        yield runtime
    assert runtime.process.popen.poll() == 0, "the process ends when the runtime is closed"


@pytest.fixture
def encoded(random_pixels):
    return [tf.io.encode_png(pixels).numpy() for pixels in random_pixels[:5]]


def test_scores_equal_keras_for_pixels_and_for_encoded_images(runtime, small_classifier, random_pixels, encoded):
    expected = KerasRuntime(small_classifier).scores(random_pixels[:5])
    np.testing.assert_allclose(runtime.scores(random_pixels[:5]), expected, atol=1e-6)
    np.testing.assert_allclose(runtime.scores_from_encoded(encoded), expected, atol=1e-6)


def test_more_images_than_one_request_holds_are_answered_in_their_order(runtime, random_pixels, encoded):
    expected = np.concatenate([runtime.scores(random_pixels[n : n + 1]) for n in range(5)])
    np.testing.assert_allclose(runtime.scores_from_encoded(encoded * 8), np.tile(expected, (8, 1)), atol=1e-6)
    np.testing.assert_allclose(
        runtime.scores(np.tile(random_pixels[:5], (8, 1, 1, 1))), np.tile(expected, (8, 1)), atol=1e-6
    )


def test_signature_is_read_from_the_loaded_model(runtime):
    assert [(tensor.name, tensor.dtype, tensor.shape) for tensor in runtime.signature.inputs] == [
        ("image_bytes", "string", (None,))
    ]
    assert {tensor.name for tensor in runtime.signature.outputs} == {"labels", "scores"}


def test_fault_inside_the_model_becomes_an_error_and_the_process_lives_on(runtime, random_pixels):
    with pytest.raises(ModelError, match="Unknown image file format"):
        runtime.scores_from_encoded([b"no image"])
    assert runtime.scores(random_pixels[:1]).shape == (1, 5)


@pytest.mark.slow
def test_process_that_dies_is_told(saved_model, random_pixels):
    with SavedModelRuntime(saved_model) as runtime:
        runtime.process.popen.kill()
        with pytest.raises(ModelError, match="ended with status -9"):
            runtime.scores(random_pixels[:1])


def test_damaged_saved_model_is_told(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"nonsense")
    with pytest.raises(ModelError, match=r"SavedModel '.*': "):
        SavedModelRuntime(tmp_path)


@pytest.mark.slow
def test_outside_saved_model_that_takes_pixels_only_is_run(tmp_path):
    module = tf.Module()
    module.serve = tf.function(
        lambda images: {"mean": tf.reduce_mean(images, axis=[1, 2])},
        input_signature=[tf.TensorSpec((None, 8, 8, 3), name="images")],
    )
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.serve})
    pixels = np.full((2, 8, 8, 3), 7, np.uint8)
    with SavedModelRuntime(tmp_path) as runtime:
        np.testing.assert_allclose(runtime.scores(pixels), np.full((2, 3), 7.0))
        with pytest.raises(ModelError, match=r"no signature that takes strings: serving_default\(float32 images\)"):
            runtime.scores_from_encoded([b""])
