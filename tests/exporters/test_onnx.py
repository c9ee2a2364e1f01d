"""ONNX files: the answers of the `.tflite` file they are made of, for any number of examples at once."""

import json
import sys

import keras
import numpy as np
import onnx
import pytest

from tfkit.artifacts import ImageSpec, TextSpec, read_manifest
from tfkit.cli.main import main
from tfkit.data.text import learn_word_pieces
from tfkit.errors import ExportError, ModelError
from tfkit.exporters import export_formats
from tfkit.exporters.onnx.export import export_onnx
from tfkit.runtimes import KerasRuntime, LiteRTRuntime, open_runtime

FORMATS = ("tflite_int8", "onnx_float32", "onnx_int8")


@pytest.fixture(scope="module")
def pixels(image):
    return np.random.default_rng(0).integers(0, 256, (70, *image.shape)).astype(np.uint8)


@pytest.fixture(scope="module")
def exported(small_classifier, image, class_names, pixels, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx") / "artifacts"
    return export_formats(small_classifier, FORMATS, folder, spec=image, class_names=class_names, calibration=pixels)


def test_files_answer_as_what_they_are_made_of_whatever_the_batch(exported, small_classifier, pixels):
    integers, floats, served = exported
    expected = KerasRuntime(small_classifier).scores(pixels)
    with open_runtime(floats) as runtime:
        np.testing.assert_allclose(runtime.scores(pixels), expected, atol=1e-5)
    step = integers.signature.outputs[0].scale
    with LiteRTRuntime(integers.path, own=True) as lite, open_runtime(served) as runtime:
        found = runtime.scores(pixels)
        assert np.abs(found - lite.scores(pixels)).max() <= 2 * step
        for size in (1, 3, 32):
            np.testing.assert_array_equal(runtime.scores(pixels[:size]), found[:size])
        assert runtime.scores(pixels[:0]).shape == (0, 5)


def test_an_integer_file_takes_bytes_and_keeps_the_trained_steps(exported):
    integers, _, served = exported
    model = onnx.load(served.path)
    (given,), (told,) = model.graph.input, model.graph.output
    assert given.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert told.type.tensor_type.elem_type == onnx.TensorProto.FLOAT and told.name == "scores"
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("Conv") == 2 and kinds.count("QuantizeLinear") >= 4
    stored = {onnx.numpy_helper.to_array(tensor).dtype.name for tensor in model.graph.initializer}
    assert "int8" in stored and "int32" in stored, "kernels and biases are integers"
    labels = {entry.key: entry.value for entry in model.metadata_props}["labels"]
    assert json.loads(labels) == list(integers.class_names)


def test_the_command_line_reads_them_by_their_run(exported, pixels, tmp_path, capsys):
    *_, served = exported
    photo = tmp_path / "photo.png"
    keras.utils.save_img(photo, pixels[0], scale=False)
    assert main(["predict", str(served.path), str(photo), "--json"]) == 0
    assert {row["label"] for row in json.loads(capsys.readouterr().out)["images"][0]["top"]} <= set(served.class_names)
    assert main(["benchmark", str(served.path), "--seconds", "0", "--runs", "2", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["models"]
    assert row["latency_ms_p50"] > 0
    assert read_manifest(served.path.parent)[-1] == served


def test_a_changed_file_is_refused(exported, tmp_path, capsys):
    *_, served = exported
    folder = tmp_path / "copied"
    folder.mkdir()
    for file in served.path.parent.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    content = bytearray(served.path.read_bytes())
    content[len(content) // 2] ^= 1
    (folder / served.path.name).write_bytes(content)
    assert main(["verify", str(folder)]) == 1
    assert "model_int8.onnx" in capsys.readouterr().err


def test_a_file_of_nobody_is_told_what_to_do(exported, tmp_path, capsys):
    *_, served = exported
    alone = tmp_path / "alone.onnx"
    alone.write_bytes(served.path.read_bytes())
    assert main(["benchmark", str(alone)]) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "no manifest beside it names" in told and "Traceback" not in told


def test_wrong_shapes_are_told(exported, pixels):
    *_, served = exported
    with open_runtime(served) as runtime, pytest.raises(ModelError, match=r"takes pixels \(n, 32, 32, 3\); got"):
        runtime.scores(pixels[:, :16])


def test_without_the_library_the_export_says_which_is_missing(
    small_classifier, image, class_names, tmp_path, monkeypatch
):
    for name in [name for name in sys.modules if name.split(".")[0] == "onnx" or "exporters.onnx" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ExportError, match="not installed") as told:
        export_formats(small_classifier, ["onnx_float32"], tmp_path / "a", spec=image, class_names=class_names)
    assert told.value.hint == "pip install 'tfkit[onnx]'"


def test_operators_without_a_rule_are_named(class_names, tmp_path):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(5)(keras.ops.cumsum(x, axis=1)))
    given = {"spec": ImageSpec(8, 8), "class_names": class_names}
    with pytest.raises(ExportError, match="no rule translates to ONNX: CUMSUM"):
        export_formats(model, ["onnx_float32"], tmp_path / "artifacts", **given)
    assert not list((tmp_path / "artifacts").glob("*.onnx"))


@pytest.fixture(scope="module")
def texts(small_text_classifier, short_texts, tmp_path_factory):
    """The files of a text classifier of 8 tokens."""
    folder = tmp_path_factory.mktemp("texts") / "artifacts"
    learn_word_pieces(["where is my parcel"], size=60).save(folder / "tokenizer")
    spec = TextSpec(8, folder / "tokenizer")
    given = {"spec": spec, "class_names": ("a", "b", "c")}
    return export_formats(small_text_classifier, ["tflite_float32", "onnx_float32"], folder, **given)


def test_texts_of_one_batch_do_not_touch_each_other(texts, small_text_classifier, short_texts):
    """The file's shapes have dropped its batch of one: each text must still be computed by itself."""
    _, served = texts
    expected = KerasRuntime(small_text_classifier).scores(short_texts)
    with open_runtime(served) as runtime:
        found = runtime.scores(short_texts)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        one = {name: ids[5:6] for name, ids in short_texts.items()}
        np.testing.assert_allclose(runtime.scores(one), found[5:6], atol=1e-6)


def test_weights_of_4_bits_are_read(tmp_path, image, class_names, pixels, small_classifier):
    from tfkit.compression import QuantizationPolicy, quantize_aware, settle_biases

    student = quantize_aware(small_classifier, pixels[:32], policy=QuantizationPolicy(weight_bits=4))
    settle_biases(student)
    given = {"spec": image, "class_names": class_names, "calibration": pixels[:32]}
    integers, served = export_formats(student, ["tflite_int8", "onnx_int8"], tmp_path / "artifacts", **given)
    with open_runtime(integers) as lite, open_runtime(served) as runtime:
        agreed = (runtime.scores(pixels).argmax(1) == lite.scores(pixels).argmax(1)).mean()
    assert agreed >= 0.95 and served.layers == integers.layers
    with pytest.raises(ExportError, match="exists already"):
        export_onnx(integers.path.read_bytes(), served.path, quantization="int8", spec=image, class_names=class_names)


def _text_integers(classifier, texts, folder):
    """The int8 ONNX file of a text classifier, and the model on its steps."""
    from tfkit.compression import quantize_aware, settle_biases
    from tfkit.models.text import open_transformer

    student = quantize_aware(open_transformer(classifier), texts)
    settle_biases(student)
    learn_word_pieces(["where is my parcel"], size=60).save(folder / "tokenizer")
    given = {"spec": TextSpec(8, folder / "tokenizer"), "class_names": ("a", "b", "c"), "calibration": texts}
    (served,) = export_formats(student, ["onnx_int8"], folder / "artifacts", **given)
    return served, student


def test_an_integer_file_of_texts_is_its_model(small_text_classifier, short_texts, tmp_path):
    """LiteRT looks inverse roots of 16 bits up in a table, which is what was trained on."""
    served, student = _text_integers(small_text_classifier, short_texts, tmp_path)
    expected = KerasRuntime(student).scores(short_texts)
    with open_runtime(served) as runtime:
        found = runtime.scores(short_texts)
    assert np.abs(found - expected).max() <= 8 / 256
    assert (found.argmax(1) == expected.argmax(1)).mean() >= 0.97


def test_what_lies_outside_of_16_bits_is_cut_off_by_readers_that_leave_their_steps_out(
    small_text_classifier, short_texts, tmp_path
):
    """OpenVINO strips QuantizeLinear of 16 bits: scores of one text in eight were up to .6 off."""
    import onnx
    import onnxruntime

    from tfkit.compression import quantize_aware, settle_biases
    from tfkit.layers import FakeQuantize
    from tfkit.models.text import open_transformer

    student = quantize_aware(open_transformer(small_text_classifier), short_texts)
    for layer in student.layers:  # ranges that many values lie outside of
        if isinstance(layer, FakeQuantize) and layer.bits == 16 and layer.fixed_range is None:
            layer.minimum.assign(layer.minimum * 0.3)
            layer.maximum.assign(layer.maximum * 0.3)
    settle_biases(student)
    learn_word_pieces(["where is my parcel"], size=60).save(tmp_path / "tokenizer")
    given = {"spec": TextSpec(8, tmp_path / "tokenizer"), "class_names": ("a", "b", "c"), "calibration": short_texts}
    (served,) = export_formats(student, ["onnx_int8"], tmp_path / "artifacts", **given)
    with open_runtime(served) as runtime:
        expected = runtime.scores(short_texts)
    graph = onnx.load(served.path)
    zeros = {one.name for one in graph.graph.initializer if one.data_type == onnx.TensorProto.INT16}
    taken = {node.output[0]: node.input[0] for node in graph.graph.node if set(node.input[2:]) & zeros}
    assert len(taken) >= 4
    kept = [node for node in graph.graph.node if node.output[0] not in taken]
    del graph.graph.node[:]
    graph.graph.node.extend(kept)
    for node in graph.graph.node:
        for place, name in enumerate(node.input):
            while name in taken:
                name = taken[name]
            node.input[place] = name
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    ids = {one.name: short_texts[one.name].astype(np.int32) for one in session.get_inputs()}
    found = session.run([session.get_outputs()[0].name], ids)[0]
    np.testing.assert_allclose(found, expected, atol=8 / 256)


def _as_onnxruntime_runs_it(path, folder):
    """The operators that are left when onnxruntime has made its own of them."""
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(folder / "run.onnx"), 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(folder / "run.onnx").graph.node]


def test_onnxruntime_multiplies_integers_of_pictures_and_texts(
    exported, small_text_classifier, short_texts, tmp_path
):  # weights without zero points were made floats again in every run
    *_, served = exported
    text_file, _ = _text_integers(small_text_classifier, short_texts, tmp_path)
    for path in (served.path, text_file.path):
        kinds = _as_onnxruntime_runs_it(path, tmp_path)
        assert "Gemm" not in kinds and {"QGemm", "QLinearMatMul"} & set(kinds), (path, sorted(set(kinds)))


def test_a_pointwise_convolution_with_strides_reads_its_steps_directly(class_names, pixels, image, tmp_path):
    """OpenVINO takes such strides away from the convolution, and its steps with them."""
    given = keras.Input(image.shape)
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(given)
    left, right = (keras.layers.Conv2D(6, 1, strides=2)(x) for _ in range(2))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Add()([left, right]))
    model = keras.Model(given, keras.layers.Dense(len(class_names), activation="softmax")(x))
    folder = tmp_path / "strided"
    integers, served = export_formats(
        model, ("tflite_int8", "onnx_int8"), folder, spec=image, class_names=class_names, calibration=pixels
    )
    graph = onnx.load(served.path).graph
    makers = {name: node for node in graph.node for name in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    strides = [list(one.ints) for node in convolutions for one in node.attribute if one.name == "strides"]
    assert strides == [[1, 1]] * 3
    (thinned,) = [node for node in graph.node if node.op_type == "Slice"]
    assert makers[thinned.input[0]].op_type == "QuantizeLinear", "integers are chosen, once for both"
    with LiteRTRuntime(integers.path, own=True) as lite, open_runtime(served) as runtime:
        step = integers.signature.outputs[0].scale
        assert np.abs(runtime.scores(pixels) - lite.scores(pixels)).max() <= 2 * step
