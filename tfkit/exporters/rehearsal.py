"""Export a model before it is trained: what no file can hold is told in seconds, not after hours of training."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np

from tfkit import compression
from tfkit.artifacts import InputSpec, TaskName, TextSpec
from tfkit.exporters.formats import export_formats
from tfkit.exporters.metadata import bert_vocabulary
from tfkit.keras_types import Inputs
from tfkit.models import text as text_models

if TYPE_CHECKING:
    from tfkit.compression import QuantizationPolicy

_INTEGERS = "tflite_int8"
# How far training may move a weight that is the same for all units yet, such as a bias of zeros.
_MOVED = 0.05
# What an adapted Normalization has measured: no training moves it.
_MEASURED = ("mean", "variance", "count")


def rehearse_export(
    model: keras.Model,
    formats: Sequence[str],
    *,
    spec: InputSpec,
    class_names: tuple[str, ...],
    samples: Inputs,
    quantization: QuantizationPolicy | None = None,
    allow_float: Sequence[str] = (),
    task: TaskName = "classification",
    progress: Callable[[int, int, str], None] | None = None,
) -> None:
    """Convert a model that is to be trained to each format, and throw the files away.

    Biases of zeros, scales of ones and a head of zeros are moved a little meanwhile, as training will move them: the
    converter drops a bias of zeros, and with it finds fusions that the trained model has not. With a quantisation
    policy the integer file is made of the quantisation-aware model: every tensor of it must be one that the model
    will be trained on, and every kernel and operator what was asked for. How near the file comes to its model is a
    matter of the training, and judged after it.

    Args:
        model: A float model, trained or not. Its weights are as they were afterwards.
        formats: As for `export_formats`.
        spec: The images or texts it takes.
        class_names: Its labels; none for an embedder.
        samples: A few real inputs: uint8 (n, height, width, channels), or a dictionary of int32 token ids and padding
            mask, (n, length) each.
        quantization: How it will be trained quantisation-aware; None when it will not.
        allow_float: As for `export_formats`.
        task: What will be asked of it.
        progress: As for `export_formats`.

    Raises:
        ModelError, ExportError: As the export after training would.

    Example:
        >>> policy = QuantizationPolicy()
        >>> labels = ("ants", "bees")
        >>> rehearse_export(model, ["tflite_int8"], spec=image, class_names=labels, samples=pixels, quantization=policy)
    """
    if isinstance(spec, TextSpec) and spec.segment_ids:
        bert_vocabulary(spec)
    with tempfile.TemporaryDirectory(prefix="tfkit-") as folder, _as_if_trained(model):
        plain = list(formats)
        if quantization is not None:
            opened = text_models.open_transformer(model, samples) if isinstance(spec, TextSpec) else model
            model = compression.quantize_aware(opened, samples, policy=quantization)
            compression.settle_biases(model)
            if _INTEGERS in plain and not quantization.weights_only:
                from tfkit.exporters.quantization_aware import rehearse_integers

                plain.remove(_INTEGERS)
                rehearse_integers(model, spec=spec, samples=samples)
        if plain:
            export_formats(
                model,
                plain,
                Path(folder) / "artifacts",
                spec=spec,
                class_names=class_names,
                calibration=samples,
                allow_float=allow_float,
                task=task,
                progress=progress,
            )


@contextlib.contextmanager
def _as_if_trained(model: keras.Model) -> Iterator[None]:
    """Let the weights that are alike for all units be different ones for a while."""
    rng = np.random.default_rng(0)
    before = [(weight, keras.ops.convert_to_numpy(weight)) for weight in _learned(model)]
    moved = [(weight, values) for weight, values in before if values.size > 1 and np.ptp(values) == 0]
    for weight, values in moved:
        noise = rng.normal(0, _MOVED, values.shape)
        # Scales and variances stay above zero.
        weight.assign(values * (1 + np.abs(noise)) if values.flat[0] else noise)
    try:
        yield
    finally:
        for weight, values in moved:
            weight.assign(values)


def _learned(model: keras.Model) -> Iterator[keras.Variable]:
    """Every number that training moves, frozen now or not, and a BatchNorm's statistics."""
    for weight in model.weights:
        statistics = weight.name in ("moving_mean", "moving_variance")
        if weight.dtype.startswith("float") and (statistics or weight.name not in _MEASURED):
            yield weight
