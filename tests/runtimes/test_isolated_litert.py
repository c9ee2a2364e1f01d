"""Foreign and damaged `.tflite` files: run in a process of their own, and told in words whatever they do."""

import json
import shutil
import sys

import numpy as np
import psutil
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from tfkit.artifacts import Artifact, read_manifest, write_manifest
from tfkit.benchmarking import measure_latency
from tfkit.cli.main import main
from tfkit.errors import ModelError
from tfkit.runtimes import IsolatedLiteRTRuntime, LiteRTRuntime, open_runtime, read_signature


@pytest.fixture
def crashing_file(float_file, tmp_path):
    """A file whose first convolution reads a tensor that is none: LiteRT looks it up beyond its table of tensors."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(float_file.read_bytes(), 0))
    operator = next(one for one in model.subgraphs[0].operators if len(one.inputs) == 3)
    operator.inputs = [1 << 20, *operator.inputs[1:]]
    path = tmp_path / "crashing.tflite"
    path.write_bytes(bytes(flatbuffer_utils.convert_object_to_bytearray(model)))
    return path


@pytest.fixture(scope="module")
def endless_file(tmp_path_factory):
    """A file of other people that counts for ever."""

    @tf.function(input_signature=[tf.TensorSpec((1, 4, 4, 3), name="pixels")])
    def count(pixels):
        return tf.while_loop(lambda sums: tf.reduce_sum(sums) > -1.0, lambda sums: (sums + 1.0,), (pixels[0, 0],))[0]

    converter = tf.lite.TFLiteConverter.from_concrete_functions([count.get_concrete_function()])
    path = tmp_path_factory.mktemp("endless") / "endless.tflite"
    path.write_bytes(converter.convert())
    return path


@pytest.fixture
def file_of_a_billion_scores(float_file, tmp_path):
    """A file whose output's shape was changed, as by a flipped bit: (1, 1073741827)."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(float_file.read_bytes(), 0))
    graph = model.subgraphs[0]
    for tensor in (graph.tensors[number] for number in graph.outputs):
        tensor.shape, tensor.shapeSignature = [1, (1 << 30) + 3], None
    path = tmp_path / "billion.tflite"
    path.write_bytes(bytes(flatbuffer_utils.convert_object_to_bytearray(model)))
    return path


def _artifact(path, image, class_names):
    return Artifact(path, "tflite", "none", read_signature(path), image, class_names, "a test")


def test_answers_and_times_are_those_of_the_file(float_file, random_pixels):
    with IsolatedLiteRTRuntime(float_file, threads=2) as isolated, LiteRTRuntime(float_file) as runtime:
        for count in (0, 1, 40):
            pixels = random_pixels[np.arange(count) % len(random_pixels)]
            np.testing.assert_array_equal(isolated.scores(pixels), runtime.scores(pixels))
        result = measure_latency(isolated, random_pixels[:1], min_runs=3, max_seconds=0)
        assert (result.threads, result.measures) == (2, runtime.measures)
        assert result.latency_ms_p50 > 0
        with pytest.raises(ModelError, match="takes images of shape"):
            isolated.scores(np.zeros((1, 2, 2, 3), np.uint8))
        assert isolated.scores(random_pixels[:1]).shape == (1, 5)
    assert isolated.process.popen.poll() == 0, "the process ends when the runtime is closed"


@pytest.mark.parametrize("command", ["verify", "benchmark", "predict"])
def test_what_may_crash_is_an_error_that_names_the_file(crashing_file, command, random_pixels, capsys):
    photo = crashing_file.with_name("photo.png")
    photo.write_bytes(tf.io.encode_png(random_pixels[0]).numpy())
    words = [command, str(crashing_file), *([str(photo)] if command == "predict" else [])]
    assert main(words) == 1
    told = capsys.readouterr().err
    assert str(crashing_file) in told.replace("\n", "")
    assert "Traceback" not in told and "unexpected" not in told


def test_a_process_that_dies_is_told(float_file, random_pixels):
    with IsolatedLiteRTRuntime(float_file) as runtime:
        runtime.process.popen.kill()
        with pytest.raises(ModelError, match=rf"the process that runs '{float_file}' ended with status -9"):
            runtime.scores(random_pixels[:1])


def test_a_file_that_never_answers_is_given_up(endless_file):
    with pytest.raises(ModelError, match=r"gave no answer within 5 s"):
        IsolatedLiteRTRuntime(endless_file, seconds=5)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits what a process may take")
def test_the_process_cannot_take_more_memory_than_there_is(float_file):
    import resource

    with IsolatedLiteRTRuntime(float_file) as runtime:
        most, _ = resource.prlimit(runtime.process.popen.pid, resource.RLIMIT_DATA)
        assert 0 < most < psutil.virtual_memory().total + (4 << 30)


def test_no_names_are_made_for_a_billion_classes(file_of_a_billion_scores, capsys):
    assert main(["benchmark", str(file_of_a_billion_scores), "--seconds", "0"]) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "gives 1,073,741,827 scores in 'scores'; at most 1,000,000 are expected" in told


def test_what_litert_refuses_is_told_in_the_same_words(float_file, tmp_path):
    path = tmp_path / "two images.tflite"
    path.write_bytes(float_file.read_bytes()[:2000])
    with pytest.raises(ModelError) as alone:
        LiteRTRuntime(path)
    with pytest.raises(ModelError) as isolated:
        IsolatedLiteRTRuntime(path)
    assert (str(isolated.value), isolated.value.hint) == (str(alone.value), alone.value.hint)


def test_files_that_a_manifest_names_by_their_sha256_need_no_process(float_file, image, class_names, tmp_path):
    path = shutil.copy(float_file, tmp_path / "model.tflite")
    with open_runtime(path) as runtime:
        assert isinstance(runtime, IsolatedLiteRTRuntime)
    write_manifest((_artifact(path, image, class_names),), tmp_path)
    for model in (path, *read_manifest(tmp_path)):
        with open_runtime(model) as runtime:
            assert isinstance(runtime, LiteRTRuntime)
    path.write_bytes(path.read_bytes() + b"\0")
    with open_runtime(path) as runtime:
        assert isinstance(runtime, IsolatedLiteRTRuntime)


def test_a_file_from_elsewhere_is_run_apart(float_file, tmp_path, capsys):
    path = shutil.copy(float_file, tmp_path / "other.tflite")
    assert main(["benchmark", str(path), "--seconds", "0", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["models"]
    assert row["runs"] == 1 and row["latency_ms_p50"] > 0
