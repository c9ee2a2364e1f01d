"""Pruned to 80 % zeros, then trained quantisation-aware: what of it the int8 file holds, and how small it deflates.

    python tests/benchmarks/weight_pruning.py [DATA] [--case resnet8_digits] [--seeds 0 1 2]

Magnitude pruning, then QAT on the pruned model, both taught by the float model, against a dense control trained as
long. DATA as for quantization_accuracy.py; the case resnet8_digits needs none: its network learns from scratch on the
digits that come with scikit-learn.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from measured import measured_on
from quantization_accuracy import CASES as PRETRAINED
from quantization_accuracy import Case, copied, float_model, freeze_batch_norm, image_splits

from tfkit import compression, data, exporters, models, training
from tfkit.artifacts import ImageSpec, compressed_bytes
from tfkit.compression import distillation, pruning
from tfkit.runtimes import LiteRTRuntime, read_stored_weights

DIGITS = Case("digits", 32, "resnet8", "random", tune=30, learning_rate=1e-3)
CASES = {"resnet8_digits": DIGITS, **PRETRAINED}


class Trial:
    """One case with one seed: its images, its float model, and how models are trained and measured."""

    def __init__(self, options: argparse.Namespace, seed: int) -> None:
        self.case, self.seed = CASES[options.case], seed
        if self.case is DIGITS:
            self.splits = data.load_image_splits(source="digits", channels=1, seed=seed)
            self.image = ImageSpec(self.case.size, self.case.size, 1, "stretch")
        else:
            self.splits = image_splits(self.case, options.data, seed)
            self.image = ImageSpec(self.case.size, self.case.size, 3)
        self.pixels = data.calibration_pixels(self.splits.train, self.image, count=200, seed=seed)
        self.test = np.concatenate(list(data.pixel_batches(self.splits.test, self.image, batch_size=64)))
        if self.case is DIGITS:
            self.model = self.from_scratch()
        else:
            self.model = float_model(self.case, options.data, self.splits, self.image, seed)
        self.steps_per_epoch = -(-len(self.splits.train) // 32)

    def from_scratch(self) -> keras.Model:
        keras.utils.set_random_seed(self.seed)
        backbone = models.build_backbone(self.case.backbone, image=self.image, weights="random")
        model = models.build_classifier(backbone, classes=len(self.splits.class_names))
        optimization = training.Optimization(
            epochs=self.case.tune, learning_rate=3e-3, optimizer="adam", warmup=0.1, schedule="cosine"
        )
        options = {"optimization": optimization, "augmentation": "light", "flip": False, "seed": self.seed}
        splits = (self.splits.train, self.splits.validation)
        training.fine_tune(model, *splits, self.image, batch_norm="train", **options)
        return model

    def train(self, model: keras.Model, *, epochs: int, learning_rate: float, **options: Any) -> None:
        optimization = training.Optimization(
            epochs=epochs, learning_rate=learning_rate, optimizer="adam", warmup=0.1, schedule="cosine"
        )
        splits = (self.splits.train, self.splits.validation)
        common = {"optimization": optimization, "augmentation": "light", "seed": self.seed}
        common["flip"] = self.case is not DIGITS
        training.train_on(model, *splits, self.image, **common, **options)

    def quantized(self, model: keras.Model, *, epochs: int, learning_rate: float, **options: Any) -> keras.Model:
        student = compression.quantize_aware(model, self.pixels.astype(np.float32))
        freezing = compression.FreezeRanges(after_epochs=max(1, epochs - 1))
        self.train(student, epochs=epochs, learning_rate=learning_rate, callbacks=(freezing,), **options)
        compression.settle_biases(student)
        return student

    def accuracy(self, scores: Any) -> float:
        return float((np.argmax(scores, axis=1) == self.splits.test.labels).mean())

    def keras_accuracy(self, model: keras.Model) -> float:
        return self.accuracy(model.predict(self.test.astype(np.float32), batch_size=64, verbose=0))

    def int8_file(self, model: keras.Model, path: Path) -> float:
        """Write the int8 file; gives its accuracy."""
        given = {"spec": self.image, "class_names": self.splits.class_names, "calibration": self.pixels}
        exporters.export_tflite(model, path, quantization="int8", **given)
        return self.accuracy(LiteRTRuntime(path, threads=2).scores(self.test))

    def distilled(self, teacher: keras.Model) -> Callable[[keras.Model], keras.Model]:
        logits = models.logits_model(teacher)
        return lambda student: distillation.distiller(student, logits, temperature=2.0, alpha=0.7)


def prune_weights(options: argparse.Namespace, seed: int, folder: Path) -> str:
    trial = Trial(options, seed)
    rate = trial.case.learning_rate
    control = copied(trial.model)
    freeze_batch_norm(control)
    trial.train(control, epochs=options.epochs + options.quantized_epochs, learning_rate=rate)
    dense = trial.quantized(trial.model, epochs=options.quantized_epochs, learning_rate=rate)
    sparse = pruning.prunable(trial.model)
    freeze_batch_norm(sparse)
    last = trial.steps_per_epoch * max(1, options.epochs * 2 // 3)
    taught = {"objective": trial.distilled(trial.model)}
    schedule = pruning.PolynomialDecay(final_sparsity=0.8, end_step=last, frequency=max(1, last // 20))
    trial.train(
        sparse, epochs=options.epochs, learning_rate=2 * rate, callbacks=(pruning.PruneWeights(schedule),), **taught
    )
    student = trial.quantized(sparse, epochs=options.quantized_epochs, learning_rate=rate, **taught)
    masks = pruning.sparsity(student)
    accuracies = [trial.keras_accuracy(control), trial.int8_file(dense, folder / f"dense{seed}.tflite")]
    accuracies.append(trial.int8_file(student, folder / f"sparse{seed}.tflite"))
    found = _file_sparsity(folder / f"sparse{seed}.tflite", masks)
    sizes = [compressed_bytes(folder / f"{name}{seed}.tflite") for name in ("dense", "sparse")]
    raw = (folder / f"sparse{seed}.tflite").stat().st_size
    cells = [f"{value:.4f}" for value in accuracies] + [f"{masks.masked_share:.2%}", f"{found:.2%}"]
    return f"| {seed} | {' | '.join(cells)} | {raw:,} | {sizes[0]:,} | {sizes[1]:,} |"


def _file_sparsity(path: Path, report: pruning.SparsityReport) -> float:
    """Share of zeros that the file has in the masked kernels: all its zeros but those of the other kernels."""
    others = sum(row.zeros for row in report.layers if row.masked is None)
    return (read_stored_weights(path).zeros - others) / sum(
        row.weights for row in report.layers if row.masked is not None
    )


HEADING = (
    "seed | float control | int8, dense | int8, pruned | sparsity of the masks | zeros in the file | bytes | "
    "deflated, dense | deflated, pruned"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--case", choices=list(CASES), default="resnet8_digits")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=20, help="while the weights are pruned")
    parser.add_argument("--quantized-epochs", type=int, default=3)
    options = parser.parse_args()
    if options.data is None and CASES[options.case] is not DIGITS:
        parser.error(f"{options.case} needs DATA")
    print(f"\n{options.case}: {options.epochs} epochs and {options.quantized_epochs} of QAT\n")
    print(f"| {HEADING} |\n" + "| --- " * (HEADING.count("|") + 1) + "|")
    with tempfile.TemporaryDirectory() as folder:
        for seed in options.seeds:
            print(prune_weights(options, seed, Path(folder)), flush=True)
    print(f"\n{measured_on()}")


if __name__ == "__main__":
    main()
