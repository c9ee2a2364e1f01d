"""Several devices train as one: the same losses, and what cannot be is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import pytest

from tfkit.errors import TrainingError
from tfkit.training import Optimization, training_devices
from tfkit.training.distribution import refuse_together


def test_one_device_is_refused_in_words() -> None:
    with pytest.raises(TrainingError, match="needs two devices or more") as fault:
        training_devices("data_parallel", 32)
    assert "run.distribution=auto" in fault.value.hint


def test_auto_takes_one_device_where_there_are_no_gpus() -> None:
    assert training_devices("auto", 32) == training_devices("none", 32) == ()


def test_gradient_accumulation_is_refused() -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    accumulating = Optimization(epochs=1, learning_rate=1e-3, gradient_accumulation=2)
    with pytest.raises(TrainingError, match="gradient_accumulation"):
        refuse_together(model, accumulating)


def test_adversarial_training_is_refused() -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(TrainingError, match="token table"):
        refuse_together(model, Optimization(epochs=1, learning_rate=1e-3), adversarial=True)


def found_by(script: str, folder: Path) -> Any:
    """What a script prints that trains on one logical CPU and on two."""
    command = [sys.executable, str(Path(__file__).with_name(script)), str(folder)]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_two_logical_cpus_train_images_as_one_does(tmp_path: Path) -> None:
    found = found_by("two_devices.py", tmp_path)
    taught, recipe = found["fine_tune"], found["recipe"]
    assert len(taught["together"]) == 12
    assert recipe["stages"] == ["head", "pruning", "quantization"]
    for one in (taught, recipe):
        assert one["losses"] < 1e-5
        assert one["validation"] < 1e-4  # running variances differ in their last digits
        assert any("2 devices train together" in note for note in one["notes"])
    assert taught["weights"] < 1e-4
    assert taught["gone_on"] == 0.0, "killed and gone on, the weights are those of a training that was not"
    assert recipe["accepted"]


@pytest.mark.slow
def test_two_logical_cpus_train_texts_as_one_does(tmp_path: Path) -> None:
    found = found_by("two_devices_texts.py", tmp_path)
    for name in ("lora", "r_drop", "pruning", "quantization"):
        course = found[name]
        assert course["losses"] < 1e-4, name
        assert course["validation"] < 1e-4, name
        assert course["weights"] < 1e-4, name
        assert course["moved"] > 1e-2, name
        assert any("2 devices train together" in note for note in course["notes"])
    assert "fine_tune.adversarial" in found["adversarial"]
    assert any("2 devices train together" in note for note in found["recipe"])
