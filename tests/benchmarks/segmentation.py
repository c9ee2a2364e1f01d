"""Segmentation of real street scenes beside a plain Keras script of the same backbone, data and epochs, as Markdown.

    python tests/benchmarks/segmentation.py DATA [--epochs 30] [--height 96 --width 128] [--seeds 0]

DATA holds camvid_small/ (train/ and trainannot/, and so on) and weights/mobilenet_v2_0.35_224_no_top.weights.h5. The
other script is a fully convolutional network (Long et al. 2015, FCN-32s): MobileNetV2, one layer of scores, enlarged
bilinearly, `keras.Model.fit` with Adam. Both are judged by the same figures on the same masks.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from measured import measured_on

import tfkit
from tfkit.artifacts import ImageSpec
from tfkit.config import find_recipe, load_recipe
from tfkit.data import evaluation_batches, load_image_splits, training_batches
from tfkit.data.masks import IGNORED
from tfkit.running.planning import targets_of
from tfkit.running.recipe import as_overrides
from tfkit.tasks import PLAIN, SEGMENTATION

WEIGHTS = "weights/mobilenet_v2_0.35_224_no_top.weights.h5"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--height", type=int, default=96)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    print("| seed | what | mean IoU | right pixels | boundary F1 | same pixels as Keras | size |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as folder:
            report, changes = by_recipe(options, seed, Path(folder))
        _row(seed, "tfkit, Keras model", report["evaluation"]["figures"])
        for file in report["artifacts"]:
            told = f"{file['agreement']:.4f} | {file['bytes'] / 1e6:.2f} MB"
            _row(seed, f"tfkit, {file['file'].removeprefix('artifacts/')}", file["figures"], told)
        _row(seed, "FCN-32s, plain Keras", plain_keras(options, seed, changes))
    print(f"\n{options.height} x {options.width} pixels, {options.epochs} epochs. {measured_on()}")


def by_recipe(options: argparse.Namespace, seed: int, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The recipe's report, and what was changed of the recipe."""
    changes: dict[str, Any] = {
        "run": {"directory": folder, "name": "run", "seed": seed},
        "data": {
            "directory": options.data / "camvid_small",
            "image_size": [options.height, options.width],
        },
        "model": {"weights": str(options.data / WEIGHTS)},
        "fine_tune": {"epochs": options.epochs},
    }
    tfkit.run("segment_folder", **changes)
    report: dict[str, Any] = json.loads((folder / "run" / "report.json").read_text())
    return report, changes


def plain_keras(options: argparse.Namespace, seed: int, changes: dict[str, Any]) -> dict[str, float]:
    """What a script without tfkit's decoder, schedule and augmentation of masks reaches."""
    config = load_recipe(find_recipe("segment_folder"), as_overrides(changes))
    splits = load_image_splits(**config.data.loading_options(), targets=targets_of(config), seed=seed)
    image = ImageSpec(options.height, options.width, 3, "stretch")
    keras.utils.set_random_seed(seed)
    backbone = keras.applications.MobileNetV2(input_shape=image.shape, include_top=False, weights=None, alpha=0.35)
    backbone.load_weights(options.data / WEIGHTS)
    pixels = keras.Input(image.shape)
    maps = backbone(keras.layers.Rescaling(1 / 127.5, -1)(pixels))
    logits = keras.layers.Dense(len(splits.class_names))(maps)
    model = keras.Model(pixels, keras.layers.UpSampling2D(32, interpolation="bilinear")(logits))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=IGNORED)
    model.compile(keras.optimizers.Adam(1e-3), loss, jit_compile=False)
    batches = training_batches(splits.train, image, batch_size=8, augmentation="none", seed=seed)
    model.fit(batches, epochs=options.epochs, verbose=0)
    held_out = evaluation_batches(splits.test, image, batch_size=8)
    scores = np.concatenate([model.predict_on_batch(inputs) for inputs, _ in held_out])
    return dict(SEGMENTATION.quality(splits.test.labels, scores, PLAIN).figures)


def _row(seed: int, what: str, figures: dict[str, float], told: str = "| ") -> None:
    cells = " | ".join(f"{figures[name]:.4f}" for name in ("miou", "pixel_accuracy", "boundary_f1"))
    print(f"| {seed} | {what} | {cells} | {told} |", flush=True)


if __name__ == "__main__":
    main()
