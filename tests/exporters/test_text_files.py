"""Files of text classifiers: all in integers, or with the int8 weights they were trained on."""

from dataclasses import replace

import keras
import keras_hub
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils

from tfkit.artifacts import TextSpec
from tfkit.benchmarking.op_profile import profile_operators
from tfkit.compression import FreezeRanges, QuantizationPolicy, quantize_aware, settle_biases, trained_kernels
from tfkit.errors import ExportError, ModelError
from tfkit.exporters import export_formats, export_tflite, rehearse_export
from tfkit.exporters.quantization_aware import check_kernels, export_integers, export_text_integers
from tfkit.exporters.text_quantization import export_text_dynamic_int8, export_text_floats
from tfkit.models.text import build_text_classifier, open_transformer, with_sequence_length
from tfkit.runtimes import read_operators

LENGTH = 8


@pytest.fixture(scope="module")
def opened(small_text_classifier):
    return open_transformer(small_text_classifier)


@pytest.fixture(scope="module")
def targets():
    return np.eye(3, dtype=np.float32)[np.random.default_rng(0).integers(0, 3, 64)]


def _trained(model, texts, targets, **policy):
    student = quantize_aware(model, texts, policy=QuantizationPolicy(**policy))
    student.compile(keras.optimizers.Adam(1e-3), "categorical_crossentropy")
    student.fit(texts, targets, epochs=2, verbose=0, callbacks=[FreezeRanges(after_epochs=1)])
    settle_biases(student)
    return student


@pytest.fixture(scope="module")
def student(opened, short_texts, targets):
    return _trained(opened, short_texts, targets)


@pytest.fixture(scope="module")
def integers(student, short_texts):
    return export_text_integers(student, sequence_length=LENGTH, texts=short_texts)


@pytest.fixture(scope="module")
def light_student(opened, short_texts, targets):
    return _trained(opened, short_texts, targets, activation_bits=32)


@pytest.fixture(scope="module")
def dynamic(light_student):
    return export_text_dynamic_int8(light_student, sequence_length=LENGTH)


def _scores(flatbuffer, texts):
    interpreter = Interpreter(model_content=flatbuffer, num_threads=1)
    interpreter.allocate_tensors()
    run = interpreter.get_signature_runner("serving_default")
    scale, zero_point = interpreter.get_output_details()[0]["quantization"]
    rows = [
        run(**{name: ids[number : number + 1] for name, ids in texts.items()})["scores"][0].astype(np.float64)
        for number in range(len(texts["token_ids"]))
    ]
    return (np.stack(rows) - zero_point) * (scale or 1.0)


def _operators(flatbuffer, folder):
    path = folder / "model.tflite"
    path.write_bytes(flatbuffer)
    return read_operators(path)


def test_an_integer_file_computes_nothing_in_float(integers, tmp_path):
    assert not [operator.name for operator in _operators(integers.flatbuffer, tmp_path) if operator.is_float]


def test_an_integer_file_has_no_dense_layer_of_16_bits(integers, tmp_path):
    """LiteRT's kernel for those takes twenty times as long as XNNPACK's for 8 bits."""
    dense = [one for one in _operators(integers.flatbuffer, tmp_path) if one.name == "FULLY_CONNECTED"]
    assert len(dense) == 13 and {one.outputs for one in dense} == {("int8",)}
    scaled = [row for row in integers.layers if row.layer.endswith("feedforward_output_dense_quantizer")]
    assert [row.operator for row in scaled] == ["DEPTHWISE_CONV_2D"] * 2


def test_the_operators_of_a_file_that_looks_tokens_up_are_timed(integers, tmp_path):
    """What fresh memory holds is often no token, and the file then refuses to run."""
    (tmp_path / "model.tflite").write_bytes(integers.flatbuffer)
    profile = profile_operators(tmp_path / "model.tflite", runs=3)
    assert "FULLY_CONNECTED" in {operator.name for operator in profile.operators} and profile.latency_ms > 0


def test_an_integer_file_takes_ids_and_gives_bytes(integers):
    interpreter = Interpreter(model_content=integers.flatbuffer)
    assert {detail["dtype"] for detail in interpreter.get_input_details()} == {np.int32}
    assert [tuple(detail["shape"]) for detail in interpreter.get_input_details()] == [(1, LENGTH)] * 2
    assert interpreter.get_output_details()[0]["dtype"] == np.uint8


def test_an_integer_file_agrees_with_its_model(integers, student, short_texts):
    expected, found = student.predict(short_texts, verbose=0), _scores(integers.flatbuffer, short_texts)
    # To the bit whatever the weights are: an Intel processor trains others than an AMD one.
    np.testing.assert_array_equal(np.round(expected * 256), np.round(found * 256))


def test_a_settled_encoder_is_its_file_to_the_bit(integers):
    """Tensors of 16 bits were a tenth of them one of their steps away, and one in 200 of 8 bits behind them."""
    assert len(integers.layers) > 27
    off = {row.layer: row.mean_steps for row in integers.layers if row.mean_steps > 1e-5 or row.worst_steps > 0.02}
    assert off == {}


def test_every_kernel_of_an_integer_file_and_its_table_are_read_back(integers):
    assert integers.kernels_on_grid == 1 + 2 * 6 + 1


def test_the_layers_of_an_integer_file_are_compared_in_order(integers):
    names = [row.layer for row in integers.layers]
    assert names[0] == "token_embedding_quantizer"
    assert names[-1] == "scores_quantizer"
    assert {"transformer_layer_0_mask_quantizer", "transformer_layer_1_softmax_quantizer"} <= set(names)
    assert integers.layers[0].mean_steps == 0
    assert max(row.mean_steps for row in integers.layers) < 0.5


