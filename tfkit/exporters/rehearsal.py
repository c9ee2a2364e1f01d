"""What no file can hold is told before training: every format is converted once, and old runtimes are asked."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfkit import compression
from tfkit.artifacts import InputSpec, TaskName, format_named
from tfkit.errors import ExportError, TfkitError
from tfkit.exporters.float_model import exportable_model
from tfkit.exporters.formats import export_formats, refuse_what_onnx_cannot_hold
from tfkit.exporters.quantization import quantize_to_dynamic_int8, quantize_to_float16, quantize_to_int8
from tfkit.exporters.tflite import converted_to_float
from tfkit.inputs import input_of
from tfkit.keras_types import Inputs
from tfkit.models import named_outputs
from tfkit.models.text.classifier import is_embedder
from tfkit.runtimes.portability import newer_operators

if TYPE_CHECKING:
    from tfkit.compression import QuantizationPolicy


_TRIED = 2


def refuse_newer_formats(model: schema.ModelT, formats: Sequence[str], *, spec: InputSpec, oldest: str) -> None:
    """Refuse formats whose operators came after a TensorFlow Lite runtime.

    The model is converted as it is, trained or not: which operators a file has depends on its layers. Not known before
    training are the int8 files of texts; `acceptance.min_runtime` judges them like every other file when it is proved.

    Args:
        model: A built classifier or embedder.
        formats: Out of `tfkit.exporters.FORMATS`.
        spec: The images or texts it takes.
        oldest: The runtime, such as `2.14`.

    Raises:
        ExportError: Names each format that it cannot read, with the operators; or says that the model converts to none.

    Example:
        >>> refuse_newer_formats(model, ["tflite_float32"], spec=image, oldest="2.14")
    """
    wanted = [name for name in formats if format_named(name).kind == "tflite"]
    if not wanted:
        return
    names = () if is_embedder(model) else tuple(map(str, range(named_outputs(model))))
    flatbuffer = converted_to_float(exportable_model(model, spec=spec, class_names=names), spec)
    newer = {name: found for name in wanted if (found := newer_operators(_made(flatbuffer, name, spec), oldest))}
    if newer:
        told = "; ".join(
            f"{name} needs {found.runtime} ({', '.join(found.operators)})" for name, found in newer.items()
        )
        good = [name for name in wanted if name not in newer]
        raise ExportError(
            f"TensorFlow Lite {oldest} cannot read every format asked for: {told}",
            hint=f"it reads {', '.join(good)}; leave the others out" if good else "ask for float files, or a later one",
        )


def _made(flatbuffer: bytes, name: str, spec: InputSpec) -> bytes:
    if name == "tflite_float16":
        return quantize_to_float16(flatbuffer)
    if name == "tflite_dynamic_int8":
        return quantize_to_dynamic_int8(flatbuffer)
    taken = input_of(spec)
    if name == "tflite_int8" and taken.uncalibrated is None:
        try:
            return quantize_to_int8(flatbuffer, taken.noise(spec, _TRIED), known=taken.ranges)
        except TfkitError:  # training quantisation-aware takes more layers than quantising afterwards
            return flatbuffer
    return flatbuffer


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
    taken = input_of(spec)
    taken.described(spec)  # what its files cannot say of it is told now
    with tempfile.TemporaryDirectory(prefix="tfkit-") as folder, _as_if_trained(model):
        plain = list(formats)
        if quantization is not None:
            model = compression.quantize_aware(taken.opened(model, samples), samples, policy=quantization)
            compression.settle_biases(model)
            integers = [name for name in plain if format_named(name).is_integer]
            if integers and not quantization.weights_only:
                from tfkit.exporters.quantization_aware import rehearse_integers

                plain = [name for name in plain if name not in integers]
                flatbuffer = rehearse_integers(model, spec=spec, samples=samples)
                if "onnx_int8" in integers:
                    refuse_what_onnx_cannot_hold(flatbuffer)
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
