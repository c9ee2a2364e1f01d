"""Float and quantisation-aware training under JAX, where no TensorFlow is installed."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tfkit import models

needs_jax = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="needs the jax extra: pip install tfkit[jax]"
)


@needs_jax
@pytest.mark.slow
def test_a_process_without_tensorflow_trains_and_its_model_is_the_same_here(tmp_path: Path) -> None:
    script = Path(__file__).with_name("without_tensorflow.py")
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, script, tmp_path], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    trained = np.load(tmp_path / "trained.npz")
    for losses in (trained["float_losses"], trained["losses"]):
        assert losses[-1] < losses[0]
    # Under JAX a step that is not compiled takes one operator after the other.
    assert list(trained["notes"]).count("the training step was compiled by XLA") == 2
    assert np.mean(trained["scores"].argmax(axis=1) == trained["labels"]) > 0.8
    student = models.load_model_file(tmp_path / "student.keras")
    scores = student.predict(trained["pixels"], verbose=0)
    np.testing.assert_allclose(scores, trained["scores"], atol=1.01 / 256)
