"""A quantised twin to an int8 `.tflite` file with uint8 pixels in and uint8 scores out."""

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from tfkit.compression.tfmot.twin import TfKerasTwin, copied_model, load_tfmot
from tfkit.errors import ExportError, ModelError
from tfkit.runtimes import held_native_output, read_operators, read_signature

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras


_LARGEST_PIXEL = 255

Preserved = Literal["sparsity", "clusters"]


def tfmot_quantize_aware(twin: TfKerasTwin, *, preserve: Preserved | None = None) -> TfKerasTwin:
    """Put tensorflow-model-optimization's default 8-bit quantisers into a twin.

    What tfmot does, following Jacob et al. 2018 (https://arxiv.org/abs/1712.05877): int8 weights, per channel for
    Conv2D and per tensor for DepthwiseConv2D and Dense; per-tensor activations with moving ranges that start at
    [-6, 6]. The input's range is set to the rescaled pixels' own, so that a uint8 pixel is its own quantised value; for
    that the offset moves to the nearest whole step.

    Args:
        twin: A trained twin without wrappers; not changed.
        preserve: Keep `sparsity` (zeros of a pruned twin) or `clusters` (of a clustered one) while training.

    Returns:
        A new twin with the quantisers and the same weights, to be trained by `fit_tfmot`.

    Raises:
        ModelError: When tfmot refuses the model.

    Example:
        >>> quantised = tfmot_quantize_aware(rebuild_in_tf_keras(model))  # doctest: +SKIP
        >>> fit_tfmot(quantised, batches, None, epochs=3, learning_rate=1e-4, steps_per_epoch=100)  # doctest: +SKIP
        >>> flatbuffer = export_tfmot_int8(quantised)  # doctest: +SKIP
    """
    tools = load_tfmot().quantization.keras
    try:
        annotated = tools.quantize_annotate_model(copied_model(twin.model))
        with tools.quantize_scope():
            model = tools.quantize_apply(annotated, scheme=_scheme(preserve))
    except (ValueError, RuntimeError, TypeError, AttributeError) as fault:
        raise ModelError(
            f"tensorflow-model-optimization refuses '{twin.model.name}': {fault}",
            hint="rebuild it with techniques=('quantization',), which names the layers; or use tfkit's own engine",
        ) from fault
    on_grid = dataclasses.replace(twin, model=model, pixel_offset=-twin.zero_point * twin.pixel_scale)
    fix_input_range(on_grid)
    return on_grid


def fix_input_range(twin: TfKerasTwin) -> None:
    """Set the input quantiser to the 256 values that a pixel can have.

    Args:
        twin: A quantised twin; changed in place.
    """
    low = -twin.zero_point * twin.pixel_scale
    for layer in twin.model.layers:
        if type(layer).__name__ == "QuantizeLayer":
            layer.quantizer_vars["min_var"].assign(low)
            layer.quantizer_vars["max_var"].assign(low + _LARGEST_PIXEL * twin.pixel_scale)


def is_quantised(twin: TfKerasTwin) -> bool:
    """Whether a twin came from `tfmot_quantize_aware`."""
    return any(type(layer).__name__ == "QuantizeLayer" for layer in twin.model.layers)


def _scheme(preserve: Preserved | None) -> object:
    tfmot = load_tfmot()
    if preserve == "sparsity":
        return tfmot.experimental.combine.Default8BitPrunePreserveQuantizeScheme()
    if preserve == "clusters":
        return tfmot.experimental.combine.Default8BitClusterPreserveQuantizeScheme()
    return tfmot.quantization.keras.default_8bit.Default8BitQuantizeScheme()


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
