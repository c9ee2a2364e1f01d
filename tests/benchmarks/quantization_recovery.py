"""Where post-training quantisation fails, and what quantisation-aware training brings back: weights of 4 bits.

    python tests/benchmarks/quantization_recovery.py DATA [--case resnet8_cifar10] [--seeds 0 1 2] [--epochs 8]

Both files have 4-bit weights (first and last layer 8) and 8-bit activations, and come from the same float model. The
post-training one is rounded and calibrated as it is; the other was trained on the roundings, on the labels and on the
float model's answers. DATA as for quantization_accuracy.py.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np
from measured import measured_on
from quantization_accuracy import CASES, float_model, image_splits

from tfkit import compression, data, exporters, models, training
from tfkit.artifacts import ImageSpec
from tfkit.compression.distillation import distiller
from tfkit.runtimes import LiteRTRuntime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--case", default="resnet8_cifar10", choices=list(CASES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    options = parser.parse_args()
    rows = [measure(options, seed) for seed in options.seeds]
    print(f"\n{options.case}, 4-bit weights, {options.epochs} epochs, seeds {options.seeds}\n")
    print(
        "| seed | float | post-training | after training | share of the loss recovered | bytes |\n" + "| --- " * 6 + "|"
    )
    for seed, row in zip(options.seeds, rows, strict=True):
        print(f"| {seed} | {row[0]:.4f} | {row[1]:.4f} | {row[2]:.4f} | {_recovered(row):.0%} | {row[3]:,} |")
    print(f"\nMean share recovered: {statistics.mean(_recovered(row) for row in rows):.0%}.")
    print(measured_on())


def measure(options: argparse.Namespace, seed: int) -> tuple[float, float, float, int]:
    case = CASES[options.case]
    splits, image = image_splits(case, options.data, seed), ImageSpec(case.size, case.size, 3)
    model = float_model(case, options.data, splits, image, seed)
    test = np.concatenate(list(data.pixel_batches(splits.test, image, batch_size=64)))
    pixels = data.calibration_pixels(splits.train, image, count=200, seed=seed)

    def accuracy(scores: np.ndarray) -> float:
        return float((np.argmax(scores, axis=1) == splits.test.labels).mean())

    def file_accuracy(quantized: object, name: str) -> tuple[float, int]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            given = {"spec": image, "class_names": splits.class_names, "calibration": pixels}
            artifact = exporters.export_tflite(quantized, path, quantization="int8", **given)
            return accuracy(LiteRTRuntime(path, threads=2).scores(test)), artifact.bytes

    student = compression.quantize_aware(
        model, pixels.astype(np.float32), policy=compression.QuantizationPolicy(weight_bits=4)
    )
    before, _ = file_accuracy(student, "post_training.tflite")
    optimization = training.Optimization(
        epochs=options.epochs, learning_rate=options.learning_rate, optimizer="adam", warmup=0.1, schedule="cosine"
    )
    freezing = (compression.FreezeRanges(after_epochs=options.epochs - 1),)
    training.train_on(
        student,
        splits.train,
        splits.validation,
        image,
        optimization=optimization,
        augmentation="light",
        seed=seed,
        callbacks=freezing,
        objective=lambda logits: distiller(logits, models.logits_model(model), temperature=2.0, alpha=0.7),
    )
    compression.settle_biases(student)
    after, size = file_accuracy(student, "trained.tflite")
    return accuracy(model.predict(test.astype(np.float32), verbose=0)), before, after, size


def _recovered(row: tuple[float, float, float, int]) -> float:
    return (row[2] - row[1]) / (row[0] - row[1])


if __name__ == "__main__":
    main()
