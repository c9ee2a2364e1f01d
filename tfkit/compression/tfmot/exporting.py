"""A quantised twin to an int8 `.tflite` file with uint8 pixels in and uint8 scores out."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfkit.compression.tfmot.quantization import fix_input_range, is_quantised
from tfkit.compression.tfmot.twin import TfKerasTwin
from tfkit.errors import ExportError
from tfkit.runtimes import held_native_output, read_operators, read_signature

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras

_SIGNATURE = "serving_default"


def export_tfmot_int8(twin: TfKerasTwin) -> bytes:
    """Convert a twin of `tfmot_quantize_aware` with the ranges and weights it learned, and read the file back.

    Args:
        twin: The quantised twin, trained.

    Returns:
        A flatbuffer for one image at a time: `pixels`, uint8 (1, height, width, channels), to `scores`, uint8.

    Raises:
        ExportError: When the twin is not quantised, the converter refuses it, an operator stayed in float, or the
            file's input is not what a uint8 pixel is.

    Example:
        >>> Path("model_int8.tflite").write_bytes(export_tfmot_int8(quantised))  # doctest: +SKIP
    """
    if not is_quantised(twin):
        raise ExportError(
            f"'{twin.model.name}' has no quantisers", hint="call tfmot_quantize_aware, and train, before exporting"
        )
    fix_input_range(twin)
    with tempfile.TemporaryDirectory(prefix="tfkit-") as folder, held_native_output():
        _write_saved_model(twin.model, folder)
        flatbuffer = _convert(folder)
        path = Path(folder) / "model.tflite"
        path.write_bytes(flatbuffer)
        _refuse_surprises(path, twin)
    return flatbuffer


def _write_saved_model(model: "tf_keras.Model", folder: str) -> None:
    import tensorflow as tf

    shape = (1, *model.inputs[0].shape[1:])

    def serve(pixels: "tf.Tensor") -> dict[str, "tf.Tensor"]:
        return {"scores": model(pixels, training=False)}

    archive = tf.Module()
    archive.model = model
    archive.serve = tf.function(serve, input_signature=[tf.TensorSpec(shape, tf.float32, name="pixels")])
    tf.saved_model.save(archive, folder, signatures={_SIGNATURE: archive.serve})


def _convert(folder: str) -> bytes:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.uint8
    try:
        return bytes(converter.convert())
    except Exception as fault:  # the converter raises what MLIR and TensorFlow raise, of any type
        reason = str(fault).strip().splitlines() or [type(fault).__name__]
        raise ExportError(f"the TFLite converter refused the tfmot model: {reason[0]}") from fault


def _refuse_surprises(path: Path, twin: TfKerasTwin) -> None:
    floats = [operator for operator in read_operators(path) if operator.is_float]
    if floats:
        shown = ", ".join(f"{operator.name} ({operator.layer.split(';')[0]})" for operator in floats[:5])
        raise ExportError(f"int8 was asked for, but {len(floats)} operators stayed in float: {shown}")
    pixels = read_signature(path).inputs[0]
    grid = (twin.pixel_scale, twin.zero_point)
    if pixels.scale is None or not np.isclose(pixels.scale, grid[0], rtol=1e-4) or pixels.zero_point != grid[1]:
        raise ExportError(
            f"the file's input has scale {pixels.scale} and zero point {pixels.zero_point}; a uint8 pixel has {grid}"
        )
