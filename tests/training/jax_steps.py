"""Trains small models under JAX and prints what came out, as JSON: run by test_jax_steps.py with KERAS_BACKEND=jax."""

import contextlib
import json
import sys
import threading
from typing import Any

import keras
import numpy as np

from tfkit.artifacts import ImageSpec
from tfkit.errors import TrainingError
from tfkit.models import build_backbone, build_classifier
from tfkit.training import Optimization, train_batches
from tfkit.training.quick_steps import quick_steps

IMAGE = ImageSpec(8, 8, 3)


class Batches(keras.utils.PyDataset):
    """Six batches of four; one pixel of batch `spoilt` is NaN."""

    def __init__(self, spoilt: int | None = None) -> None:
        super().__init__()
        random = np.random.default_rng(1)
        self._pixels = random.uniform(0, 255, (6, 4, *IMAGE.shape)).astype(np.float32)
        self._targets = np.eye(3, dtype=np.float32)[random.integers(0, 3, (6, 4))]
        if spoilt is not None:
            self._pixels[spoilt, 0, 0, 0, 0] = np.nan

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Any:
        return self._pixels[index], self._targets[index]


class Threads(keras.callbacks.Callback):
    """Which threads learn of a step's end."""

    async_safe = True

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[int] = set()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.seen.add(threading.get_ident())


def small() -> keras.Model:
    keras.utils.set_random_seed(1)
    return build_classifier(build_backbone("resnet8", image=IMAGE, weights="random"), classes=3)


def stopped(spoilt: int) -> dict[str, Any]:
    model = small()
    before = model.get_weights()
    try:
        train_batches(
            model, Batches(spoilt), None, optimization=Optimization(epochs=2, learning_rate=1e-3), steps_per_epoch=6
        )
    except TrainingError as fault:
        same = all(np.array_equal(one, other) for one, other in zip(before, model.get_weights(), strict=True))
        return {"fault": str(fault), "restored": same}
    return {"fault": "", "restored": False}


def trained() -> dict[str, Any]:
    model, twin, threads, told = small(), small(), Threads(), []
    plan = Optimization(epochs=2, learning_rate=1e-2, optimizer="sgd")

    def progress(done: int, total: int, text: str) -> None:
        told.append((threading.get_ident() == threading.main_thread().ident, done, total))

    train_batches(model, Batches(), None, optimization=plan, steps_per_epoch=6, callbacks=(threads,), progress=progress)
    optimizer = keras.optimizers.SGD(1e-2, momentum=0.9, nesterov=True)
    twin.compile(optimizer, keras.losses.CategoricalCrossentropy())
    twin.fit(Batches(), epochs=2, shuffle=False, verbose=0)
    apart = [
        float(np.abs(one - other).max()) for one, other in zip(model.get_weights(), twin.get_weights(), strict=True)
    ]
    return {
        "elsewhere": threading.main_thread().ident not in threads.seen and bool(threads.seen),
        "told_here": all(here for here, _, _ in told),
        "done": [done for _, done, _ in told],
        "apart": max(apart),
        "own_again": all("_moments" not in vars(layer) for layer in model._flatten_layers()),
    }


def looked_up() -> dict[str, Any]:
    """A text model with a table of two rows, in bfloat16 and float32: Keras's lookup and the one of `quick_steps`."""

    def weights(dtype: str, *, quick: bool) -> Any:
        keras.utils.set_random_seed(2)
        ids = keras.Input((5,), dtype="int32")
        x = keras.layers.Embedding(2, 8, dtype=dtype, name="table")(ids)
        model = keras.Model(ids, keras.layers.Dense(3, dtype="float32")(keras.layers.GlobalAveragePooling1D()(x)))
        model.compile(keras.optimizers.SGD(0.1), "mse")
        random = np.random.default_rng(2)
        given, targets = random.integers(0, 2, (16, 5)), random.normal(size=(16, 3))
        with quick_steps(model) if quick else contextlib.nullcontext():
            first = np.asarray(model.get_layer("table")(given), np.float32)
            model.fit(given, targets, batch_size=8, epochs=2, shuffle=False, verbose=0)
        return first, model.get_layer("table").get_weights()[0]

    result: dict[str, Any] = {}
    for dtype in ("float32", "mixed_bfloat16"):
        (keras_rows, keras_after), (rows, after) = weights(dtype, quick=False), weights(dtype, quick=True)
        result[dtype] = {
            "equal": bool(np.array_equal(keras_rows, rows)),
            "apart": float(np.abs(keras_after - after).max()),
        }
    return result


if __name__ == "__main__":
    results = {"second": stopped(1), "last": stopped(5), "trained": trained(), "looked_up": looked_up()}
    sys.stdout.write(f"{json.dumps(results)}\n")
