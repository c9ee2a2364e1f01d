"""Run by `test_distribution`: the same trainings on one logical CPU and on two, and a run of a recipe on both."""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import tfkit
from tfkit import compression, models, training
from tfkit.artifacts import ImageSpec
from tfkit.data import load_image_splits
from tfkit.training import Optimization, going_on

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
IMAGE = ImageSpec(16, 16, 1, "stretch")
# 180 images in batches of 32: the last one of 20. 43 of validation: the last batch of 11 has no half.
DATA: dict[str, Any] = {"source": "digits", "classes": ("0", "1", "2"), "labels_per_class": 60, "channels": 1}
SPLITS = load_image_splits(seed=0, **DATA)
PLAN = Optimization(epochs=2, learning_rate=1e-2, optimizer="sgd", ema=0.9)


class Killed(BaseException):
    """Stands for SIGKILL."""


class Losses(keras.callbacks.Callback):
    """Notes the loss of each step, and ends the training after so many."""

    def __init__(self, steps: int = 99) -> None:
        super().__init__()
        self.seen: list[float] = []
        self._steps = steps

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        if len(self.seen) == self._steps:
            raise Killed

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.seen.append((logs or {})["loss"])


def small_backbone() -> keras.Model:
    pixels = keras.Input(IMAGE.shape, name="pixels")
    maps = keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    for number in range(2):
        maps = keras.layers.Conv2D(16, 3, strides=2, use_bias=False, name=f"conv_{number}")(maps)
        maps = keras.layers.ReLU(name=f"relu_{number}")(keras.layers.BatchNormalization()(maps))
    return keras.Model(pixels, maps)


def classifier(seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return models.build_classifier(small_backbone(), classes=3, dropout=0.0)


def fine_tuned(losses: Losses, devices: tuple[str, ...], state: Path | None = None) -> tuple[keras.Model, Any]:
    """Train a model that another one teaches, by its answers and by one of its layers."""
    pair = compression.FeaturePair(student="relu_1", teacher="relu_1")
    taught = partial(compression.distiller, teacher=models.logits_model(classifier(1)), features=(pair,))
    model = classifier(0)
    given: dict[str, Any] = {"optimization": PLAN, "batch_size": 32, "augmentation": "light", "batch_norm": "train"}
    given |= {"devices": devices, "state": state, "objective": taught, "callbacks": (losses,)}
    return model, training.fine_tune(model, SPLITS.train, SPLITS.validation, IMAGE, **given)


def apart(one: Any, other: Any) -> float:
    return max(float(np.abs(np.subtract(*pair)).max()) for pair in zip(one, other, strict=True))


def compared(devices: tuple[str, ...], state: Path) -> dict[str, object]:
    alone, together = Losses(), Losses()
    (one, course), (two, shared) = fine_tuned(alone, ()), fine_tuned(together, devices)
    return {
        "alone": alone.seen,
        "together": together.seen,
        "losses": apart(alone.seen, together.seen),
        "validation": apart(course.history["val_loss"], shared.history["val_loss"]),
        "weights": apart(one.get_weights(), two.get_weights()),
        "notes": shared.notes,
        "gone_on": apart(two.get_weights(), gone_on(devices, state).get_weights()),
    }


def gone_on(devices: tuple[str, ...], state: Path) -> keras.Model:
    """The model of a training that was killed in its second epoch, and went on."""
    going_on._SHARE_OF_KEEPING = 0
    try:
        fine_tuned(Losses(steps=8), devices, state)
    except Killed:
        return fine_tuned(Losses(), devices, state)[0]
    raise AssertionError("it was not killed")


def stages_of(folder: Path, distribution: str) -> Any:
    """A recipe that prunes and trains quantisation-aware."""
    backbone = folder / "backbone.keras"
    if not backbone.is_file():
        keras.utils.set_random_seed(0)
        small_backbone().save(backbone)
    said: dict[str, Any] = {
        "recipe": "finetune_image",
        "run": {"name": distribution, "directory": str(folder), "distribution": distribution},
        "data": {**DATA, "image_size": 16, "resize": "stretch"},
        "model": {"backbone": str(backbone), "dropout": 0.0},
        "head": {"epochs": 1, "solver": "gradient"},
        "pruning": {"epochs": 1},
        "quantization": {"epochs": 1},
        "export": {"formats": ["tflite_int8"]},
    }
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps(said))
    return tfkit.run(recipe)


def recipe_compared(folder: Path) -> dict[str, object]:
    one, two = (stages_of(folder, distribution) for distribution in ("none", "data_parallel"))
    pairs = [(a, b) for a, b in zip(one.stages, two.stages, strict=True) if a.history]
    return {
        "stages": [stage.name for stage, _ in pairs],
        "losses": max(apart(a.history["loss"], b.history["loss"]) for a, b in pairs),
        "validation": max(apart(a.history["val_loss"], b.history["val_loss"]) for a, b in pairs),
        "accepted": two.accepted,
        "notes": [note for stage in two.stages for note in stage.notes],
    }


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    devices = training.training_devices("data_parallel", 32)
    found = {"fine_tune": compared(devices, folder / "state.npz"), "recipe": recipe_compared(folder)}
    sys.stdout.write(json.dumps(found))
