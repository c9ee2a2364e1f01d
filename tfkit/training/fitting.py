"""The one place that calls Keras `fit`: loss, metrics, callbacks and the history of a stage."""

import contextlib
import math
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from tfkit.errors import ModelError, TrainingError
from tfkit.keras_types import Array
from tfkit.models import save_model_file, weight_that_is_no_number
from tfkit.training.distribution import built_beforehand
from tfkit.training.going_on import fit_on
from tfkit.training.optimization import Aim, Optimization, build_optimizer, plain_aim
from tfkit.training.processes import processes_together
from tfkit.training.quick_steps import quick_steps

if TYPE_CHECKING:
    import tensorflow as tf


_HINT = (
    "lower this stage's learning_rate (a tenth of it, say) or let it rise slowly with warmup; if it stays so, look for "
    "odd examples, a large class weight or a backbone whose own weights are no numbers"
)


# Steps that may be under way when the next one is prepared, and seconds after which it is prepared all the same: a
# device that fails while it computes never tells a step's loss, and Keras raises the fault with the next step.
_UNDER_WAY, _PATIENCE = 2, 5.0


class StopAtNoNumber(keras.callbacks.Callback):
    """Ends `fit` at the first loss that is NaN or infinite; the weights of the last good epoch come back first.

    The loss of a step is computed before its weights move, so that weights are looked at after each epoch too: a last
    step that spoilt them is found before anything is saved. Put it in front of the callbacks that save.

    Keras makes numbers of a step's figures before it shows them to a callback, and so waits for the device after each
    step, unless every callback may be called from another thread (`async_safe`). Under JAX this one may: it notes the
    figures there and acts in the thread of `fit` before a later step, the third at the latest. So the host prepares
    steps while the device computes, but no more than two ahead, whose batches fill its memory.

    Raises:
        TrainingError: From `fit`; names the step, the epoch and the learning rate.
        ModelError: From `fit`, when the weights are no numbers before the first step.
    """

    async_safe = keras.backend.backend() == "jax"

    def __init__(self) -> None:
        super().__init__()
        self._good: list[Array] = []
        self._epoch, self._good_at, self._batches_before = 0, "", 0
        self._noted = threading.Condition()
        self._done = 0  # steps of this epoch whose loss is known
        self._bad: tuple[int, float] | None = None  # the first of them whose loss is no number

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._good, self._good_at, self._batches_before = self.model.get_weights(), "those it began with", 0
        if (name := weight_that_is_no_number(self.model)) is not None:
            raise ModelError(
                f"weights '{name}' of '{self.model.name}' hold values that are no numbers before its training",
                hint="start from another model.backbone or model.weights",
            )

    def go_on(self, batches: int, of_epoch: int) -> None:
        self._good, self._good_at = self.model.get_weights(), f"those after {batches} batches"
        self._batches_before = of_epoch

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._epoch, self._done, self._bad = epoch, 0, None

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        with self._noted:
            self._noted.wait_for(lambda: self._done >= self._due(batch), timeout=_PATIENCE)
        self._stop_at_bad()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        loss = float((logs or {}).get("loss", 0.0))
        with self._noted:
            self._done += 1
            if not math.isfinite(loss) and (self._bad is None or batch < self._bad[0]):
                self._bad = batch, loss
            self._noted.notify_all()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._stop_at_bad()
        for name in ("loss", "val_loss"):
            if not math.isfinite((logs or {}).get(name, 0.0)):
                self._stop(f"{name} is no finite number ({float((logs or {})[name])}) at the end of epoch {epoch + 1}")
        if (name_of := weight_that_is_no_number(self.model)) is not None:
            self._stop(f"weights '{name_of}' are no numbers at the end of epoch {epoch + 1}")
        self._good, self._good_at, self._batches_before = self.model.get_weights(), f"those after epoch {epoch + 1}", 0

    def _due(self, batch: int) -> int:
        """Steps whose loss must be known before a step begins; with a bad one all up to it, as threads may overtake."""
        return batch - _UNDER_WAY if self._bad is None else self._bad[0] + 1

    def _stop_at_bad(self) -> None:
        if self._bad is not None:
            batch, loss = self._bad
            step = self._batches_before + batch + 1
            self._stop(f"the loss is no finite number ({loss}) at step {step} of epoch {self._epoch + 1}")

    def _stop(self, what: str) -> None:
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        self.model.set_weights(self._good)
        told = f"{what}, with a learning rate of {rate:.3g}; the weights are again {self._good_at}"
        raise TrainingError(told, hint=_HINT)


# done, total, what is being done
Progress = Callable[[int, int, str], None]


