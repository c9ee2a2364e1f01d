"""Keras model to a float32 `.tflite` flatbuffer of builtin operators."""

import tempfile
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfkit.artifacts import ImageSpec
from tfkit.errors import ExportError
from tfkit.exporters.inspection import describe_operators
from tfkit.runtimes import held_native_output, read_operators

INPUT_NAME = "pixels"
OUTPUT_NAME = "scores"
SIGNATURE = "serving_default"


def convert_to_float(model: Any, *, image: ImageSpec) -> bytes:
    """Convert a Keras model for one image at a time, with the signature `pixels` -> `scores`.

    Args:
        model: What `exportable_model` gives.
        image: The images it takes.

    Returns:
        The flatbuffer.

    Raises:
        ExportError: When a layer has no builtin operator; it names the operators and their layers.
    """
    with tempfile.TemporaryDirectory(prefix="tfkit-") as folder, held_native_output():
        _write_for_conversion(model, Path(folder), image=image)
        try:
            return _convert(folder, allow_custom_ops=False)
        except ExportError as fault:
            # Only a file with the unknown operators in it shows which layers ask for them.
            raise _unknown_operators(_convert(folder, allow_custom_ops=True), model) or fault from None


def _write_for_conversion(model: Any, folder: Path, *, image: ImageSpec) -> None:
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        SIGNATURE,
        lambda pixels: {OUTPUT_NAME: model(pixels, training=False)},
        input_signature=[tf.TensorSpec((1, *image.shape), tf.float32, name=INPUT_NAME)],
    )
    archive.write_out(folder, verbose=False)


def _convert(folder: str, *, allow_custom_ops: bool) -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    converter.allow_custom_ops = allow_custom_ops
    try:
        return bytes(converter.convert())
    except Exception as fault:  # the converter raises what MLIR and TensorFlow raise, of any type
        reason = str(fault).strip().splitlines() or [type(fault).__name__]
        raise ExportError(f"the TFLite converter refused the model: {reason[0]}") from fault


def _unknown_operators(flatbuffer: bytes, model: Any) -> ExportError | None:
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        file.write(flatbuffer)
        file.flush()
        custom = [operator for operator in read_operators(Path(file.name)) if operator.custom]
    if not custom:
        return None
    return ExportError(
        f"TFLite has no builtin operator for {describe_operators(custom, model)}",
        hint="replace that layer by one of builtin operators; a phone's plain interpreter cannot run it",
    )
