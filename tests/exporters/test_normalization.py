"""Every finished file is read by other and older runtimes as LiteRT reads it, or refused."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from tfkit.artifacts import OUTSIDE, Artifact
from tfkit.exporters import convert_to_float, export_tflite
from tfkit.exporters.normalization import normalized
from tfkit.exporters.quantization import quantize_to_dynamic_int8, quantize_to_float16, quantize_to_int8
from tfkit.runtimes import read_portability, read_signature
from tfkit.runtimes.operator_versions import OperatorTypes, needed_version
from tfkit.verification import portability_problems


@pytest.fixture(scope="module")
def wide_classifier(image, class_names):
    """A kernel of a million weights: enough for litert-quantizer to put it behind the flatbuffer."""
    pixels = keras.Input(image.shape, name="pixels")
    x = keras.layers.Conv2D(40, 3, strides=2, activation="relu")(keras.layers.Rescaling(1 / 255)(pixels))
    x = keras.layers.DepthwiseConv2D(3, padding="same", dilation_rate=2)(x)
    x = keras.layers.Dense(140, activation="relu")(keras.layers.Flatten()(x))
    return keras.Model(pixels, keras.layers.Dense(len(class_names), activation="softmax")(x))


@pytest.fixture(scope="module")
def float_flatbuffer(wide_classifier, image):
    return convert_to_float(wide_classifier, spec=image)


@pytest.fixture(scope="module", params=["float16", "dynamic_int8", "int8"])
def raw(request, float_flatbuffer, random_pixels):
    """What litert-quantizer writes."""
    made = {"float16": quantize_to_float16, "dynamic_int8": quantize_to_dynamic_int8}
    if request.param == "int8":
        return quantize_to_int8(float_flatbuffer, random_pixels)
    return made[request.param](float_flatbuffer)


def _answers(flatbuffer, pixels):
    interpreter = Interpreter(model_content=flatbuffer)
    interpreter.allocate_tensors()
    (wanted,) = interpreter.get_input_details()
    scores = []
    for picture in pixels:
        interpreter.set_tensor(wanted["index"], picture[None].astype(wanted["dtype"]))
        interpreter.invoke()
        scores.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    return np.concatenate(scores)


def _versions(flatbuffer):
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(flatbuffer))
    return {code.builtinCode: code.version for code in model.operatorCodes}


def test_normalised_file_answers_to_the_bit_and_has_no_fault(raw, random_pixels, tmp_path):
    (tmp_path / "raw.tflite").write_bytes(raw)
    (tmp_path / "mended.tflite").write_bytes(normalized(raw))

    np.testing.assert_array_equal(_answers(raw, random_pixels[:8]), _answers(normalized(raw), random_pixels[:8]))
    assert read_portability(tmp_path / "raw.tflite").faults
    assert read_portability(tmp_path / "mended.tflite").faults == ()
    assert normalized(normalized(raw)) == normalized(raw)


def test_weights_lie_inside_on_multiples_of_sixteen(raw):
    mended = normalized(raw)
    model = schema.Model.GetRootAs(mended)
    for number in range(model.BuffersLength()):
        buffer = model.Buffers(number)
        assert buffer.Offset() == buffer.Size() == 0
        if buffer.DataLength():
            start = buffer._tab.Vector(buffer._tab.Offset(4))
            assert start % 16 == 0


def test_versions_are_those_of_the_stock_converter(wide_classifier, float_flatbuffer):
    converter = tf.lite.TFLiteConverter.from_keras_model(wide_classifier)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    stock = _versions(converter.convert())

    ours = _versions(normalized(quantize_to_dynamic_int8(float_flatbuffer)))

    shared = {schema.BuiltinOperator.FULLY_CONNECTED, schema.BuiltinOperator.CONV_2D}
    assert shared <= set(stock) & set(ours)
    assert {code: ours[code] for code in shared} == {code: stock[code] for code in shared}
    assert ours[schema.BuiltinOperator.FULLY_CONNECTED] == 12


@pytest.mark.parametrize(
    # The small classifier's zero biases fold away: a Dense layer without one asks for version 6, of 2.1.
    ("quantization", "runtime"),
    [("none", "2.1.0"), ("float16", "2.1.0"), ("dynamic_int8", "2.17.0"), ("int8", "2.1.0")],
)
def test_every_exported_file_says_the_runtime_it_needs(
    quantization, runtime, small_classifier, image, class_names, random_pixels, tmp_path
):
    path = tmp_path / "model.tflite"
    export_tflite(
        small_classifier,
        path,
        quantization=quantization,
        spec=image,
        class_names=class_names,
        calibration=random_pixels,
    )

    assert read_portability(path) == replace(read_portability(path), min_runtime=runtime, faults=())
    said = [bytes(entry.Name()) for entry in _metadata(path.read_bytes())]
    assert said.count(b"min_runtime_version") == 1


def _metadata(flatbuffer):
    model = schema.Model.GetRootAs(flatbuffer)
    return [model.Metadata(number) for number in range(model.MetadataLength())]


def test_a_file_of_ours_with_a_fault_has_a_problem_and_a_foreign_one_has_none(raw, image, class_names, tmp_path):
    path = tmp_path / "raw.tflite"
    path.write_bytes(raw)
    ours = Artifact(path, "tflite", "int8", read_signature(path), image, class_names, made_by="tfkit")

    assert any("buffers lie behind the flatbuffer" in problem for problem in portability_problems(ours))
    assert portability_problems(replace(ours, made_by=OUTSIDE)) == ()


def test_runtime_is_never_below_what_the_stock_converter_says(image, tmp_path):
    pixels = keras.Input(image.shape, name="pixels")
    x = keras.layers.Conv3D(2, (3, 3, 1))(keras.layers.Reshape((*image.shape, 1))(pixels))
    x = keras.layers.Flatten()(keras.ops.sign(keras.ops.round(keras.ops.sin(x))))
    path = tmp_path / "float.tflite"
    path.write_bytes(normalized(convert_to_float(keras.Model(pixels, keras.layers.Dense(3)(x)), spec=image)))

    assert read_portability(path).min_runtime == "2.11.0"  # SIGN, by TensorFlow's runtime_version.cc


@pytest.mark.parametrize(("kernel", "version"), [("float32", 1), ("int8", 2)])
def test_recurrent_layers_with_int8_weights_say_so(kernel, version):
    lstm = OperatorTypes(("float32", "", kernel), ("float32",), ((1, 4), (), (4, 4)), False, (), None)

    assert needed_version("UNIDIRECTIONAL_SEQUENCE_LSTM", lstm) == version
