"""Other people's runtimes answer as LiteRT does to every file that tfkit writes, or refuse it; never wrongly."""

import re

import keras
import numpy as np
import pytest

from tests.consumers.consumers import (
    CONSUMERS,
    MEDIAPIPE,
    ONNXRUNTIME,
    TFLITE_MICRO,
    TFLITE_RUNTIME,
    VELA,
)
from tests.consumers.environments import NotInstallableError
from tests.consumers.subjects import SUBJECTS
from tfkit.artifacts import ImageSpec
from tfkit.cli.main import main
from tfkit.exporters import export_formats
from tfkit.runtimes import LiteRTRuntime, read_operators, read_portability
from tfkit.verification import place_on_npu

pytestmark = [pytest.mark.slow, pytest.mark.consumers]

INPUTS = 24
# Whole numbers are rounded in each runtime's own way, a step or two of 256; int8 weights meet float or rounded values.
LARGEST_DIFFERENCE = {"none": 1e-4, "float16": 1e-4, "dynamic_int8": 0.08, "int8": 0.08}

# What a consumer has no operators for; everything else must be read. The int8 file of texts holds 16-bit tensors.
REFUSED = {
    TFLITE_RUNTIME: {(name, "dynamic_int8") for name in SUBJECTS} | {("intents", "int8")},
    TFLITE_MICRO: {(name, kind) for name in SUBJECTS for kind in LARGEST_DIFFERENCE}
    - {("digits", "none"), ("digits", "int8")},
    ONNXRUNTIME: {(name, kind) for name in ("intents", "faq") for kind in LARGEST_DIFFERENCE},
}


# A model is trained once, by the process that has all of its tests.
@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in SUBJECTS])
def subject(request, tmp_path_factory):
    """A model trained for two epochs, which is enough for answers that differ from input to input."""
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, SUBJECTS[request.param](folder, epochs=2, count=INPUTS)


@pytest.fixture(params=CONSUMERS, ids=lambda consumer: consumer.environment.name)
def consumer(request):
    try:
        request.param.environment.folder()
    except NotInstallableError as fault:
        pytest.skip(f"{request.param.title}: {fault}")
    return request.param


def test_right_or_refused_and_never_wrong(consumer, subject):
    name, model = subject
    files = model.for_mediapipe if consumer is MEDIAPIPE and model.texts else model.files
    for file in (file for file in files if file.format in consumer.reads):
        answer = consumer.ask(file, model.inputs, model.texts)
        refused = file.format == "tflite" and (name, file.quantization) in REFUSED.get(consumer, ())
        assert (answer.refusal is not None) == refused, f"{consumer.title}, {file.path.name}: {answer.refusal}"
        if refused:
            continue
        expected = model.expected(file)
        steps = LARGEST_DIFFERENCE[file.quantization]
        np.testing.assert_allclose(answer.scores, expected, atol=steps, err_msg=f"{consumer.title}, {file.path.name}")
        if file.class_names:
            first, second = np.sort(expected, axis=1)[:, -1], np.sort(expected, axis=1)[:, -2]
            clear = first - second > 2 * steps
            np.testing.assert_array_equal(answer.scores.argmax(1)[clear], expected.argmax(1)[clear])
        if answer.labels is not None:
            assert answer.labels == file.class_names


def test_an_old_runtime_refuses_what_verify_says_it_cannot_read(subject):
    _, model = subject
    for file in model.lite:
        needed = tuple(map(int, read_portability(file.path).min_runtime.split(".")))
        answer = TFLITE_RUNTIME.ask(file, model.inputs)
        assert (answer.refusal is not None) == (needed > (2, 14, 0)), f"{file.path.name}: {answer.refusal}"


