"""Segmentation of street scenes beside keras-hub's DeepLabV3+ and an FCN, on one backbone and data, as Markdown.

    python tests/benchmarks/segmentation.py DATA [--epochs 30] [--height 96 --width 128] [--seeds 0]

DATA holds camvid_small/ (train/ and trainannot/, and so on) and weights/mobilenet_v2_0.35_224_no_top.weights.h5. The
others are keras-hub's DeepLabV3+ (Chen et al. 2018; maps 16 and 4 times smaller) and a fully convolutional network
(Long et al. 2015, FCN-32s): one layer of scores, enlarged bilinearly. Both are trained by `keras.Model.fit` with Adam,
from 1e-3 down a cosine, on the same augmented batches, with BatchNormalization's momentum lowered from .999 to .9, as
short trainings need. All are judged by the same figures on the same masks, which chose none of this.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import keras_hub
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
MAPS = {"P2": "block_3_expand_relu", "P4": "block_13_expand_relu"}
BATCH = 8


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
        print(f"| {seed} | tfkit, before int8 training | {report['evaluation']['float']:.4f} | | | | |")
        _row(seed, "tfkit, Keras model", report["evaluation"]["figures"])
        for file in report["artifacts"]:
            told = f"{file['agreement']:.4f} | {file['bytes'] / 1e6:.2f} MB"
            _row(seed, f"tfkit, {file['file'].removeprefix('artifacts/')}", file["figures"], told)
        for what, build in (("DeepLabV3+, keras-hub", deeplab), ("FCN-32s, plain Keras", fcn)):
            figures, parameters = plain_keras(options, seed, changes, build)
            _row(seed, what, figures, f"| {parameters / 1e6:.2f} M parameters")
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


def plain_keras(
    options: argparse.Namespace, seed: int, changes: dict[str, Any], build: Callable[[Any, int], Any]
) -> tuple[dict[str, float], int]:
    """What a script without tfkit's decoder and schedule reaches, and its parameters."""
    config = load_recipe(find_recipe("segment_folder"), as_overrides(changes))
    splits = load_image_splits(**config.data.loading_options(), targets=targets_of(config), seed=seed)
    image = ImageSpec(options.height, options.width, 3, "stretch")
    keras.utils.set_random_seed(seed)
    backbone = keras.applications.MobileNetV2(input_shape=image.shape, include_top=False, weights=None, alpha=0.35)
    backbone.load_weights(options.data / WEIGHTS)
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9
    pixels = keras.Input(image.shape)
    model = keras.Model(pixels, build(backbone, len(splits.class_names))(keras.layers.Rescaling(1 / 127.5, -1)(pixels)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=IGNORED)
    rate = keras.optimizers.schedules.CosineDecay(1e-3, options.epochs * -(-len(splits.train) // BATCH))
    model.compile(keras.optimizers.Adam(rate), loss, jit_compile=False)
    batches = training_batches(splits.train, image, batch_size=BATCH, augmentation="light", seed=seed)
    model.fit(batches, epochs=options.epochs, verbose=0)
    held_out = evaluation_batches(splits.test, image, batch_size=BATCH)
    scores = np.concatenate([model.predict_on_batch(inputs) for inputs, _ in held_out])
    return dict(SEGMENTATION.quality(splits.test.labels, scores, PLAIN).figures), model.count_params()


def fcn(backbone: Any, classes: int) -> Any:
    """One layer of scores on the last maps."""
    scores = keras.layers.Dense(classes)(backbone.output)
    return keras.Model(backbone.input, keras.layers.UpSampling2D(32, interpolation="bilinear")(scores))


def deeplab(backbone: Any, classes: int) -> Any:
    """keras-hub's own pyramid and decoder."""
    backbone.pyramid_outputs = {level: backbone.get_layer(name).output for level, name in MAPS.items()}
    body = keras_hub.models.DeepLabV3Backbone(
        image_encoder=backbone, spatial_pyramid_pooling_key="P4", upsampling_size=4, dilation_rates=[6, 12, 18],
        low_level_feature_key="P2", projection_filters=48, image_shape=backbone.input_shape[1:],
    )  # fmt: skip
    return keras_hub.models.DeepLabV3ImageSegmenter(body, num_classes=classes)


def _row(seed: int, what: str, figures: dict[str, float], told: str = "| ") -> None:
    cells = " | ".join(f"{figures[name]:.4f}" for name in ("miou", "pixel_accuracy", "boundary_f1"))
    print(f"| {seed} | {what} | {cells} | {told} |", flush=True)


if __name__ == "__main__":
    main()
