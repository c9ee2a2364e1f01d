"""The head phase on cached features against plain Keras `fit` on a frozen base: same epochs, same data, one process.

    python tests/benchmarks/head_phase.py DATA --weights FILE [--epochs 20] [--seeds 0 1 2]

DATA holds train/ and val/ or test/ with class folders. Plain Keras is what its transfer-learning guide shows: a
decoded and cached `tf.data` set, `base.trainable = False`, `fit`, with `jit_compile=False`; with `--with-default-jit`
also as `compile` comes (`jit_compile="auto"`).
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from measured import measured_on

from tfkit.artifacts import ImageSpec
from tfkit.data import evaluation_batches, load_image_splits
from tfkit.models import build_backbone, build_classifier, freeze_backbone
from tfkit.training import Optimization, train_head

BATCH = 32


def main() -> None:
    options = _options()
    image = ImageSpec(options.image_size, options.image_size)
    splits = load_image_splits(source="image_folder", directory=options.data, validation_fraction=0.2)
    rows: dict[str, list[tuple[float, float]]] = {"tfkit": [], "Keras, jit off": []}
    if options.with_default_jit:
        rows["Keras, jit auto"] = []
    for seed in options.seeds:
        for name, results in rows.items():
            keras.utils.set_random_seed(seed)
            backbone = build_backbone(options.backbone, image=image, weights=options.weights, width=options.width)
            model = build_classifier(backbone, classes=len(splits.class_names), dropout=0.2)
            began = time.perf_counter()
            if name == "tfkit":
                plan = Optimization(epochs=options.epochs, learning_rate=1e-3)
                train_head(model, splits.train, splits.validation, image, optimization=plan, seed=seed)
            else:
                _plain_keras(model, splits, image, options.epochs, jit="auto" if "auto" in name else False)
            seconds = time.perf_counter() - began
            scores = model.predict(evaluation_batches(splits.test, image, batch_size=BATCH), verbose=0)
            results.append((seconds, float(np.mean(scores.argmax(1) == splits.test.labels))))
            print(f"seed {seed}: {name} {seconds:.1f} s, {results[-1][1]:.3f}", file=sys.stderr, flush=True)
    print(f"\n{len(splits.train)} training images, {options.epochs} epochs, seeds {options.seeds}\n")
    print("| | seconds, median (spread) | times tfkit's, median of the seeds (spread) | test accuracy, mean |")
    print("| --- | --- | --- | --- |")
    ours = [seconds for seconds, _ in rows["tfkit"]]
    for name, results in rows.items():
        seconds = [second for second, _ in results]
        ratios = [theirs / own for theirs, own in zip(seconds, ours, strict=True)]
        accuracy = statistics.mean(accuracy for _, accuracy in results)
        print(f"| {name} | {_spread(seconds)} | {_spread(ratios)} | {accuracy:.4f} |")
    print(f"\n{measured_on()}")


def _plain_keras(model: keras.Model, splits, image: ImageSpec, epochs: int, *, jit: str | bool) -> None:
    freeze_backbone(model)
    model.compile(
        keras.optimizers.Adam(1e-3), keras.losses.CategoricalCrossentropy(), metrics=["accuracy"], jit_compile=jit
    )
    keep = {"batch_size": BATCH, "cache_bytes": 1 << 30}
    train = evaluation_batches(splits.train, image, **keep).unbatch().shuffle(len(splits.train)).batch(BATCH)
    held_out = evaluation_batches(splits.validation, image, **keep)
    model.fit(train, validation_data=held_out, epochs=epochs, verbose=0)


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--weights", default="random")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--with-default-jit", action="store_true", help="also run Keras's default, auto")
    return parser.parse_args()


if __name__ == "__main__":
    main()
