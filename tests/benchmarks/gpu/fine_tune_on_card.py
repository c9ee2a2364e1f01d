"""Fine-tunes on real photos on a GPU, float and then quantisation-aware; prove_from_card.py proves the files elsewhere.

    python -m tests.benchmarks.gpu.fine_tune_on_card DATA OUT [--widths 0.35 1.0] [--epochs 15] [--qat-epochs 6]
        [--precisions float32 mixed_bfloat16] [--seed 0]

DATA holds oxford12/train/CLASS/*.jpg and test/, and weights/ with the MobileNetV2 files. OUT gets, for each width and
precision, `WIDTH_PRECISION.keras`, the quantisation-aware model, and `.npz`, its scores on the test pictures as the
card computed them. tfkit on Keras and JAX, TensorFlow not needed: photos are read and split by `tfkit.data`, shown
mirrored half of the time and moved by up to 16 pixels. The plan was fixed beforehand; nothing is chosen on the test
split.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np

from tests.benchmarks.gpu.measuring import describe_card, on_host
from tfkit import data, models
from tfkit.artifacts import ImageSpec
from tfkit.compression import FreezeRanges, quantize_aware, settle_biases
from tfkit.training import Optimization, train_batches

IMAGE = ImageSpec(224, 224, 3)
WEIGHTS = {0.35: "mobilenet_v2_0.35_224_no_top.weights.h5", 1.0: "mobilenet_v2_1.0_224_deq.weights.h5"}
_BATCH, _SHIFT = 32, 16
_CALIBRATION = 200


class Photos(keras.utils.PyDataset):
    """Shuffled batches of photos, mirrored half of the time and moved a little; other ones in each epoch."""

    def __init__(self, pixels: np.ndarray, targets: np.ndarray, seed: int) -> None:
        super().__init__()
        margins = ((0, 0), (_SHIFT, _SHIFT), (_SHIFT, _SHIFT), (0, 0))
        self._pixels, self._targets = np.pad(pixels, margins, mode="edge"), targets
        self._random = np.random.default_rng(seed)
        self._order = self._random.permutation(len(pixels))

    def __len__(self) -> int:
        return -(-len(self._targets) // _BATCH)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self._order[index * _BATCH : (index + 1) * _BATCH]
        return np.stack([self._view(self._pixels[one]) for one in chosen]), self._targets[chosen]

    def _view(self, padded: np.ndarray) -> np.ndarray:
        top, left = self._random.integers(0, 2 * _SHIFT + 1, 2)
        view = padded[top : top + IMAGE.height, left : left + IMAGE.width]
        return (view[:, ::-1] if self._random.random() < 0.5 else view).astype(np.float32)

    def on_epoch_end(self) -> None:
        self._order = self._random.permutation(len(self._targets))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--widths", type=float, nargs="+", default=list(WEIGHTS), choices=list(WEIGHTS))
    parser.add_argument("--precisions", nargs="+", default=["float32", "mixed_bfloat16"])
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--qat-epochs", type=int, default=6)
    parser.add_argument("--photos", type=int, help="training photos; all when left out")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    splits = load_splits(options.data, options.seed)
    pixels, test = pixels_of(splits.train), pixels_of(splits.test)
    targets = np.eye(len(splits.class_names), dtype=np.float32)[splits.train.labels]
    if options.photos:
        chosen = np.random.default_rng(options.seed).permutation(len(pixels))[: options.photos]
        pixels, targets = pixels[chosen], targets[chosen]
    print(f"{describe_card()}. {len(pixels)} photos to train, {len(test)} to test; {options.epochs} and", end=" ")
    print(f"{options.qat_epochs} epochs in batches of {_BATCH}, seed {options.seed}; seconds with compiling.\n")
    print("| MobileNetV2, precision | float, test | QAT, test | float training | rewriting | QAT |")
    print("| --- " * 6 + "|", flush=True)
    for width in options.widths:
        for precision in options.precisions:
            student, float_scores, seconds = train(width, precision, pixels, targets, test, options)
            scores = student.predict(test.astype(np.float32), batch_size=_BATCH, verbose=0)
            name = f"{width}_{precision}"
            student.save(options.out / f"{name}.keras")
            np.savez(options.out / f"{name}.npz", scores=scores, float_scores=float_scores)
            right = [f"{np.mean(one.argmax(1) == splits.test.labels):.3f}" for one in (float_scores, scores)]
            print(f"| {width}, {precision} | {' | '.join(right)} | {' | '.join(seconds)} |", flush=True)


def load_splits(folder: Path, seed: int) -> Any:
    """The flowers as both halves split them."""
    return data.load_image_splits(source="image_folder", directory=folder / "oxford12", seed=seed)


def pixels_of(examples: Any) -> np.ndarray:
    """uint8 (n, 224, 224, 3)."""
    return np.concatenate(list(data.host_pixel_batches(examples, IMAGE, batch_size=64)))


def train(
    width: float, precision: Any, pixels: np.ndarray, targets: np.ndarray, test: np.ndarray, options: argparse.Namespace
) -> tuple[keras.Model, np.ndarray, list[str]]:
    """The quantisation-aware model, the float model's scores on the test photos, and what each part took."""
    keras.utils.set_random_seed(options.seed)
    path = str(options.data / "weights" / WEIGHTS[width])
    with on_host():
        backbone = models.build_backbone("mobilenet_v2", image=IMAGE, weights=path, width=width)
        model = models.build_classifier(backbone, classes=targets.shape[1], dropout=0.2)
        models.unfreeze(model, "all", batch_norm="frozen")
    steps = -(-len(pixels) // _BATCH)
    given: dict[str, Any] = {"steps_per_epoch": steps, "precision": precision, "inputs": pixels[:4]}
    clock = [time.perf_counter()]
    plan = Optimization(epochs=options.epochs, learning_rate=3e-4, warmup=0.1, schedule="cosine")
    train_batches(model, Photos(pixels, targets, options.seed), None, optimization=plan, **given)
    clock.append(time.perf_counter())
    float_scores = model.predict(test.astype(np.float32), batch_size=_BATCH, verbose=0)
    calibration = pixels[np.random.default_rng(options.seed).permutation(len(pixels))[:_CALIBRATION]]
    began = time.perf_counter()
    with on_host():
        student = quantize_aware(model, calibration.astype(np.float32), jit_compile=True)
    clock.append(time.perf_counter())
    plan = Optimization(epochs=options.qat_epochs, learning_rate=1e-4, warmup=0.1, schedule="cosine")
    freezing = (FreezeRanges(after_epochs=max(1, options.qat_epochs - 2)),)
    batches = Photos(pixels, targets, options.seed + 1)
    train_batches(student, batches, None, optimization=plan, callbacks=freezing, **given)
    settle_biases(student)
    ended = time.perf_counter()
    seconds = [clock[1] - clock[0], clock[2] - began, ended - clock[2]]
    return student, float_scores, [f"{each:.0f} s" for each in seconds]


if __name__ == "__main__":
    main()
