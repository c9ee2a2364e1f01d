"""What a training stage of pruning or quantisation trains, and with which callbacks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import keras

from tfkit.compression.biases import settle_biases
from tfkit.compression.calibration import FreezeRanges, WatchRanges, is_quantize_aware
from tfkit.compression.channels import ChannelPlan, prune_channels_restored
from tfkit.compression.policy import QuantizationPolicy
from tfkit.compression.pruning import PruneWeights, check_pruning, prunable, strip_pruning
from tfkit.compression.pruning.callback import Scope
from tfkit.compression.pruning_settings import PruningSettings
from tfkit.compression.quantization import BatchNorm, quantize_aware
from tfkit.compression.stripping import is_compressed
from tfkit.compression.tfmot import TfKerasTwin, fit_tfmot, rebuild_in_tf_keras, tfmot_quantize_aware
from tfkit.compression.tfmot.fitting import FittingOptions
from tfkit.errors import ModelError
from tfkit.keras_types import Inputs
from tfkit.runtimes.protocol import input_count, only_array

if TYPE_CHECKING:
    import tensorflow as tf


class _Asked(TypedDict, total=False):
    scope: Scope
    budgets: Mapping[str, float] | None


@dataclass(frozen=True, eq=False)
class PreparedStage:
    """A model made ready for a stage of training.

    Attributes:
        model: What to train.
        callbacks: What to train it with.
        notes: What was decided, in sentences.
        finish: Call it once, when training is over and before the model is evaluated, saved or exported.
    """

    model: keras.Model
    callbacks: tuple[keras.callbacks.Callback, ...] = ()
    notes: tuple[str, ...] = ()
    finish: Callable[[], object] = lambda: None


def prepare_weight_pruning(
    model: keras.Model,
    settings: PruningSettings,
    *,
    steps: int,
    inputs: Inputs | None = None,
    log_directory: Path | None = None,
) -> PreparedStage:
    """Give a model masks, and the callback that sets them while it trains.

    Args:
        model: A float model; it is not changed.
        settings: Method `magnitude` or `n_of_m`.
        steps: Steps of the optimizer in the whole stage.
        inputs: A few real inputs that the masked model is compared on with the model.
        log_directory: Where TensorBoard's sparsity of each layer goes.

    Returns:
        The stage.

    Raises:
        ModelError: When the model cannot be pruned so.

    Example:
        >>> stage = prepare_weight_pruning(model, PruningSettings(sparsity=0.5), steps=100)
        >>> is_compressed(stage.model)
        True
    """
    masked = prunable(model, inputs, **settings.mask_options())
    schedule = settings.schedule(steps=steps)
    asked: _Asked = {}
    if settings.method == "magnitude":
        asked = {"scope": settings.scope, "budgets": settings.budgets}
    check_pruning(masked, schedule, **asked)
    note = f"{schedule.final:.0%} zeros after {schedule.end_step} of {steps} steps, then they stay where they are"
    return PreparedStage(masked, (PruneWeights(schedule, log_directory=log_directory, **asked),), (note,))


def prepare_channel_pruning(model: keras.Model, plan: ChannelPlan, pixels: Inputs) -> PreparedStage:
    """Build the narrower model of a plan.

    Args:
        model: The float model that was planned for; it is not changed.
        plan: Which channels stay.
        pixels: (n, height, width, channels), real training images, bare or by the name of the input: kernels and
            BatchNorm are fitted to them.

    Returns:
        The stage.
    """
    narrowed = sum(len(group.kept) < group.width for group in plan.groups)
    note = f"{narrowed} of {len(plan.groups)} groups of channels made narrower, ranked by {plan.criterion}"
    note += f"; the kernels behind them were fitted to {input_count(pixels)} images"
    return PreparedStage(prune_channels_restored(model, plan, pixels), (), (note,))


def prepare_quantization(
    model: keras.Model,
    calibration: Inputs,
    *,
    policy: QuantizationPolicy,
    moving_epochs: int,
    batch_norm: BatchNorm = "frozen",
    jit_compile: bool = False,
    log_directory: Path | None = None,
) -> PreparedStage:
    """Rewrite a model for quantisation-aware training, with what freezes and watches its ranges.

    Args:
        model: A float model, or one with masks; it is not changed.
        calibration: Some hundred real training examples by name: `pixels` uint8 (n, height, width, channels), which may
            come bare; or int32 `token_ids` and `padding_mask`.
        policy: Bits, and layers left in float.
        moving_epochs: Epochs in which the ranges follow a moving average.
        batch_norm: Whether BatchNorm keeps its statistics (`frozen`) or learns on (`train`).
        jit_compile: Whether the training step will be compiled by XLA.
        log_directory: Where TensorBoard's ranges and clipped shares go.

    Returns:
        The stage.

    Raises:
        ModelError: When a layer cannot be quantised.

    Example:
        >>> stage = prepare_quantization(model, pixels, policy=QuantizationPolicy(), moving_epochs=1)
        >>> is_quantize_aware(stage.model)
        True
    """
    student = quantize_aware(model, calibration, policy=policy, batch_norm=batch_norm, jit_compile=jit_compile)
    if policy.activation_bits == 32:
        return PreparedStage(student, (), ("weights rounded to int8, activations left in float",), lambda: None)
    callbacks: tuple[keras.callbacks.Callback, ...] = (FreezeRanges(after_epochs=moving_epochs),)
    if log_directory is not None:
        callbacks += (WatchRanges(student, calibration, log_directory),)
    noun = "text" if only_array(calibration) is None else "image"
    seen = f"{input_count(calibration)} training {noun}s"
    note = f"ranges set from {seen}, moving for {moving_epochs} epoch{'s' * (moving_epochs != 1)}, then frozen"
    return PreparedStage(student, callbacks, (note,), lambda: settle_biases(student))


def quantize_with_tfmot(
    model: keras.Model,
    batches: "tf.data.Dataset",
    validation: "tf.data.Dataset | None",
    *,
    inputs: Inputs | None = None,
    batch_norm: BatchNorm = "frozen",
    **fitting: Unpack[FittingOptions],
) -> tuple[TfKerasTwin, dict[str, list[float]]]:
    """Rebuild a classifier in tf-keras, give it tfmot's quantisers, and train it.

    Args:
        model: A float Keras 3 classifier, with masks or without; it is not changed.
        batches: A `tf.data.Dataset` of (pixels, by name or bare, one-hot targets) for each epoch.
        validation: The same for validation, or None.
        inputs: A few real images that the twin is compared on with the model, (n, height, width, channels), 0..255.
        batch_norm: Whether BatchNorm keeps its statistics (`frozen`) or follows (`train`).
        **fitting: The keyword arguments of `fit_tfmot`.

    Returns:
        The quantised twin, which `tfkit.exporters` takes for the int8 file, and one value per epoch of each metric.

    Raises:
        ModelError: When the model is quantised already, or tfmot cannot take a layer.
    """
    if is_quantize_aware(model):
        raise ModelError(f"'{model.name}' is quantised already", hint="start from its float model")
    masked = is_compressed(model)
    plain = strip_pruning(model) if masked else model
    twin = tfmot_quantize_aware(
        rebuild_in_tf_keras(plain, inputs, batch_norm=batch_norm), preserve="sparsity" if masked else None
    )
    return twin, fit_tfmot(twin, batches, validation, **fitting)
