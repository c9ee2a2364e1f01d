"""A whole stage of quantisation-aware training by tensorflow-model-optimization."""

from typing import TYPE_CHECKING, Unpack

import keras

from tfkit.compression.calibration import is_quantize_aware
from tfkit.compression.pruning import strip_pruning
from tfkit.compression.quantization import BatchNorm
from tfkit.compression.stripping import is_compressed
from tfkit.compression.tfmot import TfKerasTwin, fit_tfmot, rebuild_in_tf_keras, tfmot_quantize_aware
from tfkit.compression.tfmot.fitting import FittingOptions
from tfkit.errors import ModelError
from tfkit.keras_types import Array

if TYPE_CHECKING:
    import tensorflow as tf


def quantize_with_tfmot(
    model: keras.Model,
    batches: "tf.data.Dataset",
    validation: "tf.data.Dataset | None",
    *,
    inputs: Array | None = None,
    batch_norm: BatchNorm = "frozen",
    **fitting: Unpack[FittingOptions],
) -> tuple[TfKerasTwin, dict[str, list[float]]]:
    """Rebuild a classifier in tf-keras, give it tfmot's quantisers, and train it.

    Args:
        model: A float Keras 3 classifier, with masks or without; it is not changed.
        batches: A `tf.data.Dataset` of (pixels, one-hot targets) for each epoch.
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
