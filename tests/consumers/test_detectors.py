"""MediaPipe's ObjectDetector reads tfkit's detectors as they are: same boxes, same scores, labels."""

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
from tfkit.models import build_backbone, build_detector
from tfkit.runtimes import LiteRTRuntime

pytestmark = [pytest.mark.slow, pytest.mark.consumers]

SIDE, LEAST = 64, 0.3
IMAGE = ImageSpec(SIDE, SIDE)
LABELS = ("ant", "bee")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    keras.utils.set_random_seed(1)
    model = build_detector(build_backbone("resnet8", image=IMAGE), classes=len(LABELS), channels=16)
    for layer in model.layers:  # so that something is seen somewhere
        if layer.name.startswith(("logits_", "box_")) and layer.weights:
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel * 60, np.zeros_like(bias) - 0.5])
    given = {"spec": IMAGE, "class_names": LABELS, "calibration": pictures(), "task": "detection"}
    return export_formats(model, ["tflite_float32", "tflite_int8"], tmp_path_factory.mktemp("files"), **given)


def pictures() -> np.ndarray:
    blocks = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3))
    return blocks.repeat(8, 1).repeat(8, 2).astype(np.uint8)


@pytest.mark.parametrize("number", [0, 1], ids=["float32", "int8"])
def test_mediapipe_finds_the_boxes_of_litert(files, number: int, tmp_path: Path) -> None:
    try:
        interpreter = MEDIAPIPE.environment.interpreter()
    except NotInstallableError as fault:
        pytest.skip(str(fault))
    file, given, answered = files[number], tmp_path / "inputs.npz", tmp_path / "answers.npz"
    np.savez(given, pixels=pictures(), detect=np.float32(LEAST))
    command = [interpreter, CLIENTS / "mediapipe_client.py", file.path, given, answered]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, env=os.environ)
    assert done.returncode == 0, done.stderr[-2000:]
    with LiteRTRuntime(file.path) as runtime:
        expected = runtime.scores(pictures())
    with np.load(answered) as told:
        found, labels = told["answers"], told["labels"]
    assert len(found) >= 10 and set(labels) <= set(LABELS)
    # MediaPipe's LiteRT is an earlier one: of int8 some scores are a step off, or several behind a steep last layer.
    step, all_but = (1e-4, 0.0) if number == 0 else (1.01 / 256, 0.1)
    same = []
    for (image, score, *box), label in zip(found, labels, strict=True):
        rows = expected[int(image)]
        alike = np.abs(rows[:, LABELS.index(label)] - score) < step
        middle, size = rows[:, -4:-2] * SIDE, rows[:, -2:] * SIDE
        # MediaPipe moves what begins outside of the picture to its edge, does not make it smaller, and drops fractions.
        begin = np.maximum(middle - size / 2, 0)
        away = np.abs(np.concatenate([begin, size], axis=-1) - [*box[:2], box[2] - box[0], box[3] - box[1]])
        same.append((alike & (away.max(axis=-1) <= 1 + step * SIDE)).any())
    assert np.mean(same) >= 1 - all_but
    for image, rows in enumerate(expected):  # the best one of each picture is never taken away
        if (top := rows[:, :-4].max()) >= LEAST + all_but:
            assert found[found[:, 0] == image, 1].max() == pytest.approx(top, abs=max(step, all_but))
