"""Train a twin with tf-keras `fit`: the same optimizers, schedules and loss as tfkit's own stages."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Required, TypedDict

from tfkit.compression.tfmot.exporting import fix_input_range
from tfkit.compression.tfmot.sparsity import is_pruned
from tfkit.compression.tfmot.twin import TfKerasTwin, load_tf_keras, load_tfmot
from tfkit.errors import TrainingError
from tfkit.keras_types import Logs
from tfkit.runtimes.protocol import only_array

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras

OptimizerName = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "cosine"]
# done, total, what is being done
Progress = Callable[[int, int, str], None]


class FittingOptions(TypedDict, total=False):
    """The keyword arguments of `fit_tfmot`; see there."""

    epochs: Required[int]
    learning_rate: Required[float]
    steps_per_epoch: Required[int]
    optimizer: OptimizerName
    weight_decay: float
    schedule: Schedule
    warmup: float
    label_smoothing: float
    class_weight: dict[int, float] | None
    jit_compile: bool
    log_directory: Path | None
    progress: Progress | None


def fit_tfmot(
    twin: TfKerasTwin,
    batches: "tf.data.Dataset",
    validation: "tf.data.Dataset | None",
    *,
    epochs: int,
    learning_rate: float,
    steps_per_epoch: int,
    optimizer: OptimizerName = "adam",
    weight_decay: float = 0.0,
    schedule: Schedule = "constant",
    warmup: float = 0.0,
    label_smoothing: float = 0.0,
    class_weight: dict[int, float] | None = None,
    jit_compile: bool = False,
    log_directory: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, list[float]]:
    """Train a twin: float, quantised, pruned or clustered.

    A twin that ends in a softmax is trained on the logits before it, as tfkit's own stages are.

    Args:
        twin: What to train; its weights change.
        batches: A `tf.data.Dataset` of (pixels in 0..255, one-hot targets) for each epoch, shuffled: what
            `tfkit.data.training_batches` gives, or the same with pixels by name. Rescaling is done here.
        validation: The same for validation, in order; or None.
        epochs: Passes over the training images.
        learning_rate: Peak learning rate.
        steps_per_epoch: Batches in one pass.
        optimizer: `adam`, `adamw` or `sgd` (with Nesterov momentum 0.9).
        weight_decay: Decoupled weight decay.
        schedule: `constant`, or `cosine` down to 0.
        warmup: Share of the steps over which the learning rate rises linearly from 0, in [0, 1).
        label_smoothing: Share of the target spread over all classes.
        class_weight: Weight by class index.
        jit_compile: Whether XLA compiles the step. Needed on processors where oneDNN crashes on convolutions under
            16 channels (`tfkit.training.narrow_convolutions_crash`).
        log_directory: Where TensorBoard's scalars go; None for none.
        progress: Called after every batch with batches done, batches in all, and a text.

    Returns:
        One value per epoch: `loss`, `accuracy`, `val_loss`, `val_accuracy`, `learning_rate`.

    Raises:
        TrainingError: At the first loss that is no number; the twin has its last good weights again.
    """
    tf_keras = load_tf_keras()
    model, from_logits = _logits_model(twin.model)
    steps = steps_per_epoch * epochs
    rate = _learning_rate(learning_rate, schedule=schedule, warmup_steps=round(warmup * steps), steps=steps)
    model.compile(
        optimizer=_optimizer(optimizer, rate, weight_decay),
        loss=tf_keras.losses.CategoricalCrossentropy(from_logits=from_logits, label_smoothing=label_smoothing),
        metrics=[tf_keras.metrics.CategoricalAccuracy(name="accuracy")],
        jit_compile=jit_compile,
    )
    rates: list[float] = []
    history = model.fit(
        _rescaled(batches, twin),
        validation_data=None if validation is None else _rescaled(validation, twin),
        epochs=epochs,
        class_weight=class_weight,
        callbacks=_callbacks(twin, model, rate, rates, log_directory, progress, (steps_per_epoch, epochs)),
        verbose=0,
        shuffle=False,  # the batches are shuffled already
    )
    # The input quantiser follows what it sees; a pixel's range is known.
    fix_input_range(twin)
    numbers = {name: [float(value) for value in values] for name, values in history.history.items()}
    return {**numbers, "learning_rate": rates}


def _logits_model(model: "tf_keras.Model") -> tuple["tf_keras.Model", bool]:
    """The model up to its logits, sharing its layers, and whether these are logits."""
    last = model.get_layer(model.output_names[0])
    wrapped = getattr(last, "layer", last)
    kind = type(wrapped).__name__
    activation = getattr(getattr(wrapped, "activation", None), "__name__", None)
    if kind == "Softmax" or (kind == "Activation" and activation == "softmax"):
        return load_tf_keras().Model(model.inputs, last.input, name=model.name), True
    fused = getattr(wrapped, "activation", None)
    # tfmot wraps a layer's activation in an object that knows the original.
    name = getattr(getattr(fused, "activation", fused), "__name__", None)
    return model, name != "softmax"


def _learning_rate(
    peak: float, *, schedule: Schedule, warmup_steps: int, steps: int
) -> "float | tf_keras.optimizers.schedules.LearningRateSchedule":
    schedules = load_tf_keras().optimizers.schedules
    if schedule == "cosine":
        return schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup_steps else peak,
            decay_steps=max(1, steps - warmup_steps),
            warmup_target=peak if warmup_steps else None,
            warmup_steps=warmup_steps,
        )
    if warmup_steps:
        return schedules.PolynomialDecay(initial_learning_rate=0.0, decay_steps=warmup_steps, end_learning_rate=peak)
    return peak


def _optimizer(
    name: OptimizerName, rate: "float | tf_keras.optimizers.schedules.LearningRateSchedule", weight_decay: float
) -> "tf_keras.optimizers.Optimizer":
    optimizers = load_tf_keras().optimizers
    options = {"learning_rate": rate} | ({"weight_decay": weight_decay} if weight_decay else {})
    if name == "sgd":
        return optimizers.SGD(momentum=0.9, nesterov=True, **options)
    return {"adam": optimizers.Adam, "adamw": optimizers.AdamW}[name](**options)


def _rescaled(batches: "tf.data.Dataset", twin: TfKerasTwin) -> "tf.data.Dataset":
    return batches.map(lambda inputs, *rest: (twin.rescale(only_array(inputs)), *rest))


def _callbacks(
    twin: TfKerasTwin,
    model: "tf_keras.Model",
    rate: "float | tf_keras.optimizers.schedules.LearningRateSchedule",
    rates: list[float],
    log_directory: Path | None,
    progress: Progress | None,
    extent: tuple[int, int],
) -> list["tf_keras.callbacks.Callback"]:
    callbacks = load_tf_keras().callbacks

    def keep_rate(epoch: int, logs: Logs) -> None:
        done = model.optimizer.iterations
        rates.append(float(rate(done) if callable(rate) else rate))

    watching = [_stop_at_no_number(model), callbacks.LambdaCallback(on_epoch_end=keep_rate)]
    if is_pruned(twin):
        watching.append(load_tfmot().sparsity.keras.UpdatePruningStep())
    if log_directory is not None:
        watching.append(callbacks.TensorBoard(str(log_directory), write_graph=False))
    if progress is not None:
        steps, epochs = extent

        def report(batch: int, logs: Logs) -> None:
            done = int(model.optimizer.iterations.numpy())
            text = f"epoch {min((done - 1) // steps + 1, epochs)}/{epochs}, loss {logs['loss']:.3f}"
            progress(min(done, steps * epochs), steps * epochs, text)

        watching.append(callbacks.LambdaCallback(on_train_batch_end=report))
    return watching


def _stop_at_no_number(model: "tf_keras.Model") -> "tf_keras.callbacks.Callback":
    good = [model.get_weights()]

    def look(batch: int, logs: Logs) -> None:
        if not math.isfinite(logs["loss"]):
            step, rate = int(model.optimizer.iterations.numpy()), float(model.optimizer.lr.numpy())
            model.set_weights(good[0])
            raise TrainingError(
                f"the loss is no number ({float(logs['loss'])}) at step {step}, with a learning rate of {rate:.3g}",
                hint="lower the stage's learning_rate, or let it rise slowly with warmup",
            )

    def keep(epoch: int, logs: Logs) -> None:
        good[0] = model.get_weights()

    return load_tf_keras().callbacks.LambdaCallback(on_train_batch_end=look, on_epoch_end=keep)
