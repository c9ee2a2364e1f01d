"""A loss that is no number ends the training, and the last good weights come back and are kept."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfkit.errors import ModelError, TrainingError
from tfkit.models import load_model_file, weight_that_is_no_number
from tfkit.training import Optimization, fine_tune, train_batches, train_head


class _Spoil(keras.callbacks.Callback):
    """Makes one kernel NaN when an epoch ends or begins."""

    def __init__(self, whole: keras.Model, *, after: int, at_end: bool) -> None:
        super().__init__()
        self._whole, self._after, self._at_end = whole, after, at_end

    def _spoil(self) -> None:
        kernel = self._whole.get_layer("stem_conv").kernel
        kernel.assign(np.full(kernel.shape, np.nan))

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if epoch == self._after and not self._at_end:
            self._spoil()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if self._at_end and batch == 2:  # the last of an epoch of 108 images in batches of 40
            self._spoil()


def test_a_learning_rate_that_explodes_is_named(model, digits, image, tmp_path: Path) -> None:
    kept = tmp_path / "fine_tune.keras"
    plan = Optimization(epochs=3, learning_rate=1e30)
    with pytest.raises(TrainingError, match=r"epoch 1.*learning rate of 1e\+30") as fault:
        fine_tune(model, digits.train, digits.validation, image, optimization=plan, checkpoint=kept)
    assert "learning_rate" in fault.value.hint
    assert weight_that_is_no_number(model) is None
    assert weight_that_is_no_number(load_model_file(kept)) is None


def test_a_head_that_explodes_is_named(model, digits, image) -> None:
    plan = Optimization(epochs=30, learning_rate=1e38, optimizer="sgd")
    with pytest.raises(TrainingError, match="learning rate"):
        train_head(model, digits.train, digits.validation, image, optimization=plan)
    assert weight_that_is_no_number(model) is None


@pytest.mark.parametrize("at_end", [False, True])
def test_the_weights_of_the_last_good_epoch_are_kept(model, digits, image, tmp_path: Path, at_end: bool) -> None:
    kept = tmp_path / "fine_tune.keras"
    plan = Optimization(epochs=3, learning_rate=1e-3)
    began = np.copy(model.get_layer("stem_conv").kernel)
    spoil = _Spoil(model, after=1, at_end=at_end)
    options = {"optimization": plan, "batch_size": 40, "checkpoint": kept, "callbacks": (spoil,)}
    with pytest.raises(TrainingError):
        fine_tune(model, digits.train, digits.validation, image, **options)
    found = load_model_file(kept).get_layer("stem_conv").kernel
    assert np.isfinite(found).all()
    assert np.array_equal(found, model.get_layer("stem_conv").kernel)
    assert np.array_equal(found, began) == at_end  # spoilt in the first epoch: nothing learnt is good


def test_weights_that_are_no_numbers_before_training_are_named(model, digits, image) -> None:
    kernel = model.get_layer("stem_conv").kernel
    kernel.assign(np.full(kernel.shape, np.inf))
    with pytest.raises(ModelError, match="stem_conv/kernel"):
        fine_tune(model, digits.train, digits.validation, image, optimization=Optimization(epochs=1, learning_rate=1.0))


@pytest.mark.parametrize("step", [2, pytest.param(3, marks=pytest.mark.slow)])  # in an epoch, and the last of it
def test_the_first_step_whose_loss_is_no_number_is_named(model, image, step: int) -> None:
    pixels = np.zeros((12, *image.shape), np.float32)
    pixels[4 * step - 1] = np.nan
    targets = np.eye(3, dtype=np.float32)[np.arange(12) % 3]
    batches = tf.data.Dataset.from_tensor_slices((pixels, targets)).batch(4)
    plan = Optimization(epochs=2, learning_rate=1e-3)
    with pytest.raises(TrainingError, match=f"at step {step} of epoch 1"):
        train_batches(model, batches, None, optimization=plan, steps_per_epoch=3)
