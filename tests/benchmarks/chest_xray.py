"""Pneumonia on chest X-rays by the shipped recipe, beside a plain Keras script of the same backbone, as Markdown.

    python tests/benchmarks/chest_xray.py DATA [--seeds 0 1 2]

DATA holds chest_xray/ (train/ and test/ of class folders) and weights/mobilenet_v2_1.0_224_deq.weights.h5. The script
follows Keras's guide to transfer learning: frozen base in inference mode, ten epochs of a new head with Adam at 1e-3,
then ten of all but BatchNormalization at 1e-5, the epoch with the best validation loss kept; TensorFlow's converter
makes its int8 file with 200 training pictures. Both see the same splits; AUC is scikit-learn's, its interval a
bootstrap of 2,000 draws.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from measured import measured_on
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

import tfkit
from tfkit.artifacts import ImageSpec
from tfkit.config import find_recipe, load_recipe
from tfkit.data import evaluation_batches, load_image_splits, training_batches
from tfkit.running.planning import targets_of
from tfkit.running.recipe import as_overrides

WEIGHTS = "weights/mobilenet_v2_1.0_224_deq.weights.h5"
IMAGE = ImageSpec(224, 224, 3, "stretch")
BATCH, DRAWS = 32, 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    print("| seed | what | AUC on the test split | 95 % interval | same class as Keras |")
    print("| --- | --- | --- | --- | --- |")
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as folder:
            report, changes = by_recipe(options.data, seed, Path(folder))
            interval = next(one for one in report["trust"]["intervals"] if one["name"] == "roc_auc")
            _row(seed, "tfkit, Keras model", interval["value"], (interval["low"], interval["high"]))
            for file in report["artifacts"]:
                name = file["file"].removeprefix("artifacts/")
                _row(seed, f"tfkit, {name}", file["figures"]["roc_auc"], None, file["agreement"])
            plain_keras(options.data, seed, changes)
    print(f"\n200 test pictures. {measured_on()}")


def by_recipe(data: Path, seed: int, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The recipe's report, and what was changed of the recipe."""
    changes: dict[str, Any] = {
        "run": {"directory": folder, "name": "run", "seed": seed},
        "data": {"directory": data / "chest_xray"},
        "model": {"weights": str(data / WEIGHTS)},
    }
    tfkit.run("chest_xray", **changes)
    report: dict[str, Any] = json.loads((folder / "run" / "report.json").read_text())
    return report, changes


def plain_keras(data: Path, seed: int, changes: dict[str, Any]) -> None:
    config = load_recipe(find_recipe("chest_xray"), as_overrides(changes))
    splits = load_image_splits(**config.data.loading_options(), targets=targets_of(config), seed=seed)
    keras.utils.set_random_seed(seed)
    whole = keras.applications.MobileNetV2(input_shape=IMAGE.shape, weights=None)
    whole.load_weights(data / WEIGHTS)
    base = keras.Model(whole.input, whole.get_layer("out_relu").output)
    pixels = keras.Input(IMAGE.shape)
    maps = base(keras.layers.Rescaling(1 / 127.5, -1)(pixels), training=False)
    pooled = keras.layers.Dropout(0.2)(keras.layers.GlobalAveragePooling2D()(maps))
    model = keras.Model(pixels, keras.layers.Dense(2, activation="softmax")(pooled))
    given = training_batches(splits.train, IMAGE, batch_size=BATCH, augmentation="light", flip=False, seed=seed)
    held_out = evaluation_batches(splits.validation, IMAGE, batch_size=BATCH)
    for trainable, rate in ((False, 1e-3), (True, 1e-5)):
        base.trainable = trainable
        for layer in base.layers:  # Keras 3.15 overrides `training=False` of a model inside of a model
            layer.trainable = trainable and not isinstance(layer, keras.layers.BatchNormalization)
        model.compile(keras.optimizers.Adam(rate), "categorical_crossentropy", jit_compile=False)
        best = keras.callbacks.EarlyStopping(patience=10, restore_best_weights=True)
        model.fit(given, validation_data=held_out, epochs=10, verbose=0, callbacks=[best])
    judged = evaluation_batches(splits.test, IMAGE, batch_size=BATCH)
    test = np.concatenate([np.asarray(inputs) for inputs, _ in judged])
    scores = model.predict(test, verbose=0)[:, 1]
    labels = splits.test.labels
    _row(seed, "plain Keras", roc_auc_score(labels, scores), interval_of(labels, scores, seed))
    shown = np.concatenate([np.asarray(inputs) for inputs, _ in given.take(-(-200 // BATCH))])[:200]
    integers = answers(post_training(model, shown), test)
    same = float(((integers > 0.5) == (scores > 0.5)).mean())
    _row(seed, "plain Keras, int8 by the converter", roc_auc_score(labels, integers), None, same)


def post_training(model: Any, shown: NDArray[np.float32]) -> bytes:
    """An int8 file of a Keras model, calibrated on these pictures."""

    def one_by_one() -> Iterator[list[NDArray[np.float32]]]:
        for pixels in shown:
            yield [pixels[None].astype(np.float32)]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = one_by_one
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return bytes(converter.convert())


def answers(file: bytes, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the file answers to the second class."""
    interpreter = Interpreter(model_content=file)
    interpreter.allocate_tensors()
    given, found = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    scores = []
    for picture in pixels:
        interpreter.set_tensor(given, picture[None].astype(np.float32))
        interpreter.invoke()
        scores.append(interpreter.get_tensor(found)[0, 1])
    return np.array(scores, np.float32)


def interval_of(labels: NDArray[np.int32], scores: NDArray[np.float32], seed: int) -> tuple[float, float]:
    random = np.random.default_rng(seed)
    drawn: list[float] = []
    while len(drawn) < DRAWS:
        chosen = random.integers(0, len(labels), len(labels))
        if 0 < labels[chosen].sum() < len(labels):
            drawn.append(roc_auc_score(labels[chosen], scores[chosen]))
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def _row(seed: int, what: str, auc: float, interval: tuple[float, float] | None, same: float | None = None) -> None:
    between = f"{interval[0]:.3f} to {interval[1]:.3f}" if interval else ""
    alike = "" if same is None else f"{same:.3f}"
    print(f"| {seed} | {what} | {auc:.4f} | {between} | {alike} |", flush=True)


if __name__ == "__main__":
    main()
