"""Quantise a float flatbuffer to exactly what a quantisation-aware model was trained on."""

import re
from typing import Any

import numpy as np
from litert_quantizer import qtyping, recipe
from litert_quantizer.algorithm_manager import AlgorithmName
from litert_quantizer.recipe_manager import RecipeManager
from numpy.typing import NDArray

from tfkit.compression import FoldedModel, Rounding
from tfkit.errors import ExportError
from tfkit.exporters.quantization import quantize_with
from tfkit.exporters.tensor_matching import FileTensor, keras_values, match_tensors, read_tensors
from tfkit.exporters.weight_ranges import Ranges, widened_weight_ranges

_ALL_LAYERS = ".*"
_SAMPLES = 2
# How long a list of names an error shows.
_SHOWN = 5


def quantize_as_trained(
    flatbuffer: bytes, folded: FoldedModel, scaled_pixels: NDArray[np.float32]
) -> tuple[bytes, dict[str, Rounding]]:
    """Quantise a file with the ranges its model was trained on; nothing is calibrated.

    Args:
        flatbuffer: `folded.model` as a float32 `.tflite` model.
        folded: What `fold` gave.
        scaled_pixels: float32 (n, height, width, channels), a few inputs of `folded.model`; two are used, to find
            which tensor is which.

    Returns:
        The quantised file, uint8 pixels in and uint8 scores out, and the rounding of each of its tensors by name.

    Raises:
        ExportError: When a tensor of the file is none of the trained model's: its range would be a guess.
    """
    samples = scaled_pixels[:_SAMPLES]
    tensors = read_tensors(flatbuffer, samples)
    roundings = _roundings_of(tensors, folded, samples)
    floats = _float_tensors(tensors, folded)
    unknown = [tensor for tensor in tensors if tensor.name not in roundings and tensor.name not in floats]
    if unknown:
        shown = ", ".join(f"{tensor.operator} '{tensor.name.split(';')[0]}'" for tensor in unknown[:_SHOWN])
        raise ExportError(
            f"{len(unknown)} tensors of the converted file are none that the model was trained on: {shown}",
            hint="leave the layer in float (quantization.skip), or report it as a fault of tfkit",
        )
    ranges: Ranges = {}
    for tensor in tensors:
        if (rounding := roundings.get(tensor.name)) is not None:
            ranges[tensor.name] = _range(rounding, tensor.values.ndim)
    ranges.update(widened_weight_ranges(flatbuffer, ranges))
    return quantize_with(flatbuffer, _recipe(folded, floats), ranges), roundings


def _roundings_of(
    tensors: tuple[FileTensor, ...], folded: FoldedModel, samples: NDArray[np.float32]
) -> dict[str, Rounding]:
    points = [(tensor, rounding) for rounding, tensor in folded.roundings]
    known = {id(tensor): rounding for tensor, rounding in points}
    for outputs, sources in folded.joined:
        if id(outputs) in known:
            points += [(source, known[id(outputs)]) for source in sources if id(source) not in known]
    values = keras_values(folded.model, [tensor for tensor, _ in points], samples)
    matches = match_tensors(tensors, values)
    found = {tensor.name: points[matches[tensor.index]][1] for tensor in tensors if tensor.index in matches}
    found[tensors[0].name] = folded.input
    return found


def _float_tensors(tensors: tuple[FileTensor, ...], folded: FoldedModel) -> set[str]:
    """The tensors that layers left in float write."""
    if not folded.float_layers:
        return set()
    layer = re.compile(r"(^|[/;])(" + "|".join(re.escape(name) for name in folded.float_layers) + r")(_\d+)?([/;]|$)")
    return {tensor.name for tensor in tensors if layer.search(tensor.name)}


def _range(rounding: Rounding, rank: int) -> dict[str, NDArray[np.float32]]:
    low, high = rounding.minimum, rounding.maximum
    if rounding.bits == 16:
        high = max(-low, high)
        low = -high
    return {"min": np.full((1,) * rank, low, np.float32), "max": np.full((1,) * rank, high, np.float32)}


def _recipe(folded: FoldedModel, floats: set[str]) -> Any:
    wide = any(rounding.bits == 16 for rounding, _ in folded.roundings)
    recipes = RecipeManager()
    recipes.load_quantization_recipe(recipe.static_wi8_ai16() if wide else recipe.static_wi8_ai8())
    for kernel in folded.kernels:
        if kernel.bits == 4:
            recipes.add_quantization_config(
                rf"(^|.*[/;]){re.escape(kernel.layer)}(_\d+)?[/;].*",
                qtyping.TFLOperationName.ALL_SUPPORTED,
                _operator_config(weight_bits=4, dtype=qtyping.TensorDataType.INT),
                AlgorithmName.MIN_MAX_UNIFORM_QUANT,
            )
    for name in sorted(floats):
        recipes.add_quantization_config(
            re.escape(name), qtyping.TFLOperationName.ALL_SUPPORTED, algorithm_key=AlgorithmName.NO_QUANTIZE
        )
    if not wide:
        for border in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
            uint8 = _operator_config(weight_bits=8, dtype=qtyping.TensorDataType.UINT)
            recipes.add_quantization_config(_ALL_LAYERS, border, uint8, AlgorithmName.MIN_MAX_UNIFORM_QUANT)
    return recipes.get_quantization_recipe()


def _operator_config(*, weight_bits: int, dtype: Any) -> Any:
    return qtyping.OpQuantizationConfig(
        activation_tensor_config=qtyping.TensorQuantizationConfig(num_bits=8, symmetric=False, dtype=dtype),
        weight_tensor_config=qtyping.TensorQuantizationConfig(
            num_bits=weight_bits, granularity=qtyping.QuantGranularity.CHANNELWISE
        ),
        compute_precision=qtyping.ComputePrecision.INTEGER,
    )


