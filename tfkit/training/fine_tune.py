"""The second stage: the end of the backbone, or all of it, learns with a small learning rate."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

import keras

from tfkit.arguments import takes_text
from tfkit.artifacts import ImageSpec
from tfkit.errors import ModelError
from tfkit.graph import COMPARED_SAMPLES, fed, give_weights
from tfkit.inputs import calibration_inputs, named_batches
from tfkit.keras_types import Inputs
from tfkit.models import (
    Unfrozen,
    logits_model,
    low_rank_layers,
    merge_low_rank,
    save_model_file,
    statistics_that_follow,
    unfreeze,
    with_dtype_policy,
    with_low_rank,
)
from tfkit.training.distribution import DevicesTogether, refuse_together, told_devices
from tfkit.training.fitting import Progress, fit, kept_on_failure
from tfkit.training.going_on import saved_position
from tfkit.training.optimization import Aim, Optimization, aim_of
from tfkit.training.options import FineTuneOptions, Jit, Precision, StepOptions, refuse_unknown
from tfkit.training.processes import others_lost_are_told, processes_together, refuse_processes
from tfkit.training.quick_steps import narrow_convolutions, narrow_convolutions_crash
from tfkit.training.result import StageResult, count_trainable

if TYPE_CHECKING:
    import tensorflow as tf

    from tfkit.data import AugmentationPolicy, ImageExamples, Mixing


@takes_text
def fine_tune(
    model: keras.Model,
    train: ImageExamples,
    validation: ImageExamples,
    image: ImageSpec,
    *,
    optimization: Optimization,
    unfreeze_from: float | str = "all",
    batch_norm: Literal["frozen", "train"] = "frozen",
    method: Literal["all", "lora"] = "all",
    rank: int = 8,
    **options: Unpack[FineTuneOptions],
) -> StageResult:
    """Train a classifier's head together with the end of its backbone.

    Args:
        model: A classifier of `build_classifier`; trained in place, and float32 again afterwards.
        train: Training images.
        validation: Validation images; may be empty.
        image: The images the model takes.
        optimization: How to step.
        unfreeze_from: What of the backbone learns: `all`, a share counted from its end, or a layer's name.
        batch_norm: Whether the backbone's BatchNorm keeps its running statistics (`frozen`) or follows (`train`).
        method: `lora` trains low-rank updates of a vision transformer's attention, and the head, and merges them; then
            neither `unfreeze_from` nor `batch_norm` means anything. See `tfkit.models.with_low_rank`.
        rank: Of `lora`: the rank of the updates.
        **options: The keyword arguments of `train_on`.

    Returns:
        The course of the stage.

    Raises:
        ModelError: When `unfreeze_from` names nothing, a backbone for `lora` has no attention, or `jit=False` meets a
            network that oneDNN cannot train.

    Example:
        >>> plan = Optimization(epochs=1, learning_rate=1e-3)
        >>> fine_tune(model, splits.train, splits.validation, image, optimization=plan).name
        'fine_tune'
    """
    refuse_unknown("fine_tune", options, FineTuneOptions)
    if method == "lora":
        return _fine_tune_low_rank(model, train, validation, image, rank=rank, optimization=optimization, **options)
    unfrozen = unfreeze(model, unfreeze_from, batch_norm=batch_norm)
    result = train_on(model, train, validation, image, optimization=optimization, **options)
    return dataclasses.replace(result, name="fine_tune", notes=(*_notes(unfrozen), *result.notes))


def _fine_tune_low_rank(
    model: keras.Model,
    train: ImageExamples,
    validation: ImageExamples,
    image: ImageSpec,
    *,
    rank: int,
    optimization: Optimization,
    **options: Unpack[FineTuneOptions],
) -> StageResult:
    refuse_processes("fine_tune with method='lora'")
    keras.utils.set_random_seed(options.get("seed", 0))
    adapted = with_low_rank(model, rank=rank)
    result = train_on(adapted, train, validation, image, optimization=optimization, **options)
    merge_low_rank(adapted, model, calibration_inputs(train, image, count=COMPARED_SAMPLES))
    told = f"low-rank updates of rank {rank} in {len(low_rank_layers(adapted))} layers learned, and were merged"
    learned = f"{count_trainable(adapted):,} of {model.count_params():,} parameters"
    return dataclasses.replace(result, name="fine_tune", notes=(f"{told}: {learned}", *result.notes))


@takes_text
def train_on(
    model: keras.Model,
    train: ImageExamples,
    validation: ImageExamples,
    image: ImageSpec,
    *,
    optimization: Optimization,
    batch_size: int = 32,
    augmentation: AugmentationPolicy = "none",
    mixing: Mixing | None = None,
    flip: bool = True,
    seed: int = 0,
    cache_bytes: int = 1 << 30,
    **options: Unpack[StepOptions],
) -> StageResult:
    """Train a classifier as it stands: whatever of it is trainable learns.

    Args:
        model: A classifier of `build_classifier`, plain or compressed; trained in place, and float32 again
            afterwards.
        train: Training images.
        validation: Validation images; may be empty.
        image: The images the model takes.
        optimization: How to step.
        batch_size: Images in a batch.
        augmentation: Policy of the training images: `none`, `light` or `rand_augment`.
        mixing: `mixup`, `cutmix` or None.
        flip: Whether augmentation may mirror images.
        seed: Seed of shuffling, augmentation and dropout.
        cache_bytes: Decoded training images are kept in memory up to this size, otherwise decoded in every epoch.
        **options: The keyword arguments that `train_batches` takes from `precision` on.

    Returns:
        The course of the stage.

    Raises:
        ModelError: When `jit=False` meets a network that oneDNN cannot train.
        TrainingError: When several devices are given what they cannot train: see `refuse_together`.
        TypeError: When `train_batches` does not take one of the options.

    Example:
        >>> plan = Optimization(epochs=1, learning_rate=1e-3)
        >>> len(train_on(model, splits.train, splits.validation, image, optimization=plan).history["loss"])
        1
    """
    from tfkit.data import evaluation_batches, training_batches  # they start TensorFlow

    refuse_unknown("train_on", options, StepOptions)
    keras.utils.set_random_seed(seed)
    begin, others = saved_position(options.get("state")), processes_together()
    share = others.share if others.count > 1 else None
    precision = options.get("precision", "float32")
    batches = training_batches(
        train,
        image,
        batch_size=batch_size,
        augmentation=augmentation,
        mixing=mixing,
        flip=flip,
        seed=seed,
        cache_bytes=cache_bytes,
        first_epoch=begin.epoch,
        first_step=begin.step,
        share=share,
    )
    held_out = evaluation_batches(validation, image, batch_size=batch_size, cache_bytes=cache_bytes, share=share)
    return train_batches(
        model,
        named_batches(batches, image),
        named_batches(held_out, image) if len(validation) else None,
        optimization=optimization,
        steps_per_epoch=-(-len(train) // batch_size),
        aim=aim_of(optimization, train),
        inputs=None if precision == "float32" else calibration_inputs(train, image, count=COMPARED_SAMPLES),
        **options,
    )


def train_batches(
    model: keras.Model,
    batches: tf.data.Dataset,
    validation: tf.data.Dataset | None,
    *,
    optimization: Optimization,
    steps_per_epoch: int,
    aim: Aim | None = None,
    inputs: Inputs | None = None,
    precision: Precision = "float32",
    jit: Jit = "auto",
    log_directory: Path | None = None,
    checkpoint: Path | None = None,
    state: Path | None = None,
    progress: Progress | None = None,
    callbacks: tuple[keras.callbacks.Callback, ...] = (),
    objective: Callable[[keras.Model], keras.Model] | None = None,
    logits: Callable[[keras.Model], keras.Model] = logits_model,
    devices: tuple[str, ...] = (),
) -> StageResult:
    """Train a classifier of images or texts as it stands on batches that are ready: whatever is trainable learns.

    Args:
        model: A classifier that ends in a softmax, or what `logits` takes; trained in place, and float32 again
            afterwards.
        batches: A `tf.data.Dataset` of (inputs by name, targets) for each epoch, shuffled; with `state` it begins at
            its `saved_position`. Without one, a `keras.utils.PyDataset` too, whose inputs are as the model takes them.
        validation: The same for validation, in order; or None.
        optimization: How to step.
        steps_per_epoch: Batches in an epoch.
        aim: Loss, metrics and class weights; None for classes that weigh the same.
        inputs: A few real inputs that a copy in another precision is compared on with the model.
        precision: `float32`, `mixed_float16` or `mixed_bfloat16`.
        jit: Whether XLA compiles the step; `auto` does on a GPU, under JAX, and on a CPU where oneDNN would crash.
        log_directory: Where TensorBoard's scalars go.
        checkpoint: Where the model is kept after epochs, at most a twentieth of the time being spent on it, and when
            training ends or is interrupted (`.keras`).
        state: Where the training's whole state is kept (`.npz`): when the file is there, it goes on from it, and ends
            as if it had not been interrupted, to the bit on a CPU. All else must be as it was when it began.
        progress: Called after each batch with batches done, batches in all, and a text.
        callbacks: Further callbacks, such as those of `tfkit.compression`.
        objective: Gives the model that is fitted for the one that gives logits, such as a distiller around it.
        devices: Two or more that train together, of `tfkit.training.training_devices`; none for Keras's one device.
            They share each batch, so that neither the learning rate nor the number of steps changes with them. XLA
            does not compile their steps, and each draws the same dropout for its part.
        logits: Gives what of the model is fitted: a classifier's logits, or another model around it that gives some.

    Returns:
        The course of the stage.

    Raises:
        ModelError: When `jit=False` meets a network that oneDNN cannot train.
        TrainingError: When several devices are given what they cannot train: see `refuse_together`.
    """
    began, others = time.perf_counter(), processes_together()
    if devices:
        refuse_together(model, optimization)
    compiled = not devices and uses_jit(model, jit)
    with contextlib.ExitStack() as stack:
        trained = model
        stack.enter_context(others_lost_are_told(others, state))
        checkpoint = checkpoint if others.writes else None
        if devices:
            together = DevicesTogether(devices)
            stack.enter_context(together.scope())
            trained, batches = together.copy_of(model, precision, inputs), together.shared(batches)
        elif precision != "float32":
            trained = with_dtype_policy(model, precision, inputs)
        stack.enter_context(statistics_that_follow(trained, steps=optimization.epochs * steps_per_epoch))
        fitted = logits(trained)
        stack.enter_context(kept_on_failure(trained, checkpoint))
        history = fit(
            fitted if objective is None else objective(fitted),
            _fed(fitted, batches),
            None if validation is None else _fed(fitted, validation),
            optimization=optimization,
            steps_per_epoch=steps_per_epoch,
            jit_compile=compiled,
            aim=aim,
            log_directory=log_directory,
            progress=progress,
            state=state,
            callbacks=(*callbacks, *((_KeepWhileTraining(trained, checkpoint),) if checkpoint else ())),
        )
    if trained is not model:
        give_weights(model, trained.get_weights())
    notes = [] if precision == "float32" else [f"trained in {precision}; the kept model is float32"]
    notes += ["the training step was compiled by XLA"] if compiled else []
    notes += [told_devices(devices)] if devices else []
    notes += [others.told] if others.count > 1 else []
    seconds = time.perf_counter() - began
    return StageResult("train", seconds, history, tuple(notes), trainable_parameters=count_trainable(trained))


def _fed(model: keras.Model, batches: tf.data.Dataset) -> tf.data.Dataset:
    """Batches as the model takes them: its only input may have any name, or none; a PyDataset's come as they are."""
    if isinstance(batches, keras.utils.PyDataset):
        return batches
    return batches.map(lambda inputs, targets: (fed(model, inputs), targets))