def test_padding_does_not_reach_the_scores_of_an_integer_file(integers, short_texts):
    filled = np.where(short_texts["padding_mask"] == 0, 77, short_texts["token_ids"]).astype(np.int32)
    changed = _scores(integers.flatbuffer, short_texts | {"token_ids": filled})
    # LiteRT's softmax of 16 bits leaves padding one step of 32,768 in the mean, which may turn a rounding.
    assert np.abs(changed - _scores(integers.flatbuffer, short_texts)).max() < 0.02


def test_texts_of_another_length_are_refused(student, short_texts):
    with pytest.raises(ExportError, match=r"int32 \(n, 16\)"):
        export_text_integers(student, sequence_length=16, texts=short_texts)


def test_a_model_of_token_ids_is_no_model_of_images(student, image):
    with pytest.raises(ExportError, match="takes token ids, not images"):
        export_integers(with_sequence_length(student, sequence_length=LENGTH), image=image)


def test_layers_left_in_float_are_the_only_float_ones(opened, short_texts, tmp_path):
    student = quantize_aware(opened, short_texts, policy=QuantizationPolicy(skip=["logits", "scores"]))
    made = export_text_integers(student, sequence_length=LENGTH, texts=short_texts)
    floats = [operator.name for operator in _operators(made.flatbuffer, tmp_path) if operator.is_float]
    assert set(floats) <= {"DEQUANTIZE", "FULLY_CONNECTED", "SOFTMAX"}
    found = _scores(made.flatbuffer, short_texts)
    assert np.abs(found - student.predict(short_texts, verbose=0)).mean() < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("policy", [{"skip": ["*_feedforward_*"]}, {"weight_bits": 4}], ids=["skip", "4-bit"])
def test_a_text_file_is_written_with_what_its_policy_says(policy, opened, short_texts, targets, tmp_path):
    student = _trained(opened, short_texts, targets, **policy)
    text, names = TextSpec(LENGTH, tmp_path), ("a", "b", "c")
    file = export_tflite(
        student, tmp_path / "m.tflite", quantization="int8", spec=text, class_names=names, calibration=short_texts
    )
    floats = [operator for operator in read_operators(file.path) if operator.is_float]
    assert bool(floats) == ("skip" in policy)
    assert all("feedforward" in operator.layer for operator in floats if operator.name == "FULLY_CONNECTED")
    found = _scores(file.path.read_bytes(), short_texts)
    assert np.abs(found - student.predict(short_texts, verbose=0)).mean() < 0.02


def test_a_float_file_says_what_the_model_says(opened, short_texts):
    found = _scores(export_text_floats(opened, sequence_length=LENGTH), short_texts)
    np.testing.assert_allclose(found, opened.predict(short_texts, verbose=0), atol=1e-5)


def test_a_dynamic_file_holds_the_trained_weights(dynamic, light_student, short_texts):
    assert dynamic.kernels_on_grid == 1 + 2 * 6 + 1
    found, expected = _scores(dynamic.flatbuffer, short_texts), light_student.predict(short_texts, verbose=0)
    np.testing.assert_allclose(found, expected, atol=0.03)


def test_a_dynamic_file_looks_its_rows_up_in_bytes(dynamic):
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(dynamic.flatbuffer))
    codes = [model.operatorCodes[operator.opcodeIndex].builtinCode for operator in model.subgraphs[0].operators]
    lookup = model.subgraphs[0].operators[codes.index(schema.BuiltinOperator.EMBEDDING_LOOKUP)]
    table = model.subgraphs[0].tensors[lookup.inputs[1]]
    assert table.type == schema.TensorType.INT8
    assert len(table.quantization.scale) == 100
    assert schema.BuiltinOperator.GATHER not in codes


def test_a_float_model_becomes_a_dynamic_file_too(opened, short_texts):
    made = export_text_dynamic_int8(opened, sequence_length=LENGTH)
    assert made.kernels_on_grid == 0
    np.testing.assert_allclose(_scores(made.flatbuffer, short_texts), opened.predict(short_texts, verbose=0), atol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("family", "changes"), [("Albert", {"embedding_dim": 16}), ("DebertaV3", {"bucket_size": 8})])
def test_encoders_that_are_not_opened_have_files_too(short_texts, family, changes, tmp_path):
    """DeBERTa's products with a constant left side are one that LiteRT does not run with int8 there."""
    sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 32, "intermediate_dim": 64, "max_sequence_length": 16}
    encoder = getattr(keras_hub.models, f"{family}Backbone")(vocabulary_size=100, **sizes, **changes)
    model = build_text_classifier(encoder, classes=3, pooling="mean")
    model.get_layer("logits").kernel.assign(np.random.default_rng(1).normal(size=(32, 3)))
    described = {"spec": TextSpec(LENGTH, tmp_path / "tokenizer"), "class_names": ("a", "b", "c")}
    formats = ("tflite_float32", "tflite_float16", "tflite_dynamic_int8")
    rehearse_export(model, formats, samples=short_texts, **described)
    expected = model.predict(short_texts, verbose=0)
    for artifact, far in zip(export_formats(model, formats, tmp_path, **described), (1e-5, 1e-3, 0.05), strict=True):
        np.testing.assert_allclose(_scores(artifact.path.read_bytes(), short_texts), expected, atol=far)
    with pytest.raises(ModelError, match="cannot be opened into plain layers"):
        open_transformer(model)


def test_a_file_with_other_weights_is_told_by_the_layer(dynamic, light_student):
    kernels = trained_kernels(light_student)
    steps = kernels[3].steps.copy()
    steps.flat[0] = 1 if steps.flat[0] != 1 else 2
    with pytest.raises(ExportError, match=kernels[3].layer):
        check_kernels(dynamic.flatbuffer, (*kernels[:3], replace(kernels[3], steps=steps), *kernels[4:]))
