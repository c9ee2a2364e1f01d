"""Three digits in files of their own, and a recipe that learns them in seconds."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

RECIPE = """\
recipe: finetune_image
run: {{directory: {runs}}}
data: {{source: npz, directory: {files}, train: train.npz, test: test.npz, validation_fraction: 0.3,
       image_size: 16, channels: 1, resize: stretch}}
model: {{backbone: resnet8, weights: random, dropout: 0.0}}
fine_tune: {{epochs: 2, learning_rate: 1.0e-3, batch_norm: train}}
export: {{formats: [tflite_float32]}}
tune:
  trials: 4
  space:
    fine_tune.learning_rate: {{low: 1.0e-3, high: 1.0e-2, log: true}}
    data.batch_size: [16, 32]
"""


def _write_digits(folder: Path, *, test_shift: int = 0) -> None:
    """`train.npz` and `test.npz`; with a shift, every label of the test is another's, and its pixels are noise."""
    pixels, labels = load_digits(return_X_y=True)
    chosen = labels < 3
    images = (pixels[chosen] * 15.9).astype(np.uint8).reshape(-1, 8, 8, 1)
    labels = labels[chosen]
    folder.mkdir(parents=True)
    np.savez(folder / "train.npz", x=images[:240], y=labels[:240])
    test = np.random.default_rng(0).integers(0, 255, images[240:].shape, np.uint8) if test_shift else images[240:]
    np.savez(folder / "test.npz", x=test, y=(labels[240:] + test_shift) % 3)


@pytest.fixture(scope="session")
def write_recipe():
    """Writes `mine.yaml`, with its data in files beside it."""

    def write(folder: Path, *, test_shift: int = 0) -> Path:
        _write_digits(folder / "files", test_shift=test_shift)
        path = folder / "mine.yaml"
        path.write_text(RECIPE.format(runs=folder / "runs", files=folder / "files"))
        return path

    return write
