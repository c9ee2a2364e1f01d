"""`.tflite` files: what is in them, that they compute what Keras computes, and that bad ones are refused."""

import keras
import numpy as np
import pytest

from tfkit.artifacts import ImageSpec
from tfkit.errors import ExportError, RunError
from tfkit.exporters import convert_to_float, export_tflite
from tfkit.exporters.inspection import layer_of
from tfkit.runtimes import KerasRuntime, LiteRTRuntime, read_operators


@pytest.fixture(scope="module")
def float_flatbuffer(small_classifier, image):
    return convert_to_float(small_classifier, spec=image)


def _export(model, path, quantization, image, class_names, **options):
    return export_tflite(model, path, quantization=quantization, spec=image, class_names=class_names, **options)


def _differences(model, artifact, pixels):
    with LiteRTRuntime(artifact.path) as runtime:
        return np.abs(runtime.scores(pixels) - KerasRuntime(model).scores(pixels))


@pytest.mark.parametrize(
    ("quantization", "tolerance"), [("none", 1e-5), ("float16", 1e-3), ("dynamic_int8", 0.01), ("int8", 0.02)]
)
def test_every_quantization_computes_what_keras_computes(
    quantization, tolerance, small_classifier, image, class_names, random_pixels, float_flatbuffer, tmp_path
):
    artifact = _export(
        small_classifier,
        tmp_path / "model.tflite",
        quantization,
        image,
        class_names,
        calibration=random_pixels,
        float_flatbuffer=float_flatbuffer,
    )
    assert _differences(small_classifier, artifact, random_pixels).max() < tolerance
    assert not any(operator.custom for operator in read_operators(artifact.path))
    assert [path.name for path in tmp_path.iterdir()] == ["model.tflite"]


def test_smaller_quantizations_give_smaller_files(small_classifier, image, class_names, random_pixels, tmp_path):
    sizes = {}
    for quantization in ("none", "float16", "dynamic_int8"):
        artifact = _export(small_classifier, tmp_path / f"{quantization}.tflite", quantization, image, class_names)
        sizes[quantization] = artifact.bytes
    assert sizes["none"] > sizes["float16"] > sizes["dynamic_int8"]


def test_int8_file_takes_pixels_as_they_are_and_holds_no_float_operator(
    small_classifier, image, class_names, random_pixels, float_flatbuffer, tmp_path
):
    artifact = _export(
        small_classifier,
        tmp_path / "model.tflite",
        "int8",
        image,
        class_names,
        calibration=random_pixels[:, :, :, :] // 2 + 60,  # pixels that reach neither 0 nor 255
        float_flatbuffer=float_flatbuffer,
    )
    (pixels,), (scores,) = artifact.signature.inputs, artifact.signature.outputs
    assert (pixels.name, pixels.dtype, pixels.scale, pixels.zero_point) == ("pixels", "uint8", 1.0, 0)
    assert (scores.name, scores.dtype, scores.scale, scores.zero_point) == ("scores", "uint8", 1 / 256, 0)
    operators = read_operators(artifact.path)
    assert not any(operator.is_float for operator in operators)
    assert {kind for operator in operators for kind in (*operator.inputs, *operator.outputs)} <= {
        "int8",
        "uint8",
        "int32",
    }
    assert "calibrated on 40 training images" in artifact.made_by


def test_model_that_ends_in_logits_is_exported_to_int8(small_classifier, image, class_names, random_pixels, tmp_path):
    logits = keras.Model(small_classifier.input, small_classifier.get_layer("logits").output)
    artifact = _export(logits, tmp_path / "model.tflite", "int8", image, class_names, calibration=random_pixels)
    scores = KerasRuntime(logits).scores(random_pixels)
    assert _differences(logits, artifact, random_pixels).max() < 0.05 * np.ptp(scores)


def test_constant_of_a_dead_channel_survives_int8(image, random_pixels, tmp_path):
    pixels = keras.Input(image.shape, name="pixels")
    stem = keras.layers.Conv2D(16, 3, strides=4, name="stem")
    head = keras.layers.Dense(2, name="logits")
    model = keras.Model(pixels, head(keras.layers.GlobalAveragePooling2D()(stem(pixels))))
    stem.set_weights([np.zeros((3, 3, 3, 16)), np.full(16, 3.0)])
    head.set_weights([np.stack([np.full(16, 1.0), np.full(16, -1.0)], axis=1), np.zeros(2)])

    artifact = _export(model, tmp_path / "model.tflite", "int8", image, ("a", "b"), calibration=random_pixels)

    with LiteRTRuntime(artifact.path) as runtime:
        np.testing.assert_allclose(runtime.scores(random_pixels[:1]), [[48.0, -48.0]], rtol=0.02)


