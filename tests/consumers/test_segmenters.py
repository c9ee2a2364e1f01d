"""MediaPipe's ImageSegmenter reads tfkit's segmenters as they are: same classes at each pixel, same scores, labels."""

import os
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.consumers.consumers import CLIENTS, MEDIAPIPE
from tests.consumers.environments import NotInstallableError
from tfkit.artifacts import ImageSpec
from tfkit.exporters import export_formats
from tfkit.models import build_backbone, build_segmenter
from tfkit.runtimes import LiteRTRuntime

pytestmark = [pytest.mark.slow, pytest.mark.consumers]

IMAGE = ImageSpec(32, 48)
LABELS = ("ground", "road", "car")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    keras.utils.set_random_seed(1)
    model = build_segmenter(build_backbone("resnet8", image=IMAGE), classes=len(LABELS), channels=16)
    logits = model.get_layer("logits")  # so that every class is given somewhere
    logits.set_weights([logits.get_weights()[0] * 4, np.zeros(len(LABELS))])
    given = {"spec": IMAGE, "class_names": LABELS, "calibration": pictures(), "task": "segmentation"}
    return export_formats(model, ["tflite_float32", "tflite_int8"], tmp_path_factory.mktemp("files"), **given)


def pictures() -> np.ndarray:
    blocks = np.random.default_rng(0).integers(0, 256, (6, 4, 6, 3))
    return blocks.repeat(8, 1).repeat(8, 2).astype(np.uint8)


@pytest.mark.parametrize("number", [0, 1], ids=["float32", "int8"])
def test_mediapipe_gives_each_pixel_the_class_of_litert(files, number: int, tmp_path: Path) -> None:
    try:
        interpreter = MEDIAPIPE.environment.interpreter()
    except NotInstallableError as fault:
        pytest.skip(str(fault))
    file, given, answered = files[number], tmp_path / "inputs.npz", tmp_path / "answers.npz"
    np.savez(given, pixels=pictures(), segment=np.ones(1))
    command = [interpreter, CLIENTS / "mediapipe_client.py", file.path, given, answered]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, env=os.environ)
    assert done.returncode == 0, done.stderr[-2000:]
    with LiteRTRuntime(file.path) as runtime:
        expected = runtime.scores(pictures())
    with np.load(answered) as told:
        assert tuple(told["labels"]) == LABELS
        np.testing.assert_allclose(told["answers"], expected, atol=1e-4 if number == 0 else 1.01 / 256)
        first, second = np.sort(expected, axis=-1)[..., -1], np.sort(expected, axis=-1)[..., -2]
        clear = first - second > 2 / 256
        np.testing.assert_array_equal(told["classes"][clear], expected.argmax(-1)[clear])
    assert len(np.unique(expected.argmax(-1))) > 1
