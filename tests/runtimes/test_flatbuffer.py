"""What a `.tflite` file is read to hold."""

import pytest
import tensorflow as tf
from ai_edge_litert.tools import flatbuffer_utils

from tfkit.artifacts import OUTSIDE
from tfkit.errors import ModelError
from tfkit.opening.targets import find_artifacts
from tfkit.runtimes import LiteRTRuntime, read_operators, read_signature, scale_that_is_no_number


def _convert(function, shape, path, **options):
    concrete = tf.function(function, input_signature=[tf.TensorSpec(shape)]).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    for name, value in options.items():
        setattr(converter, name, value)
    path.write_bytes(converter.convert())
    return path


def test_operators_come_in_order_with_types_shapes_and_layers(float_file):
    operators = read_operators(float_file)
    assert [operator.name for operator in operators] == [
        "MUL",
        "ADD",
        "CONV_2D",
        "CONV_2D",
        "MEAN",
        "FULLY_CONNECTED",
        "SOFTMAX",
    ]
    assert [operator.index for operator in operators] == list(range(7))
    assert all(operator.is_float and not operator.custom for operator in operators)
    stem = operators[2]
    assert "stem" in stem.layer
    assert (stem.inputs, stem.outputs, stem.shapes) == (("float32",) * 3, ("float32",), ((1, 16, 16, 16),))


def test_conversions_at_the_border_of_an_int8_file_are_no_float_operators(int8_file):
    operators = read_operators(int8_file)
    assert [operators[0].name, operators[-1].name] == ["QUANTIZE", "QUANTIZE"]
    assert not any(operator.is_float for operator in operators)


def test_float_island_between_conversions_is_found(tmp_path):
    def function(values):
        narrowed = tf.quantization.fake_quant_with_min_max_args(values, -1.0, 1.0)
        return tf.quantization.fake_quant_with_min_max_args(tf.cos(narrowed), -1.0, 1.0)

    path = _convert(
        function,
        (1, 4),
        tmp_path / "island.tflite",
        optimizations=[tf.lite.Optimize.DEFAULT],
    )
    assert "COS" in {operator.name for operator in read_operators(path) if operator.is_float}


def test_custom_operator_is_marked_and_named(tmp_path):
    path = _convert(tf.math.erfinv, (1, 4), tmp_path / "custom.tflite", allow_custom_ops=True)
    assert [(operator.name, operator.custom) for operator in read_operators(path)] == [("Erfinv", True)]


def test_signature_names_types_and_quantisation_are_read(float_file, int8_file):
    (pixels,), (scores,) = read_signature(float_file).inputs, read_signature(float_file).outputs
    assert (pixels.name, pixels.shape, pixels.dtype, pixels.scale) == ("pixels", (1, 32, 32, 3), "float32", None)
    assert (scores.name, scores.shape) == ("scores", (1, 5))
    (pixels,) = read_signature(int8_file).inputs
    assert (pixels.dtype, pixels.scale, pixels.zero_point) == ("uint8", 1.0, 0)


def test_size_that_may_change_is_none(tmp_path):
    path = _convert(lambda values: values + 1.0, (None, 4), tmp_path / "dynamic.tflite")
    assert read_signature(path).inputs[0].shape == (None, 4)


def test_outside_file_is_described_from_what_it_holds(int8_file, float_file, image, class_names):
    (integer,), (floating,) = find_artifacts(int8_file), find_artifacts(float_file)
    assert (integer.quantization, integer.input, integer.made_by) == ("int8", image, OUTSIDE)
    assert (floating.quantization, floating.class_names) == ("none", class_names), "the labels of its metadata"


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"\xff\xd8 a photo"])
def test_file_of_another_kind_is_refused(content, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"is not a \.tflite file"):
        read_operators(path)


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"cannot read .*No such file"):
        read_signature(tmp_path / "model.tflite")


def test_a_file_cut_short_anywhere_is_told(int8_file, tmp_path):
    content, cut = int8_file.read_bytes(), tmp_path / "cut.tflite"
    refused = 0
    for share in range(1, 40):
        cut.write_bytes(content[: len(content) * share // 40])
        try:
            read_operators(cut), read_signature(cut)
        except ModelError as fault:
            assert f"'{cut}'" in str(fault)
            refused += 1
    assert refused > 0  # a file's end may hold nothing that operators need


def test_a_scale_that_is_no_number_is_named_and_the_file_is_never_run(int8_file, tmp_path):
    content = flatbuffer_utils.convert_bytearray_to_object(bytearray(int8_file.read_bytes()))
    spoilt = next(tensor for tensor in content.subgraphs[0].tensors[1:] if tensor.quantization.scale is not None)
    spoilt.quantization.scale = [float("nan")] * len(spoilt.quantization.scale)
    path = tmp_path / "model.tflite"
    path.write_bytes(flatbuffer_utils.convert_object_to_bytearray(content))
    assert scale_that_is_no_number(int8_file) is None
    assert scale_that_is_no_number(path) == spoilt.name.decode()
    with pytest.raises(ModelError, match="scale of its tensor"):
        LiteRTRuntime(path)


@pytest.mark.parametrize("end", ["inputs", "outputs"])
def test_a_graph_without_ends_is_told(float_file, tmp_path, end):
    model = flatbuffer_utils.read_model(str(float_file))
    setattr(model.subgraphs[0], end, [])
    model.signatureDefs = []
    path = tmp_path / "endless.tflite"
    flatbuffer_utils.write_model(model, str(path))
    with pytest.raises(ModelError, match=rf"the graph of '.*endless\.tflite' has no {end}"):
        find_artifacts(path)