def test_mixed_precision_model_is_exported_as_float32(image, class_names, random_pixels, tmp_path):
    pixels = keras.Input(image.shape, name="pixels")
    stem = keras.layers.Conv2D(16, 3, strides=4, dtype="mixed_float16")(pixels)
    pooled = keras.layers.GlobalAveragePooling2D(dtype="mixed_float16")(stem)
    scores = keras.layers.Dense(len(class_names), activation="softmax", dtype="float32")(pooled)
    model = keras.Model(pixels, scores)

    artifact = _export(model, tmp_path / "model.tflite", "none", image, class_names)

    assert all("float16" not in operator.inputs for operator in read_operators(artifact.path))
    assert _differences(model, artifact, random_pixels).max() < 0.05


def test_operator_without_builtin_is_refused_with_its_layer_and_nothing_is_left(image, class_names, tmp_path):
    @keras.saving.register_keras_serializable("tfkit_tests")
    class Odd(keras.layers.Layer):
        def call(self, values):
            return keras.ops.erfinv(keras.ops.tanh(values))

    pixels = keras.Input(image.shape, name="pixels")
    pooled = keras.layers.GlobalAveragePooling2D()(Odd(name="odd_one")(pixels))
    model = keras.Model(pixels, keras.layers.Dense(len(class_names))(pooled))

    with pytest.raises(ExportError, match=r"Erfinv \(layer 'odd_one'\)"):
        _export(model, tmp_path / "model.tflite", "none", image, class_names)
    assert list(tmp_path.iterdir()) == []


def test_float_operator_in_an_int8_file_is_refused_with_its_layer(image, class_names, random_pixels, tmp_path):
    @keras.saving.register_keras_serializable("tfkit_tests")
    class Wavy(keras.layers.Layer):
        def call(self, values):
            return keras.ops.cos(values)

    pixels = keras.Input(image.shape, name="pixels")
    pooled = keras.layers.GlobalAveragePooling2D()(Wavy(name="wavy")(pixels))
    model = keras.Model(pixels, keras.layers.Dense(len(class_names))(pooled))

    with pytest.raises(ExportError, match=r"stayed in float: .*COS \(layer 'wavy'\)") as refused:
        _export(model, tmp_path / "model.tflite", "int8", image, class_names, calibration=random_pixels)
    assert "dynamic_int8" in refused.value.hint
    assert list(tmp_path.iterdir()) == []
    assert _export(model, tmp_path / "model.tflite", "dynamic_int8", image, class_names).path.exists()


def test_int8_without_calibration_images_is_refused(small_classifier, image, class_names, tmp_path):
    with pytest.raises(ExportError, match="needs calibration images; got none"):
        _export(small_classifier, tmp_path / "model.tflite", "int8", image, class_names)


def test_calibration_images_of_another_shape_are_refused(small_classifier, image, class_names, random_pixels, tmp_path):
    with pytest.raises(ExportError, match=r"uint8 \(n, 32, 32, 3\); got uint8 \(40, 16, 32, 3\)"):
        _export(small_classifier, tmp_path / "m.tflite", "int8", image, class_names, calibration=random_pixels[:, ::2])


def test_image_size_and_classes_that_do_not_fit_are_told_at_once(small_classifier, tmp_path):
    with pytest.raises(ExportError, match=r"expected one input of images \(64, 64, 3\); .*scores of 2 classes"):
        _export(small_classifier, tmp_path / "m.tflite", "none", ImageSpec(height=64, width=64), ("a", "b"))


def test_existing_file_is_never_overwritten(small_classifier, image, class_names, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"precious")
    with pytest.raises(ExportError, match="exists already"):
        _export(small_classifier, path, "none", image, class_names)
    assert path.read_bytes() == b"precious"


def test_full_disk_is_told_and_leaves_no_half_file(
    small_classifier, image, class_names, float_flatbuffer, limited_file_size, tmp_path
):
    with limited_file_size(4096), pytest.raises(RunError, match=r"cannot write .*model.tflite"):
        _export(
            small_classifier,
            tmp_path / "model.tflite",
            "none",
            image,
            class_names,
            float_flatbuffer=float_flatbuffer,
        )
    assert list(tmp_path.iterdir()) == []


def test_export_is_silent(small_classifier, image, class_names, random_pixels, tmp_path, capfd):
    artifact = _export(
        small_classifier, tmp_path / "model.tflite", "int8", image, class_names, calibration=random_pixels
    )
    with LiteRTRuntime(artifact.path) as runtime:
        runtime.scores(random_pixels[:1])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("tensor_name", "layer"),
    [
        ("functional_1/backbone_1/re_lu_1/Relu;functional_1/backbone_1/conv2d_1/convolution", "re_lu"),
        ("functional_1/conv2d_1_1/convolution1", "conv2d_1"),
        ("StatefulPartitionedCall:0", "StatefulPartitionedCall:0"),
    ],
)
def test_layer_is_found_in_the_converters_tensor_name(tensor_name, layer):
    assert layer_of(tensor_name, {"backbone", "re_lu", "conv2d", "conv2d_1"}) == layer
