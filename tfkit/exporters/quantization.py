"""Post-training quantisation of a float flatbuffer with litert-quantizer."""

import re
from collections.abc import Mapping

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from litert_quantizer import qtyping, recipe
from litert_quantizer.algorithm_manager import AlgorithmName
from litert_quantizer.calibrator import Calibrator
from litert_quantizer.quantizer import Quantizer
from litert_quantizer.recipe_manager import RecipeManager
from numpy.typing import NDArray

from tfkit.cores import usable_cores
from tfkit.errors import ExportError
from tfkit.exporters.conversion import SIGNATURE
from tfkit.exporters.weight_ranges import Ranges, widened_weight_ranges, with_embedding_lookups
from tfkit.graph.feeding import float_pixels
from tfkit.inputs import IMAGES
from tfkit.inputs.images import PIXELS
from tfkit.runtimes import Feed, ModelInputs, held_native_output
from tfkit.runtimes.protocol import input_count, some_inputs

_ALL_LAYERS = ".*"
# Measured on MLPerf Tiny's ResNet-8 and two MobileNetV2 classifiers, against the extremes of all images (100), 99,
# 95 and 80, and a moving average: ResNet-8 agreed with Keras on 98.2 % of images instead of 97.6 %, and the
# MobileNets as before.
_PERCENTILE = 90

# What to do with which operators, as litert-quantizer's `RecipeManager` gives it.
Recipe = list[dict[str, object]]
# A tensor's smallest and largest value (`min`, `max`): of one image, or of each that was seen.
_Extremes = Mapping[str, NDArray[np.float32] | list[NDArray[np.float32]]]


def quantize_to_float16(flatbuffer: bytes) -> bytes:
    """Store the weights as float16; computation stays in float32.

    Args:
        flatbuffer: A float32 `.tflite` model.

    Returns:
        The quantised model, about half as large.

    Example:
        >>> floats = convert_to_float(model, spec=image)
        >>> len(quantize_to_float16(floats)) < len(floats)
        True
    """
    recipes = RecipeManager()
    recipes.add_weight_only_config(
        _ALL_LAYERS,
        qtyping.TFLOperationName.ALL_SUPPORTED,
        num_bits=16,
        granularity=qtyping.QuantGranularity.TENSORWISE,
        algorithm_key=AlgorithmName.FLOAT_CASTING,
    )
    return quantize_with(flatbuffer, recipes.get_quantization_recipe())


def quantize_to_dynamic_int8(flatbuffer: bytes) -> bytes:
    """Store the weights as int8 per channel, token tables per row; activations are quantised while the model runs.

    Args:
        flatbuffer: A float32 `.tflite` model.

    Returns:
        The quantised model, about a quarter as large.

    Example:
        >>> floats = convert_to_float(model, spec=image)
        >>> len(quantize_to_dynamic_int8(floats)) < len(floats)
        True
    """
    flatbuffer = with_embedding_lookups(flatbuffer)
    recipes = RecipeManager()
    recipes.load_quantization_recipe(recipe.dynamic_wi8_afp32())
    for product in _products_of_a_constant(flatbuffer):
        name = f"^{re.escape(product)};"
        recipes.add_quantization_config(
            name, qtyping.TFLOperationName.BATCH_MATMUL, algorithm_key=AlgorithmName.NO_QUANTIZE
        )
    return quantize_with(flatbuffer, recipes.get_quantization_recipe())


def _products_of_a_constant(flatbuffer: bytes) -> list[str]:
    """Outputs of products whose left side is constant, which LiteRT runs with int8 on the right side only.

    DeBERTa's tables of relative positions stand there.
    """
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(flatbuffer))
    graph = model.subgraphs[0]
    names = []
    for operator in graph.operators:
        if model.operatorCodes[operator.opcodeIndex].builtinCode == schema.BuiltinOperator.BATCH_MATMUL:
            left = model.buffers[graph.tensors[operator.inputs[0]].buffer].data
            if left is not None and len(left) > 0:
                names.append(graph.tensors[operator.outputs[0]].name.decode())
    return names


def quantize_to_int8(
    flatbuffer: bytes, calibration: ModelInputs, *, known: Mapping[str, tuple[float, float]] = IMAGES.ranges
) -> bytes:
    """Quantise weights and activations to int8, with uint8 pixels in and uint8 scores out.

    Ranges are asymmetric per tensor for activations and symmetric per channel for weights (Jacob et al. 2018,
    https://arxiv.org/abs/1712.05877). An activation's range is the 90th percentile, over the calibration images,
    of each image's own largest value (and the 10th of its smallest): finer steps for all images at the cost of
    clipping a few values of the most extreme ones. The input's range is 0..255 by definition, so that a pixel is
    its own quantised value whatever the calibration images hold.

    Args:
        flatbuffer: A float32 `.tflite` model with the signature `pixels` -> scores, batch 1, or of inputs by other
            names.
        calibration: uint8 (n, height, width, channels), real training images; or arrays by the inputs' names.
        known: The ranges of inputs, by name, that calibration does not decide.

    Returns:
        The quantised model.

    Example:
        >>> integers = quantize_to_int8(convert_to_float(model, spec=image), pixels)
        >>> integers[4:8]
        b'TFL3'
    """
    recipes = RecipeManager()
    recipes.load_quantization_recipe(recipe.static_wi8_ai8())
    for border in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
        recipes.add_quantization_config(_ALL_LAYERS, border, _uint8_activations(), AlgorithmName.MIN_MAX_UNIFORM_QUANT)
    feed = calibration if isinstance(calibration, Mapping) else {PIXELS: calibration}
    ranges = _activation_ranges(flatbuffer, feed, recipes)
    for name, (low, high) in known.items():
        measured = ranges[f"{SIGNATURE}_{name}:0"]
        ranges[f"{SIGNATURE}_{name}:0"] = {
            "min": np.full_like(measured["min"], low),
            "max": np.full_like(measured["max"], high),
        }
    ranges.update(widened_weight_ranges(flatbuffer, ranges))
    return _with_unread_values_on_grids(quantize_with(flatbuffer, recipes.get_quantization_recipe(), ranges))


