"""What a quantisation-aware training step costs against a float one: tfkit on Keras 3, and tfmot on tf-keras.

    python tests/benchmarks/quantization_step.py [--models resnet8 mobilenet_v2] [--rounds 15] [--no-jit]

Each round times the four steps one after another, on the same random batch; ratios are taken within a round and
their median is reported with its quartiles, so that what else the machine does falls on all four alike. Ratios of CPU
time stand beside them: on a busy host they tell more than the clock.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from measured import measured_on

from tfkit import compression, models
from tfkit.artifacts import ImageSpec
from tfkit.compression import tfmot

SIZES = {"resnet8": 32, "mobilenet_v2": 96}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=3, help="steps in a round")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--no-jit", action="store_true")
    options = parser.parse_args()
    print(f"\nXLA {'off' if options.no_jit else 'on'}, batch {options.batch_size}\n")
    sides = " | ".join(f"{side}float step | QAT step | QAT / float | in CPU time" for side in ("", "tfmot: "))
    print(f"| model | {sides} |\n{'| --- ' * 9}|")
    for name in options.models:
        measure(name, options)
    print(f"\nMedian (quartiles) of {options.rounds} rounds of {options.steps} steps.", end=" ")
    print(measured_on())


def measure(name: str, options: argparse.Namespace) -> None:
    size, jit = SIZES[name], not options.no_jit
    image = ImageSpec(size, size, 3)
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (options.batch_size, size, size, 3)).astype(np.float32)
    targets = np.eye(10, dtype=np.float32)[random.integers(0, 10, options.batch_size)]
    model = models.build_classifier(models.build_backbone(name, image=image, weights="random"), classes=10)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    quantized = compression.quantize_aware(model, pixels, jit_compile=jit)
    twin = tfmot.rebuild_in_tf_keras(model)
    quantized_twin = tfmot.tfmot_quantize_aware(twin)
    steps = [
        _keras_step(keras, models.logits_model(model), pixels, targets, jit),
        _keras_step(keras, models.logits_model(quantized), pixels, targets, jit),
        _twin_step(twin, pixels, targets, jit),
        _twin_step(quantized_twin, pixels, targets, jit),
    ]
    for step in steps:  # traced and compiled
        step(), step()
    rounds = [[_seconds(step, options.steps) for step in steps] for _ in range(options.rounds)]
    times = [f"{1000 * statistics.median(wall for wall, _ in column):.1f} ms" for column in zip(*rounds, strict=True)]
    cells = []
    for plain, aware in ((0, 1), (2, 3)):
        ratios = [_spread([row[aware][kind] / row[plain][kind] for row in rounds]) for kind in (0, 1)]
        cells += [times[plain], times[aware], *ratios]
    print(f"| {name} {size} px | {' | '.join(cells)} |", flush=True)


def _keras_step(library: Any, model: Any, pixels: Any, targets: Any, jit: bool) -> Callable[[], Any]:
    loss = library.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(library.optimizers.Adam(1e-4), loss, jit_compile=jit)
    return lambda: model.train_on_batch(pixels, targets)


def _twin_step(twin: Any, pixels: Any, targets: Any, jit: bool) -> Callable[[], Any]:
    import tf_keras  # after tfmot has been imported by the engine, as it wants it

    softmax = twin.model.layers[-1]
    logits = tf_keras.Model(twin.model.inputs, softmax.input)
    return _keras_step(tf_keras, logits, np.asarray(twin.rescale(pixels)), targets, jit)


def _seconds(step: Callable[[], Any], steps: int) -> tuple[float, float]:
    """Seconds of a step by the clock, and of CPU time in all threads."""
    began, cpu = time.perf_counter(), time.process_time()
    for _ in range(steps):
        step()
    return (time.perf_counter() - began) / steps, (time.process_time() - cpu) / steps


def _spread(ratios: list[float]) -> str:
    low, median, high = statistics.quantiles(ratios, n=4)
    return f"{median:.2f} ({low:.2f}-{high:.2f})"


if __name__ == "__main__":
    main()
