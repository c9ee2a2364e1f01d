"""Times of single operators, from LiteRT's own profiler."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from tfkit.artifacts import ImageSpec
from tfkit.benchmarking.op_profile import _ask_worker, _beside, _middle_mean, _place_kernels, profile_operators
from tfkit.errors import ModelError
from tfkit.exporters import export_tflite
from tfkit.runtimes import Operator, read_operators


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((64, 64, 3))
    x = keras.layers.Conv2D(32, 3, padding="same", use_bias=False, name="stem")(inputs)
    x = keras.layers.ReLU(6.0)(keras.layers.BatchNormalization()(x))
    x = keras.layers.DepthwiseConv2D(3, padding="same", name="deep")(x)
    x = keras.layers.Add(name="sum")([x, keras.layers.Conv2D(32, 1, name="short")(x)])
    x = keras.layers.MaxPooling2D(2, name="pool")(x)
    x = keras.layers.Conv2D(128, 3, padding="same", name="heavy")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(4, activation="softmax", name="scores")(x))


@pytest.fixture(scope="module", params=["none", "int8"])
def path(request, model, tmp_path_factory):
    path = tmp_path_factory.mktemp("profiled") / f"{request.param}.tflite"
    pixels = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)
    image = ImageSpec(height=64, width=64)
    names = ("a", "b", "c", "d")
    export_tflite(model, path, quantization=request.param, spec=image, class_names=names, calibration=pixels)
    return path


def test_every_layer_with_a_kernel_has_a_time_and_its_own_shape(path):
    profile = profile_operators(path, runs=20)
    timed = [operator for operator in profile.operators if operator.name in ("CONV_2D", "DEPTHWISE_CONV_2D")]
    assert [next(name for name in ("stem", "deep", "short", "heavy") if name in op.layer) for op in timed] == [
        "stem",
        "deep",
        "short",
        "heavy",
    ]
    assert [operator.output_shape[-1] for operator in timed] == [32, 32, 32, 128]
    assert all(operator.milliseconds > 0 for operator in timed)


def test_operators_and_the_rest_are_timed_in_every_run(path):
    profile = profile_operators(path, runs=50)
    assert (profile.threads, profile.runs) == (1, 50)
    assert profile.latency_ms > 0 and profile.beside_ms >= 0


def test_operators_and_the_rest_make_up_a_run():
    # Four runs of two operators, in ms; the last was held up by another process, in an operator and beside it.
    single = np.array([[3.0, 1.0], [3.0, 1.0], [3.0, 1.0], [30.0, 1.0]])
    assert _middle_mean(single).tolist() == [3.0, 1.0]
    answer = {"profiled_ms": [4.5, 4.5, 4.5, 60.0], "plain_ms": [4.25, 4.25, 4.25, 40.0]}
    assert _beside(answer, single, 4.0) == 0.25
    assert _beside({**answer, "plain_ms": [3.0, 3.0, 3.0, 3.0]}, single, 4.0) == 0


def test_operators_between_convolutions_keep_their_names(path):
    kernels = {operator.name: operator.kernel for operator in profile_operators(path, runs=3).operators}
    assert "Max Pooling" in kernels["MAX_POOL_2D"]
    assert "Add" in kernels["ADD"]


def test_profiler_writes_nothing_to_the_terminal(path, capfd):
    profile_operators(path, runs=2)
    assert capfd.readouterr() == ("", "")


def test_crash_of_the_profiler_is_an_error(path, tmp_path):
    damaged = tmp_path / "damaged.tflite"
    content = path.read_bytes()
    damaged.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match=r"ended with status .*damaged\.tflite"):
        _ask_worker(damaged, threads=1, runs=2)
    with pytest.raises(ModelError, match="cannot read"):
        profile_operators(tmp_path / "missing.tflite")


def test_numbers_below_one_are_refused(path):
    with pytest.raises(ModelError, match="at least 1"):
        profile_operators(path, threads=0)
    with pytest.raises(ModelError, match="at least 1"):
        profile_operators(path, runs=0)


def test_worker_does_not_import_tensorflow():
    code = "import sys, tfkit.benchmarking.op_profile_worker; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_kernels_are_never_placed_beyond_the_next_convolution():
    names = ("CONV_2D", "PAD", "MEAN", "CONV_2D", "ADD")
    operators = tuple(Operator(i, name, False, False, name, (), (), ()) for i, name in enumerate(names))
    kernels = ("Convolution (NHWC, F32) IGEMM", "Mean (ND) Reduce", "Copy (NC)", "Fully Connected GEMM", "Add (ND)")
    assert _place_kernels([(kernel, number, True) for number, kernel in enumerate(kernels)], operators) == [
        0,
        2,
        2,
        3,
        4,
    ]


def test_profile_covers_the_whole_file(path):
    heavy = {operator.layer for operator in read_operators(path) if "CONV" in operator.name}
    assert heavy <= {operator.layer for operator in profile_operators(path, runs=2).operators}
