"""What a quantisation-aware training step costs on a GPU against the float step, in float32 and in bf16.

    python -m tests.benchmarks.gpu.quantization_step [--models resnet50 mobilenet_v2] [--rounds 10] [--steps 23]
        [--batch-size 256] [--image-size 224] [--precisions float32 mixed_bfloat16] [--kernels 0] [--seed 0]

tfkit on Keras and JAX, TensorFlow not needed: `quantize_aware` of a classifier, both compiled by XLA, the same batch on
the card already, Adam, BatchNorm frozen on both sides as `quantize_aware` leaves it. The two take turns, in rounds;
ratios are taken within a round. "Rewriting" is `quantize_aware` itself on the processor: the copy, its comparison and
calibration.
"""

import argparse
import os
import time
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras
import numpy as np

from tests.benchmarks.gpu.measuring import Side, bare_step, describe_card, on_host, show_kernels, spread
from tfkit import models
from tfkit.artifacts import ImageSpec
from tfkit.compression import quantize_aware
from tfkit.models import logits_model, with_dtype_policy

CLASSES = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["resnet50", "mobilenet_v2"])
    parser.add_argument("--precisions", nargs="+", default=["float32", "mixed_bfloat16"])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=23, help="of a round; the first three are not timed")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--kernels", type=int, default=0, help="show so many of each side's kernels, by time")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"{describe_card()}; seed {options.seed}. Median (quartiles) of {options.rounds} rounds", end=" ")
    print(f"of {options.steps - 3} steps.\n")
    print("| model, batch, precision | float step | QAT step | QAT / float | rewriting |")
    print("| --- " * 5 + "|", flush=True)
    sides = [side for name in options.models for side in measure(name, options)]
    if options.kernels:
        show_kernels(sides, options.kernels)


def measure(name: str, options: argparse.Namespace) -> list[Side]:
    """A row for each precision; the sides of all of them: float and quantisation-aware, by turns."""
    keras.utils.set_random_seed(options.seed)
    size, random = options.image_size, np.random.default_rng(options.seed)
    pixels = random.integers(0, 256, (options.batch_size, size, size, 3)).astype(np.float32)
    targets = np.eye(CLASSES, dtype=np.float32)[random.integers(0, CLASSES, options.batch_size)]
    with on_host():
        backbone = models.build_backbone(name, image=ImageSpec(size, size, 3), weights="random")
        model = models.build_classifier(backbone, classes=CLASSES)
        models.unfreeze(model, "all", batch_norm="frozen")
        began = time.perf_counter()
        student = quantize_aware(model, pixels[:8], jit_compile=True)
        rewriting = time.perf_counter() - began
    batch = jax.device_put((pixels, targets))
    shown: list[Side] = []
    for precision in options.precisions:
        sides = [_side(trained, precision, batch, options.steps) for trained in (model, student)]
        for side in sides:  # compiled
            side()
        rounds = [[side() for side in sides] for _ in range(options.rounds)]
        times = [spread([1000 * row[side] for row in rounds], ".2f", unit=" ms") for side in range(2)]
        ratios = spread([row[1] / row[0] for row in rounds], ".3f")
        what = f"{name}, {options.batch_size}, {precision}"
        print(f"| {what} | {times[0]} | {times[1]} | {ratios} | {rewriting:.0f} s |", flush=True)
        shown += sides
    return shown


def _side(model: keras.Model, precision: str, batch: tuple[Any, Any], steps: int) -> Side:
    with on_host():
        trained = model if precision == "float32" else with_dtype_policy(model, precision)
        logits = logits_model(trained)
        logits.compile(keras.optimizers.Adam(1e-4), keras.losses.CategoricalCrossentropy(from_logits=True))
        logits._symbolic_build(data_batch=batch)  # makes the optimizer's and the metrics' variables
    return bare_step(logits, batch, steps)


if __name__ == "__main__":
    main()
