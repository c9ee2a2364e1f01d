"""The first epoch of a photo network beside plain Keras `fit`, tracing, progress, TensorBoard and checkpoints included.

    python tests/benchmarks/first_epoch.py --data hymenoptera [--rounds 3] [--epochs 1]

DATA holds train/ and val/ with class folders. MobileNetV2 (random weights) trains whole at 224 px, batch 32. Plain
Keras is what its guide shows: `image_dataset_from_directory`, RandomFlip and a contrast, `compile(jit_compile=False)`
and `fit` with validation. tfkit is `fine_tune` as a recipe calls it: its own augmentation, progress told each batch,
TensorBoard, the model and the whole state kept on disk. Every measurement is a fresh process, in turn; the clock starts
behind the imports, with the model built, and ends with the last epoch.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

_SIZE, _BATCH_SIZE, _RATE = 224, 32, 1e-4
_SIDES = ("Keras", "tfkit")


def plain_keras(data: Path, epochs: int) -> tuple[float, float]:
    """Clock and processor seconds of plain Keras."""
    import keras
    import tensorflow as tf

    base = keras.applications.MobileNetV2(include_top=False, pooling="avg", weights=None, input_shape=(_SIZE, _SIZE, 3))
    inputs = keras.Input((_SIZE, _SIZE, 3))
    features = base(keras.layers.Rescaling(1 / 127.5, -1)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Dropout(0.2)(features)))
    begin = time.perf_counter(), time.process_time()
    given = {"label_mode": "categorical", "image_size": (_SIZE, _SIZE), "batch_size": _BATCH_SIZE, "verbose": False}
    given["crop_to_aspect_ratio"] = True
    train = keras.utils.image_dataset_from_directory(data / "train", seed=0, **given)
    held_out = keras.utils.image_dataset_from_directory(data / "val", shuffle=False, **given)
    augment = keras.Sequential(
        [keras.layers.RandomFlip("horizontal", seed=1), keras.layers.RandomContrast(0.2, seed=2)]
    )
    train = train.map(lambda pixels, targets: (augment(pixels, training=True), targets), tf.data.AUTOTUNE).prefetch(2)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(_RATE), loss, metrics=["accuracy"], jit_compile=False)
    model.fit(train, validation_data=held_out.prefetch(2), epochs=epochs, verbose=0)
    return time.perf_counter() - begin[0], time.process_time() - begin[1]


def tfkit(data: Path, epochs: int) -> tuple[float, float]:
    """Clock and processor seconds of tfkit."""
    from tfkit.artifacts import ImageSpec
    from tfkit.data import load_image_splits
    from tfkit.models import build_backbone, build_classifier
    from tfkit.training import Optimization, fine_tune

    image = ImageSpec(_SIZE, _SIZE)
    splits = load_image_splits(source="image_folder", directory=data, validation_fraction=0.0)
    model = build_classifier(build_backbone("mobilenet_v2", image=image, weights="random"), classes=2, dropout=0.2)
    begin = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        fine_tune(
            model,
            splits.train,
            splits.test,  # held out on both sides, and nothing is chosen on it
            image,
            optimization=Optimization(epochs=epochs, learning_rate=_RATE, optimizer="adamw"),
            batch_norm="train",
            batch_size=_BATCH_SIZE,
            augmentation="light",
            log_directory=Path(folder) / "tensorboard",
            checkpoint=Path(folder) / "model.keras",
            state=Path(folder) / "state.npz",
            progress=lambda done, total, text: None,
        )
        return time.perf_counter() - begin[0], time.process_time() - begin[1]


def main() -> None:
    """Measure in turn and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--one", choices=_SIDES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(*(plain_keras if given.one == "Keras" else tfkit)(given.data, given.epochs))
        return
    times: dict[str, list[tuple[float, float]]] = {side: [] for side in _SIDES}
    for _ in range(given.rounds):
        for side in _SIDES:
            command = [
                sys.executable,
                __file__,
                "--data",
                str(given.data),
                "--epochs",
                str(given.epochs),
                "--one",
                side,
            ]
            answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            clock, processor = answer.stdout.split()[-2:]
            times[side].append((float(clock), float(processor)))
            print(side, clock, processor, file=sys.stderr, flush=True)
    print(f"| {given.epochs} epochs, {given.rounds} rounds | by the clock, s | processor, s |\n| --- | --- | --- |")
    for side, rows in times.items():
        print(f"| {side} | {' | '.join(f'{statistics.median(column):.1f}' for column in zip(*rows, strict=True))} |")
    pairs = zip(times["tfkit"], times["Keras"], strict=True)
    ratios = [[own / other for own, other in zip(*pair, strict=True)] for pair in pairs]
    cells = [f"{statistics.median(c):.2f} ({min(c):.2f} to {max(c):.2f})" for c in zip(*ratios, strict=True)]
    from measured import measured_on

    print(f"| tfkit to Keras | {' | '.join(cells)} |\n\n{measured_on()}")


if __name__ == "__main__":
    main()