def _activation_ranges(flatbuffer: bytes, calibration: Feed, recipes: RecipeManager) -> Ranges:
    with held_native_output():
        feed = float_pixels(calibration)
        each = [some_inputs(feed, slice(number, number + 1)) for number in range(input_count(feed))]
        try:
            shown = _with_unread_values_shown(flatbuffer)
            calibrator = Calibrator(shown, num_threads=usable_cores(), qsv_update_func=_append_extremes)
            calibrator.calibrate({SIGNATURE: each}, recipes)
        except Exception as fault:  # it fails by its own kinds on operators that it has no rule for
            reason = (str(fault).strip() or type(fault).__name__).splitlines()[0][:300]
            raise ExportError(
                f"int8 after training: the ranges of this model's values cannot be measured: {reason}",
                hint="export dynamic_int8 or float16",
            ) from fault
    return {
        tensor: {"min": _percentile(seen["min"], 100 - _PERCENTILE), "max": _percentile(seen["max"], _PERCENTILE)}
        for tensor, seen in calibrator.get_model_qsvs().items()
        if seen
    }


def _with_unread_values_shown(flatbuffer: bytes) -> bytes:
    """The model with what its operators write and nobody reads among its outputs.

    XNNPACK leaves such a value out, the unused part of a split, and the calibrator ends where it asks for it.
    """
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(flatbuffer))
    graph = model.subgraphs[0]
    unread = _unread(graph)
    if not unread:
        return flatbuffer
    graph.outputs = [*graph.outputs, *sorted(unread)]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _with_unread_values_on_grids(flatbuffer: bytes) -> bytes:
    """The quantised model with the unread parts of a split on the grid of the others, where the quantiser forgets them.

    One float part makes the whole operator one that no integer kernel runs.
    """
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(flatbuffer))
    graph = model.subgraphs[0]
    unread, changed = _unread(graph), False
    for operator in graph.operators:
        parts = [graph.tensors[number] for number in operator.outputs if number not in unread]
        for part in (graph.tensors[number] for number in operator.outputs if number in unread):
            if parts and part.type != parts[0].type:
                part.type, part.quantization = parts[0].type, parts[0].quantization
                changed = True
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model)) if changed else flatbuffer


def _unread(graph: schema.SubGraphT) -> set[int]:
    read = {tensor for operator in graph.operators for tensor in operator.inputs} | set(graph.outputs)
    return {tensor for operator in graph.operators for tensor in operator.outputs} - read


def _append_extremes(seen: _Extremes, new: Mapping[str, NDArray[np.float32]]) -> _Extremes:
    """Collect each image's extremes in a list, where the quantiser's own way is to merge them at once."""
    return {
        end: [*values, new[end]] if isinstance(values, list) else [values, new[end]] for end, values in seen.items()
    }


def _percentile(values: NDArray[np.float32] | list[NDArray[np.float32]], percentile: float) -> NDArray[np.float32]:
    collected = values if isinstance(values, list) else [values]  # one image leaves the quantiser's own array
    numbers = np.stack(collected).astype(np.float32)  # a comparison's answers are no numbers yet
    found: NDArray[np.float32] = np.percentile(numbers, percentile, axis=0).astype(np.float32)
    return found


def _uint8_activations() -> qtyping.OpQuantizationConfig:
    return qtyping.OpQuantizationConfig(
        activation_tensor_config=qtyping.TensorQuantizationConfig(
            num_bits=8, symmetric=False, dtype=qtyping.TensorDataType.UINT
        ),
        weight_tensor_config=qtyping.TensorQuantizationConfig(
            num_bits=8, granularity=qtyping.QuantGranularity.CHANNELWISE
        ),
        compute_precision=qtyping.ComputePrecision.INTEGER,
    )


def quantize_with(flatbuffer: bytes, recipe: Recipe, ranges: Ranges | None = None) -> bytes:
    """Quantise a flatbuffer with litert-quantizer.

    Args:
        flatbuffer: A float32 `.tflite` model.
        recipe: What to do with which operators, as its `RecipeManager` gives it.
        ranges: Activations' ranges by tensor name; None for recipes that need none.

    Returns:
        The quantised model.

    Raises:
        ExportError: When the quantiser refuses the model.
    """
    with held_native_output():
        try:
            quantizer = Quantizer(flatbuffer, recipe)
            result = quantizer.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
        except (RuntimeError, ValueError, KeyError, TypeError, IndexError) as fault:
            raise ExportError(f"litert-quantizer refused the model: {fault}") from fault
    return bytes(result.quantized_model)