def fit(
    model: keras.Model,
    batches: "tf.data.Dataset",
    validation: "tf.data.Dataset | None",
    *,
    optimization: Optimization,
    steps_per_epoch: int,
    jit_compile: bool,
    aim: Aim | None = None,
    log_directory: Path | None = None,
    progress: Progress | None = None,
    callbacks: tuple[keras.callbacks.Callback, ...] = (),
    state: Path | None = None,
) -> dict[str, list[float]]:
    """Train a model that gives logits with Keras `fit`.

    Args:
        model: From batches of inputs to logits (n, classes); trained in place.
        batches: A `tf.data.Dataset` of (inputs, one-hot targets) for each epoch, shuffled.
        validation: The same for validation, in order; or None.
        optimization: How to step.
        steps_per_epoch: Batches in one pass over the training images.
        jit_compile: Whether XLA compiles the step.
        aim: Loss, metrics and class weights; None for classes that weigh the same.
        log_directory: Where TensorBoard's scalars go; None for none.
        progress: Called after every batch with batches done, batches in all, and a text.
        callbacks: Further callbacks.
        state: Where the training's whole state is kept every now and then (`.npz`), at most a twentieth of the time
            being spent on it. When it is there already, the training goes on from it; `batches` must then begin at its
            `saved_position`, and everything else be as it was.

    Returns:
        One value per epoch: `loss`, the metrics (of classes `accuracy`), the same with `val_`, and `learning_rate`.

    Raises:
        TrainingError: At the first loss that is no number; the model has its last good weights again.
    """
    others = processes_together()
    if others.count > 1:
        batches, validation = others.part_of(batches), validation and others.part_of(validation)
        log_directory = log_directory if others.writes else None
    optimizer = build_optimizer(optimization, steps=steps_per_epoch * optimization.epochs)
    if _computes_in_float16(model):  # Keras scales by the model's own policy, which a mixed model's logits lack
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    aim = aim or plain_aim(optimization)
    model.compile(optimizer=optimizer, loss=aim.loss, metrics=list(aim.metrics), jit_compile=jit_compile)
    rates = _LearningRate()
    # The average goes in first, so that what is validated, kept and compared is what will be shipped.
    averaging = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if optimization.ema is not None else []
    watching = [*averaging, StopAtNoNumber(), *callbacks, rates]
    if optimization.early_stopping is not None and validation is not None:
        watching.append(
            keras.callbacks.EarlyStopping("val_loss", patience=optimization.early_stopping, restore_best_weights=True)
        )
    if log_directory is not None:
        watching.append(keras.callbacks.TensorBoard(log_directory, write_graph=False))
    if progress is not None:
        watching.append(_ReportProgress(progress, steps_per_epoch, optimization.epochs))
    given: dict[str, Any] = {"epochs": optimization.epochs, "callbacks": watching, "validation_data": validation}
    given |= {"class_weight": aim.class_weight, "verbose": 0, "shuffle": False}  # the batches are shuffled already
    with quick_steps(model), built_beforehand(model, batches):
        if state is None:
            history = model.fit(batches, **given).history
        else:
            given |= {"steps_per_epoch": steps_per_epoch, "metrics": aim.metrics, "rates": rates.rates}
            history = fit_on(model, batches, state, **given)
    numbers = {name: [float(value) for value in values] for name, values in history.items()}
    return {**numbers, "learning_rate": rates.rates}


def _computes_in_float16(model: keras.Model) -> bool:
    return any(layer.compute_dtype == "float16" for layer in model._flatten_layers())


@contextlib.contextmanager
def kept_on_failure(model: keras.Model, path: Path | None) -> Iterator[None]:
    """Save a model when its training is interrupted by Ctrl-C, a full disk, a bad file, lack of
    memory or a loss that is no number, then let the fault go on.

    Args:
        model: The model in training.
        path: Where to save it (`.keras`); None to save nothing.
    """
    try:
        yield
    except _faults():
        if path is not None:
            save_model_file(model, path)
        raise


def _faults() -> tuple[type[BaseException], ...]:
    """What may end a training: of a backend that was never loaded, nothing can come."""
    faults: list[type[BaseException]] = [KeyboardInterrupt, OSError, MemoryError, TrainingError]
    if (tensorflow := sys.modules.get("tensorflow")) is not None:
        faults.append(tensorflow.errors.OpError)
    if (jax := sys.modules.get("jax")) is not None:
        faults.append(jax.errors.JaxRuntimeError)
    return tuple(faults)


class _LearningRate(keras.callbacks.Callback):
    """Keeps the learning rate at the end of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.rates: list[float] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.rates.append(float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)))


class _ReportProgress(keras.callbacks.Callback):
    """Tells how many batches are done and the last one's figures, in the thread of `fit`; see `StopAtNoNumber`."""

    async_safe = StopAtNoNumber.async_safe

    def __init__(self, progress: Progress, steps_per_epoch: int, epochs: int) -> None:
        super().__init__()
        self._progress, self._steps, self._epochs = progress, steps_per_epoch, epochs
        self._epoch, self._batches_before = 0, 0
        self._last: tuple[int, dict[str, float]] = 0, {}  # batches done, and the figures of the last of them
        self._told = 0

    def go_on(self, batches: int, of_epoch: int) -> None:
        self._batches_before = of_epoch

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._epoch, self._last, self._told = epoch, (0, {}), 0

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        done, figures = self._last
        if done > self._told:
            self._report(min(self._batches_before + done, self._steps), figures)
            self._told = done

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if batch >= self._last[0]:
            self._last = batch + 1, logs or {}

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._report(self._steps, logs or {})
        self._batches_before = 0

    def _report(self, batches: int, logs: dict[str, float]) -> None:
        shown = {name: name for name in logs if not name.startswith("val_")}
        shown |= {f"val_{name}": "validation" for name in shown if name != "loss"}
        figures = [f"{name} {logs[key]:.3f}" for key, name in shown.items() if key in logs]
        text = ", ".join([f"epoch {self._epoch + 1}/{self._epochs}", *figures])
        self._progress(self._epoch * self._steps + batches, self._steps * self._epochs, text)