_SHARE_OF_SAVING = 20  # training lasts at least so many times as long as keeping what was trained


class _KeepWhileTraining(keras.callbacks.Callback):
    """Keeps the whole model after an epoch, so that a crash costs little: an epoch, or twenty times what a save takes.

    A small model's epoch takes less time than its save; one that is interrupted is kept by `kept_on_failure`.
    """

    def __init__(self, whole: keras.Model, path: Path) -> None:
        super().__init__()
        self._whole, self._path = whole, path
        self._next = 0.0
        self._is_kept = True

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._is_kept = False
        if time.perf_counter() >= self._next:
            self._keep()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        if not self._is_kept:
            self._keep()

    def _keep(self) -> None:
        began = time.perf_counter()
        save_model_file(self._whole, self._path)
        ended = time.perf_counter()
        self._next = ended + _SHARE_OF_SAVING * (ended - began)
        self._is_kept = True


def uses_jit(model: keras.Model, jit: Jit) -> bool:
    """Whether a model's training step is compiled by XLA: where it is faster, and where oneDNN would crash.

    Args:
        model: The model.
        jit: True, False, or `auto`: on GPUs, under JAX, and for narrow convolutions on a CPU that cannot train them
            otherwise.

    Raises:
        ModelError: When False meets a network that oneDNN cannot train on this processor.

    Example:
        >>> uses_jit(model, False)
        False
    """
    if keras.backend.backend() != "tensorflow":  # JAX without compiling takes one operator after the other
        return jit is not False
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return jit is not False
    if jit is True:
        return True
    narrow = narrow_convolutions(model)
    crashes = bool(narrow) and narrow_convolutions_crash()
    if jit is False and crashes:
        raise ModelError(
            f"oneDNN crashes on this processor when it trains convolutions under 16 channels ('{narrow[0]}')",
            hint="leave fine_tune.jit out, or set the environment variable TF_ENABLE_ONEDNN_OPTS=0",
        )
    return crashes


def _notes(unfrozen: Unfrozen) -> tuple[str, ...]:
    notes = [f"{len(unfrozen.layers)} backbone layers learned, {unfrozen.trainable_parameters:,} parameters in all"]
    if unfrozen.frozen_batch_norms:
        notes.append(f"the running statistics of {unfrozen.frozen_batch_norms} BatchNorm layers stayed as they were")
    return tuple(notes)
