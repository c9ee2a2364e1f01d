"""Quantisation-aware training with tensorflow-model-optimization."""

import dataclasses
from typing import Literal

from tfkit.compression.tfmot.loading import load_tfmot
from tfkit.compression.tfmot.twin import TfKerasTwin, copied_model
from tfkit.errors import ModelError

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
