"""Running `.tflite` files of any origin on raw pixels."""

import numpy as np
import pytest
import tensorflow as tf

from tfkit.artifacts import SYMMETRIC
from tfkit.benchmarking.op_profile import profile_operators
from tfkit.errors import ModelError
from tfkit.runtimes import KerasRuntime, LiteRTRuntime, open_runtime


def _outside_file(path, *, input_type=tf.float32, output_type=tf.float32, function=None, shape=(1, 8, 8, 3)):
    """A file as others make them: the mean of each colour, on inputs in [-1, 1]."""
    mean = function or (lambda images: tf.reduce_mean(images, axis=[1, 2]))
    concrete = tf.function(mean, input_signature=[tf.TensorSpec(shape)]).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    if input_type != tf.float32:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        images = [np.full((1, 8, 8, 3), value, np.float32) for value in (-1.0, 1.0)]
        converter.representative_dataset = lambda: ([image] for image in images)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type, converter.inference_output_type = input_type, output_type
    path.write_bytes(converter.convert())
    return path


@pytest.fixture
def photo():
    return np.random.default_rng(3).integers(0, 256, (1, 8, 8, 3), dtype=np.uint8)


def test_scores_equal_keras_for_any_number_of_images(small_classifier, float_file, random_pixels):
    with LiteRTRuntime(float_file) as runtime:
        for count in (0, 1, 7):
            scores = runtime.scores(random_pixels[:count])
            assert scores.dtype == np.float32
            np.testing.assert_allclose(scores, KerasRuntime(small_classifier).scores(random_pixels[:count]), atol=1e-6)


def test_many_images_on_all_cores_have_the_scores_of_each_alone(float_file):
    pixels = np.random.default_rng(5).integers(0, 256, (150, *LiteRTRuntime(float_file).signature.inputs[0].shape[1:]))
    with LiteRTRuntime(float_file) as runtime:
        alone = [runtime.scores(picture[None].astype(np.uint8))[0] for picture in pixels]
        np.testing.assert_array_equal(runtime.scores(pixels.astype(np.uint8)), alone)
        np.testing.assert_array_equal(runtime.scores(pixels[::-1].astype(np.uint8)), alone[::-1])


@pytest.mark.parametrize("kind", [tf.uint8, tf.int8])
def test_8_bit_inputs_take_the_pixel_and_outputs_are_dequantised(kind, photo, tmp_path):
    path = _outside_file(tmp_path / "outside.tflite", input_type=kind, output_type=kind)
    with LiteRTRuntime(path) as runtime:
        expected = photo.mean(axis=(1, 2)) / 127.5 - 1
        np.testing.assert_allclose(runtime.scores(photo), expected, atol=0.02)


def test_float_input_takes_raw_pixels_unless_a_range_is_given(photo, tmp_path):
    path = _outside_file(tmp_path / "outside.tflite")
    means = photo.mean(axis=(1, 2))
    with LiteRTRuntime(path) as runtime:
        np.testing.assert_allclose(runtime.scores(photo), means, rtol=1e-5)
    with LiteRTRuntime(path, scaling=SYMMETRIC) as runtime:
        np.testing.assert_allclose(runtime.scores(photo), means / 127.5 - 1, atol=1e-5)


def test_file_with_any_batch_size_is_run_one_image_at_a_time(photo, tmp_path):
    path = _outside_file(tmp_path / "dynamic.tflite", shape=(None, 8, 8, 3))
    with LiteRTRuntime(path) as runtime:
        np.testing.assert_allclose(
            runtime.scores(np.repeat(photo, 3, axis=0))[2], photo.mean(axis=(0, 1, 2)), rtol=1e-5
        )


def test_file_that_divides_by_a_mask_is_opened(tmp_path):
    """Integer kernels refuse to divide by zero, which is what an empty mask adds up to."""

    def scores(token_ids, padding_mask):
        words = tf.gather(tf.eye(4), token_ids) * tf.cast(padding_mask, tf.float32)[..., None]
        return {"scores": tf.reduce_sum(words, 1) / tf.reduce_sum(tf.cast(padding_mask, tf.float32), 1, keepdims=True)}

    specifications = [tf.TensorSpec((1, 8), tf.int32, name=name) for name in ("token_ids", "padding_mask")]
    function = tf.function(scores, input_signature=specifications)
    tf.saved_model.save(tf.Module(), str(tmp_path / "saved"), signatures=function)
    ids, mask = np.array([[0, 1, 2, 3, 3, 3, 0, 0]], np.int32), np.array([[1, 1, 1, 1, 1, 1, 0, 0]], np.int32)
    texts = [{"token_ids": ids, "padding_mask": kept} for kept in (mask, np.ones_like(mask))]
    nameless = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: iter(texts)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    path = tmp_path / "masked.tflite"
    path.write_bytes(converter.convert())
    with LiteRTRuntime(path) as runtime:
        answer = runtime.scores(texts[0])
    np.testing.assert_allclose(answer, [[1 / 6, 1 / 6, 1 / 6, 3 / 6]], atol=0.02)
    assert profile_operators(path, runs=5).operators
    path.write_bytes(nameless.convert())
    with pytest.raises(ModelError, match="no signature"):
        LiteRTRuntime(path)


def test_images_of_another_size_are_refused(float_file):
    with (
        LiteRTRuntime(float_file) as runtime,
        pytest.raises(ModelError, match=r"\(32, 32, 3\); got .*\(1, 16, 16, 3\)"),
    ):
        runtime.scores(np.zeros((1, 16, 16, 3), np.uint8))


def test_model_that_takes_no_images_is_refused(tmp_path):
    path = _outside_file(tmp_path / "text.tflite", function=lambda values: values + 1.0, shape=(1, 10))
    with pytest.raises(ModelError, match="expected one image tensor"):
        LiteRTRuntime(path)


def test_custom_operator_is_named_when_it_cannot_run(tmp_path):
    concrete = tf.function(
        lambda images: tf.reduce_mean(tf.math.erfinv(images), axis=[1, 2]),
        input_signature=[tf.TensorSpec((1, 8, 8, 3))],
    ).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    converter.allow_custom_ops = True
    path = tmp_path / "custom.tflite"
    path.write_bytes(converter.convert())
    with pytest.raises(ModelError, match="custom operators: Erfinv"):
        LiteRTRuntime(path)


def test_prepared_run_can_be_repeated(float_file, random_pixels):
    with open_runtime(float_file, threads=2) as runtime:
        run = runtime.prepare(random_pixels[:1])
        run()
        run()
        assert runtime.threads == 2
        assert "invoke" in runtime.measures


def test_path_without_a_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no model at"):
        open_runtime(tmp_path / "nothing.tflite")
    with pytest.raises(ModelError, match=r"holds no saved_model\.pb"):
        open_runtime(tmp_path)
