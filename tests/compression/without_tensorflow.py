"""Trains in float, then quantisation-aware, in a process that has no TensorFlow: `python without_tensorflow.py OUT`.

Run by test_without_tensorflow.py with KERAS_BACKEND=jax.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any


class _Hidden(MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> None:
        if name.partition(".")[0] in {"tensorflow", "tensorflow_text", "tf_keras"}:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)


sys.meta_path.insert(0, _Hidden())

import keras  # noqa: E402
import numpy as np  # noqa: E402

from tfkit.compression import FreezeRanges, quantize_aware, settle_biases  # noqa: E402
from tfkit.training import Optimization, train_batches  # noqa: E402


class Batches(keras.utils.PyDataset):
    """48 pictures in batches of 16, in order."""

    def __init__(self, pixels: np.ndarray, targets: np.ndarray) -> None:
        super().__init__()
        self._pixels, self._targets = pixels, targets

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        part = slice(16 * index, 16 * (index + 1))
        return self._pixels[part], self._targets[part]


def network() -> keras.Model:
    """Pixels, (8, 8, 3), to the scores of three classes."""
    layers = keras.layers
    pixels = keras.Input((8, 8, 3))
    maps = layers.Conv2D(8, 3, use_bias=False)(layers.Rescaling(1 / 127.5, offset=-1.0)(pixels))
    maps = layers.ReLU()(layers.BatchNormalization()(maps))
    logits = layers.Dense(3)(layers.GlobalAveragePooling2D()(maps))
    return keras.Model(pixels, layers.Softmax(name="scores")(logits))


def main() -> None:
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 48)
    pixels = np.clip(random.normal(60 + 60 * labels[:, None, None, None], 40, (48, 8, 8, 3)), 0, 255).round()
    pixels, targets = pixels.astype(np.float32), np.eye(3, dtype=np.float32)[labels]
    batches, plan = Batches(pixels, targets), Optimization(epochs=4, learning_rate=1e-2)
    model = network()
    trained = train_batches(model, batches, None, optimization=plan, steps_per_epoch=3, precision="mixed_bfloat16")
    student = quantize_aware(model, pixels, jit_compile=True)
    frozen = (FreezeRanges(after_epochs=2),)
    quantized = train_batches(student, batches, batches, optimization=plan, steps_per_epoch=3, callbacks=frozen)
    settle_biases(student)
    student.save(Path(sys.argv[1]) / "student.keras")
    np.savez(
        Path(sys.argv[1]) / "trained.npz",
        pixels=pixels,
        labels=labels,
        scores=student.predict(pixels, verbose=0),
        float_losses=trained.history["loss"],
        losses=quantized.history["loss"],
        notes=[*trained.notes, *quantized.notes],
    )


if __name__ == "__main__":
    main()