def test_every_whole_number_file_of_pictures_runs_on_an_npu(subject, monkeypatch, capsys):
    name, model = subject
    _with_vela(monkeypatch)
    by_kind = {file.quantization: file for file in model.lite}
    placement = place_on_npu(by_kind["none"].path, "ethos-u55-128")
    assert placement.npu_operators == 0 or name != "digits"
    assert placement.cpu_operators > 0 and placement.left_out
    if name == "digits":
        assert place_on_npu(by_kind["int8"].path, "ethos-u55-128").cpu_operators == 0
        assert main(["verify", str(by_kind["int8"].path), "--npu", "ethos-u55-128"]) == 0
        told = capsys.readouterr().out
        assert re.search(r"npu\s+(\d+) of \1 operators on ethos-u55-128", told)
        assert main(["verify", str(by_kind["none"].path), "--npu", "ethos-u55-128"]) == 3
        assert "stay on the processor beside ethos-u55-128" in " ".join(capsys.readouterr().out.split())


@pytest.fixture(scope="module")
def looked_up(tmp_path_factory):
    """An int8 file with functions that have no integer kernel, which are tables of answers there, and its pictures."""
    keras.utils.set_random_seed(1)
    pixels = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 3, strides=2)(keras.layers.Rescaling(1 / 127.5, -1)(pixels))
    for function in ("selu", "mish"):
        x = keras.layers.Conv2D(8, 3, padding="same")(keras.layers.Activation(function)(x))
    scores = keras.layers.Dense(4, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x))
    pictures = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3)).astype(np.uint8)
    pictures = pictures // 4 + (8 * np.arange(24, dtype=np.uint8))[:, None, None, None]
    described = {"spec": ImageSpec(16, 16, 3), "class_names": tuple("abcd"), "calibration": pictures}
    folder = tmp_path_factory.mktemp("looked_up")
    (file,) = export_formats(keras.Model(pixels, scores), ["tflite_int8"], folder, **described)
    assert [operator.name for operator in read_operators(file.path)].count("GATHER") == 2
    return file, pictures


@pytest.mark.xdist_group("digits")
def test_answers_that_are_looked_up_are_the_same_everywhere(consumer, looked_up):
    file, pictures = looked_up
    with LiteRTRuntime(file.path) as runtime:
        expected = runtime.scores(pictures)
    answer = consumer.ask(file, pictures)
    assert answer.refusal is None
    np.testing.assert_allclose(answer.scores, expected, atol=2.01 / 256)
    assert np.ptp(expected, axis=0).max() > 0.05, "the pictures are told apart"


@pytest.mark.xdist_group("digits")
def test_what_an_npu_cannot_look_up_is_told(looked_up, monkeypatch, capsys):
    _with_vela(monkeypatch)
    file, _ = looked_up
    assert place_on_npu(file.path, "ethos-u55-128").left_out == {"CAST": 2, "GATHER": 2}
    assert main(["verify", str(file.path), "--npu", "ethos-u55-128"]) == 3
    told = " ".join(capsys.readouterr().out.split())
    assert re.search(
        r"4 of \d+ operators stay on the processor beside ethos-u55-128: (GATHER|CAST) 2, (GATHER|CAST) 2", told
    )


def _with_vela(monkeypatch):
    try:
        monkeypatch.setenv("PATH", str(VELA.folder() / "bin"), prepend=":")
    except NotInstallableError as fault:
        pytest.skip(f"Vela: {fault}")


def test_grey_pictures_are_refused_by_mediapipe_in_words(small_grey, tmp_path):
    model, image, pixels = small_grey
    (file,) = export_formats(model, ["tflite_float32"], tmp_path, spec=image, class_names=("a", "b"))
    try:
        answer = MEDIAPIPE.ask(file, np.repeat(pixels, 3, axis=-1))
    except NotInstallableError as fault:
        pytest.skip(str(fault))
    assert answer.refusal == "Only RGB color space is supported for now."


@pytest.fixture
def small_grey():
    pixels = keras.Input((8, 8, 1))
    scores = keras.layers.Dense(2, activation="softmax")(
        keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(pixels))
    )
    image = ImageSpec(8, 8, 1)
    return keras.Model(pixels, scores), image, np.zeros((2, *image.shape), np.uint8)
