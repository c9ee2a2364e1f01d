"""Other people's runtimes answer as LiteRT does to every file that tfkit writes, or refuse it; never wrongly."""

import re

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
from tfkit.cli.main import main
from tfkit.exporters import export_formats
from tfkit.runtimes import read_portability
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
    for file in files:
        answer = consumer.ask(file, model.inputs, model.texts)
        refused = (name, file.quantization) in REFUSED.get(consumer, ())
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
    for file in model.files:
        needed = tuple(map(int, read_portability(file.path).min_runtime.split(".")))
        answer = TFLITE_RUNTIME.ask(file, model.inputs)
        assert (answer.refusal is not None) == (needed > (2, 14, 0)), f"{file.path.name}: {answer.refusal}"


def test_every_whole_number_file_of_pictures_runs_on_an_npu(subject, monkeypatch, capsys):
    name, model = subject
    try:
        monkeypatch.setenv("PATH", str(VELA.folder() / "bin"), prepend=":")
    except NotInstallableError as fault:
        pytest.skip(f"Vela: {fault}")
    by_kind = {file.quantization: file for file in model.files}
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
    import keras

    from tfkit.artifacts import ImageSpec

    pixels = keras.Input((8, 8, 1))
    scores = keras.layers.Dense(2, activation="softmax")(
        keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(pixels))
    )
    image = ImageSpec(8, 8, 1)
    return keras.Model(pixels, scores), image, np.zeros((2, *image.shape), np.uint8)
