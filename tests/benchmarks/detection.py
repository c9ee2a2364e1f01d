"""Raccoons found by a shipped recipe, beside keras-hub's RetinaNet on the same backbone, data and epochs, as Markdown.

    python tests/benchmarks/detection.py DATA [--epochs 30] [--size 224] [--seeds 0]

DATA holds raccoon/ and weights/mobilenet_v2_0.35_224_no_top.weights.h5. RetinaNet has keras-hub's own anchors, losses
and non-maximum suppression, on maps 8, 16 and 32 times smaller than the picture, and is trained by its `fit` with Adam,
from 1e-3 down a cosine, on the same augmented batches. Both are judged by pycocotools on the same test photos, which
chose neither learning rates nor sizes.
"""

import argparse
import json
import tempfile
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
from tfkit.running.planning import targets_of
from tfkit.running.recipe import as_overrides
from tfkit.tasks import DETECTION, PLAIN

WEIGHTS = "weights/mobilenet_v2_0.35_224_no_top.weights.h5"
MAPS = {"P3": "block_6_expand_relu", "P4": "block_13_expand_relu", "P5": "out_relu"}
BATCH = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    print("| seed | what | mAP50 | mAP | same boxes as Keras | parameters or bytes |")
    print("| --- | --- | --- | --- | --- | --- |")
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as folder:
            report, changes = by_recipe(options, seed, Path(folder))
            parameters = keras.models.load_model(Path(folder, "run/models/float.keras"), compile=False).count_params()
        print(f"| {seed} | tfkit, before int8 training | {report['evaluation']['float']:.4f} | | | |")
        _row(seed, "tfkit, Keras model", report["evaluation"]["figures"], f"| {parameters / 1e6:.2f} M")
        for file in report["artifacts"]:
            told = f"{file['agreement']:.4f} | {file['bytes'] / 1e6:.2f} MB"
            _row(seed, f"tfkit, {file['file'].removeprefix('artifacts/')}", file["figures"], told)
        figures, parameters = retinanet(options, seed, changes)
        _row(seed, "RetinaNet, keras-hub", figures, f"| {parameters / 1e6:.2f} M")
    print(f"\n{options.size} x {options.size} pixels, {options.epochs} epochs, batches of {BATCH}. {measured_on()}")


def by_recipe(options: argparse.Namespace, seed: int, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The recipe's report, and what was changed of the recipe."""
    changes: dict[str, Any] = {
        "run": {"directory": folder, "name": "run", "seed": seed},
        "data": {"directory": options.data / "raccoon", "image_size": options.size, "batch_size": BATCH},
        "model": {"weights": str(options.data / WEIGHTS)},
        "fine_tune": {"epochs": options.epochs},
    }
    tfkit.run("detect_folder", **changes)
    report: dict[str, Any] = json.loads((folder / "run" / "report.json").read_text())
    return report, changes


def retinanet(options: argparse.Namespace, seed: int, changes: dict[str, Any]) -> tuple[dict[str, float], int]:
    """What a script without tfkit's detector and loss reaches, and its parameters."""
    config = load_recipe(find_recipe("detect_folder"), as_overrides(changes))
    splits = load_image_splits(**config.data.loading_options(), targets=targets_of(config), seed=seed)
    image = ImageSpec(options.size, options.size, 3, "stretch")
    keras.utils.set_random_seed(seed)
    base = keras.applications.MobileNetV2(input_shape=image.shape, include_top=False, weights=None, alpha=0.35)
    base.load_weights(options.data / WEIGHTS)
    base.pyramid_outputs = {level: base.get_layer(name).output for level, name in MAPS.items()}
    body = keras_hub.models.RetinaNetBackbone(
        base, min_level=3, max_level=5, use_p5=False, use_fpn_batch_norm=True, image_shape=image.shape
    )
    kept = keras_hub.layers.NonMaxSuppression("yxyx", True, iou_threshold=0.6, confidence_threshold=0.01)
    classes = len(splits.class_names)
    model = keras_hub.models.RetinaNetObjectDetector(body, num_classes=classes, prediction_decoder=kept)
    steps = options.epochs * -(-len(splits.train) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(1e-3, steps)
    model.compile(keras.optimizers.Adam(rate, global_clipnorm=10.0), jit_compile=False)
    given = training_batches(splits.train, image, batch_size=BATCH, augmentation=config.augmentation.policy, seed=seed)
    model.fit(
        given.map(lambda pixels, boxes: as_retinanet(pixels, boxes, options.size)), epochs=options.epochs, verbose=0
    )
    scores = [
        answers(model, pixels, len(splits.class_names), options.size)
        for pixels, _ in evaluation_batches(splits.test, image, batch_size=BATCH)
    ]
    return dict(DETECTION.quality(splits.test.labels, np.concatenate(scores), PLAIN).figures), model.count_params()


def as_retinanet(pixels: Any, boxes: Any, side: int) -> tuple[Any, Any]:
    """Pixels from -1 to 1, and corners in pixels; -1 stands for no box there too."""
    return pixels / 127.5 - 1.0, {"boxes": boxes[..., 1:] * side, "labels": boxes[..., 0]}


def answers(model: Any, pixels: Any, classes: int, side: int) -> np.ndarray:
    """What it finds, as tfkit's detectors write it: float32 (n, most, classes + 4)."""
    given = np.asarray(pixels, np.float32) / 127.5 - 1
    found = model.decode_predictions(model(given, training=False), (given, None))
    boxes, sure, labels = (np.asarray(found[name]) for name in ("boxes", "confidence", "labels"))
    low, high = boxes[..., :2] / side, boxes[..., 2:] / side
    rows = np.zeros((*sure.shape, classes + 4), np.float32)
    for number in range(classes):
        rows[..., number] = np.where(labels == number, sure, 0)
    rows[..., -4:-2], rows[..., -2:] = (low + high) / 2, high - low
    return rows


def _row(seed: int, what: str, figures: dict[str, float], told: str) -> None:
    print(f"| {seed} | {what} | {figures['map50']:.4f} | {figures['map']:.4f} | {told} |", flush=True)


if __name__ == "__main__":
    main()
