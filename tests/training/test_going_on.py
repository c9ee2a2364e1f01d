"""A training that was killed goes on from its state, and its weights are those of one that was not, to the bit."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from tfkit.errors import TrainingError
from tfkit.training import Optimization, StageResult, fine_tune, going_on, train_on
from tfkit.training.going_on import Position, saved_position

# 120 images in batches of 16: eight in an epoch, the last one half full.
SHARED = {"batch_size": 16, "augmentation": "light", "mixing": "mixup", "seed": 5}
PLANS = {
    "plain": Optimization(epochs=3, learning_rate=1e-2, optimizer="adamw", schedule="cosine", warmup=0.1),
    "average": Optimization(epochs=3, learning_rate=1e-2, ema=0.9, early_stopping=1),
    "accumulated": Optimization(epochs=3, learning_rate=1e-2, optimizer="sgd", gradient_accumulation=3),
}
Train = Callable[..., tuple[keras.Model, StageResult]]


class Killed(BaseException):
    """Stands for SIGKILL: nothing of tfkit catches it."""


class KillAfter(keras.callbacks.Callback):
    """Ends the process's training after so many batches."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self._left = batches

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        if not self._left:
            raise Killed
        self._left -= 1


@pytest.fixture
def _every_state_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(going_on, "_SHARE_OF_KEEPING", 0)


def equal(one: keras.Model, other: keras.Model) -> bool:
    return all(np.array_equal(*pair) for pair in zip(one.get_weights(), other.get_weights(), strict=True))


def same(train: Train, state: Path, *, kills: tuple[int, ...]) -> None:
    """Train whole; then killed after so many batches, again and again, and to the end."""
    whole, course = train()
    for batches in kills:
        with pytest.raises(Killed):
            train(state=state, callbacks=(KillAfter(batches),))
    assert saved_position(state) == Position(*divmod(sum(kills), 8))
    again, end = train(state=state)
    assert end.history == course.history and equal(whole, again)
    loaded, told = train(state=state)  # the state of a training that is over gives its end
    assert told.history == course.history and equal(whole, loaded)


@pytest.fixture
def small_model() -> Callable[[], keras.Model]:
    """Makes a classifier of the digits that is compiled in no time; it drops, and counts."""

    def made() -> keras.Model:
        keras.utils.set_random_seed(7)
        pixels = keras.Input((16, 16, 1), name="pixels")
        values = keras.layers.Dense(8, "relu")(keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(pixels)))
        values = keras.layers.Dropout(0.3)(keras.layers.BatchNormalization()(values))
        return keras.Model(pixels, keras.layers.Softmax(name="scores")(keras.layers.Dense(3, name="logits")(values)))

    return made


# Augmentation takes seconds to be made into a graph.
QUICK = {"batch_size": 16, "seed": 5}


@pytest.mark.usefixtures("_every_state_is_kept")
def test_training_goes_on_with_the_next_batch(small_model, digits, image, tmp_path: Path) -> None:
    def train(**options: object) -> tuple[keras.Model, StageResult]:
        model, given = small_model(), QUICK | {"optimization": PLANS["average"]}
        return model, train_on(model, digits.train, digits.validation, image, **given, **options)

    same(train, tmp_path / "state.npz", kills=(11,))


@pytest.mark.slow
@pytest.mark.usefixtures("_every_state_is_kept")
@pytest.mark.parametrize(("plan", "kills"), [("plain", (3,)), ("average", (9, 4)), ("accumulated", (8, 7))])
def test_a_network_goes_on(plan, kills, another_model, digits, image, tmp_path: Path) -> None:
    def train(**options: object) -> tuple[keras.Model, StageResult]:
        model, given = another_model(), SHARED | {"optimization": PLANS[plan], "batch_norm": "train"}
        return model, fine_tune(model, digits.train, digits.validation, image, **given, **options)

    same(train, tmp_path / "state.npz", kills=kills)


def test_a_state_that_is_half_there_is_no_state(tmp_path: Path) -> None:
    state = tmp_path / "state.npz"
    np.savez(state, told=np.zeros(3))
    state.write_bytes(state.read_bytes()[:100])
    assert saved_position(state) == Position()


@pytest.mark.usefixtures("_every_state_is_kept")
def test_the_state_of_another_model_is_refused(small_model, digits, image, tmp_path: Path) -> None:
    given = QUICK | {"optimization": PLANS["plain"], "state": tmp_path / "state.npz"}
    with pytest.raises(Killed):
        train_on(small_model(), digits.train, digits.validation, image, **given, callbacks=(KillAfter(2),))
    pixels = keras.Input((16, 16, 1), name="pixels")
    logits = keras.layers.Dense(3, name="logits")(keras.layers.Flatten()(pixels))
    other = keras.Model(pixels, keras.layers.Softmax(name="scores")(logits))
    with pytest.raises(TrainingError, match="another training"):
        train_on(other, digits.train, digits.validation, image, **given)


class Press(keras.callbacks.Callback):
    """Sends a signal to this process while a batch of the second epoch is under way."""

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        if (self._epoch, batch) == (1, 3):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.usefixtures("ctrl_c_is_heard")
def test_an_interruption_keeps_the_state_after_its_batch(small_model, digits, image, tmp_path: Path) -> None:
    given = QUICK | {"optimization": PLANS["plain"], "state": tmp_path / "state.npz"}
    with pytest.raises(KeyboardInterrupt):
        train_on(small_model(), digits.train, digits.validation, image, **given, callbacks=(Press(),))
    assert saved_position(tmp_path / "state.npz") == Position(1, 4)
