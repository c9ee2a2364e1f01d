"""Pruned and quantised: weights to 80 % zeros, and channels taken away; what is left in the file, and how fast it is.

    python tests/benchmarks/pruning.py DATA weights [--case resnet8_digits] [--seeds 0 1 2]
    python tests/benchmarks/pruning.py DATA channels [--case mobilenet_v2_oxford12] [--keep 0.5] [--seeds 0 1 2]

`weights`: magnitude pruning, then QAT on the pruned model, both taught by the float model, against a dense control
trained as long. `channels`:
channel pruning, fine-tuning and QAT with distillation, against the int8 file of the unpruned model; the latency is
predicted from that file's operator profile before anything is trained. DATA as for quantization_accuracy.py; the case
resnet8_digits needs none of it: its network learns from scratch on the digits that come with scikit-learn.
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
from quantization_accuracy import CASES as PRETRAINED
from quantization_accuracy import Case, copied, float_model, freeze_batch_norm, image_splits

from tfkit import benchmarking, compression, data, exporters, models, training
from tfkit.artifacts import ImageSpec
from tfkit.benchmarking.op_profile import profile_operators
from tfkit.compression import channels, distillation, pruning
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
    sizes = [pruning.compressed_bytes(folder / f"{name}{seed}.tflite") for name in ("dense", "sparse")]
    raw = (folder / f"sparse{seed}.tflite").stat().st_size
    cells = [f"{value:.4f}" for value in accuracies] + [f"{masks.masked_share:.2%}", f"{found:.2%}"]
    return f"| {seed} | {' | '.join(cells)} | {raw:,} | {sizes[0]:,} | {sizes[1]:,} |"


def _file_sparsity(path: Path, report: pruning.SparsityReport) -> float:
    """Share of zeros that the file has in the masked kernels: all its zeros but those of the other kernels."""
    others = sum(row.zeros for row in report.layers if row.masked is None)
    return (read_stored_weights(path).zeros - others) / sum(
        row.weights for row in report.layers if row.masked is not None
    )


def prune_channels(options: argparse.Namespace, seed: int, folder: Path) -> str:
    trial = Trial(options, seed)
    rate = trial.case.learning_rate
    whole = trial.quantized(trial.model, epochs=options.quantized_epochs, learning_rate=rate)
    path, small = folder / f"whole{seed}.tflite", folder / f"small{seed}.tflite"
    accuracies = [trial.keras_accuracy(trial.model), trial.int8_file(whole, path)]
    profile = profile_operators(path)
    chosen = np.random.default_rng(seed).permutation(len(trial.splits.train))[:128]
    batches = list(zip(*_labelled(trial, chosen), strict=True))
    plan = channels.plan_channel_pruning(trial.model, criterion=options.criterion, keep=options.keep, batches=batches)
    predicted = channels.predict_latency(profile, before=plan.costs_before, after=plan.costs_after)
    pruned = channels.prune_channels_restored(trial.model, plan, trial.pixels)
    straight_after = trial.keras_accuracy(pruned)
    objective = trial.distilled(trial.model)
    trial.train(pruned, epochs=options.epochs, learning_rate=options.learning_rate, objective=objective)
    float_after = trial.keras_accuracy(pruned)
    student = trial.quantized(pruned, epochs=options.quantized_epochs, learning_rate=rate, objective=objective)
    accuracies.append(trial.int8_file(student, small))
    image = trial.test[:1]
    times = [[_latency(file, image) for file in (path, small)] for _ in range(5)]
    whole_ms, small_ms = (float(np.median(column)) for column in zip(*times, strict=True))
    cells = [f"{value:.4f}" for value in (accuracies[0], accuracies[1], straight_after, float_after, accuracies[2])]
    cells += [
        f"{whole_ms:.2f}",
        f"{small_ms:.2f}",
        f"{whole_ms / small_ms:.2f}x",
        f"{predicted:.2f} ({predicted / small_ms - 1:+.0%})",
    ]
    return f"| {seed} | {' | '.join(cells)} | {plan.parameters_before:,} to {plan.parameters_after:,} |"


def _labelled(trial: Trial, chosen: Any) -> tuple[list[Any], list[Any]]:
    examples = trial.splits.train.select(chosen)
    images = [batch.astype(np.float32) for batch in data.pixel_batches(examples, trial.image, batch_size=32)]
    return images, [examples.labels[start : start + 32] for start in range(0, len(chosen), 32)]


def _latency(path: Path, image: Any) -> float:
    return float(benchmarking.measure_latency(LiteRTRuntime(path), image, max_seconds=2).latency_ms_p50)


WEIGHTS = (
    "seed | float control | int8, dense | int8, 80 % pruned | sparsity of the masks | zeros in the file | bytes | "
    "deflated, dense | deflated, pruned"
)
CHANNELS = (
    "seed | float | int8, whole | cut | cut and fine-tuned | int8, cut | whole, ms | cut, ms | faster | "
    "predicted, ms | parameters"
)
WAYS = {
    "weights": (prune_weights, "resnet8_digits", WEIGHTS),
    "channels": (prune_channels, "mobilenet_v2_oxford12", CHANNELS),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("way", choices=list(WAYS))
    parser.add_argument("--case", choices=list(CASES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=20, help="after the cut, or while the weights are pruned")
    parser.add_argument("--quantized-epochs", type=int, default=3)
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="of the fine-tuning after a cut")
    parser.add_argument("--keep", type=float, default=0.5)
    parser.add_argument("--criterion", default="loss", choices=["loss", "bn_scale", "weight_norm"])
    options = parser.parse_args()
    trial, case, heading = WAYS[options.way]
    options.case = options.case or case
    print(f"\n{options.case}: {options.way}, {options.epochs} epochs and {options.quantized_epochs} of QAT\n")
    print(f"| {heading} |\n" + "| --- " * (heading.count("|") + 1) + "|")
    with tempfile.TemporaryDirectory() as folder:
        for seed in options.seeds:
            print(trial(options, seed, Path(folder)), flush=True)
    host = asdict(benchmarking.describe_host())
    print("\nLatencies: median of 5 medians, one thread.", end=" ")
    print(f"Measured on {host['cpu']}, {host['cores']} cores, {host['versions']}.")


if __name__ == "__main__":
    main()
