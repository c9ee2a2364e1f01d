"""Run by `test_processes` under JAX: one process of a training, alone or as one of several.

`one_process.py FOLDER EPOCHS`; the losses of each step go to standard output, as JSON, when the training is over.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfkit import models, training
from tfkit.artifacts import ImageSpec
from tfkit.data import load_image_splits
from tfkit.errors import TrainingError
from tfkit.training import Optimization, going_on

IMAGE = ImageSpec(16, 16, 1, "stretch")


class Losses(keras.callbacks.Callback):
    """Notes and says the loss of each step; stands still after a number of them, for a test that kills."""

    def __init__(self, stop_after: int) -> None:
        super().__init__()
        self.seen: list[float] = []
        self._stop_after = stop_after

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.seen.append(float((logs or {})["loss"]))
        sys.stderr.write(f"loss {self.seen[-1]}\n")
        if len(self.seen) == self._stop_after:
            time.sleep(3600)


def classifier() -> keras.Model:
    pixels = keras.Input(IMAGE.shape, name="pixels")
    maps = keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    maps = keras.layers.Conv2D(16, 3, strides=2, use_bias=False, name="conv")(maps)
    maps = keras.layers.ReLU()(keras.layers.BatchNormalization()(maps))
    return models.build_classifier(keras.Model(pixels, maps), classes=3, dropout=0.0)


def train(folder: Path, epochs: int, stop_after: int) -> dict[str, Any]:
    if "KERAS_DISTRIBUTION_PROCESS_ID" in os.environ:
        training.join_processes()
    keras.utils.set_random_seed(0)
    model, losses = classifier(), Losses(stop_after)
    data = load_image_splits(source="digits", classes=("0", "1", "2"), labels_per_class=64, seed=0, channels=1)
    going_on._SHARE_OF_KEEPING = 0
    course = training.fine_tune(
        model,
        data.train,
        data.validation.select(np.arange(40)),
        IMAGE,
        optimization=Optimization(epochs=epochs, learning_rate=1e-2, optimizer="sgd"),
        batch_size=32,
        batch_norm="train",
        augmentation="light",
        cache_bytes=0,  # each process reads its own share of each batch alone
        callbacks=(losses,),
        state=folder / "state.npz",
        checkpoint=folder / "model.keras",
    )
    weights = [weight.ravel().tolist() for weight in model.get_weights()]
    return {"losses": losses.seen, "history": course.history, "weights": weights, "notes": course.notes}


if __name__ == "__main__":
    try:
        found = train(Path(sys.argv[1]), int(sys.argv[2]), int(os.environ.get("STOP_AFTER", "0")))
    except TrainingError as fault:
        sys.exit(f"error: {fault}\nhint: {fault.hint}")
    sys.stdout.write(json.dumps(found))
