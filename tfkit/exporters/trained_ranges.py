"""Quantise a float flatbuffer to exactly what a quantisation-aware model was trained on."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from litert_quantizer import qtyping, recipe
from litert_quantizer.algorithm_manager import AlgorithmName
from litert_quantizer.recipe_manager import RecipeManager
from numpy.typing import NDArray

from tfkit.compression import FoldedModel, Rounding
from tfkit.errors import ExportError
from tfkit.exporters.quantization import Recipe, quantize_with
from tfkit.exporters.tensor_matching import (
    FileTensor,
    Samples,
    is_named_after,
    keras_values,
    layer_names,
    match_tensors,
    match_turned_tensors,
    read_tensors,
)
from tfkit.exporters.weight_ranges import Ranges, table_ranges, widened_weight_ranges
from tfkit.keras_types import Tensor
from tfkit.runtimes.protocol import some_inputs

_ALL_LAYERS = ".*"
_SAMPLES = 2
# They hand all values on, in other places.
_MOVING = ("TRANSPOSE", "RESHAPE", "SQUEEZE", "EXPAND_DIMS")
# How long a list of names an error shows.
_SHOWN = 5


def quantize_as_trained(flatbuffer: bytes, folded: FoldedModel, inputs: Samples) -> tuple[bytes, dict[str, Rounding]]:
    """Quantise a file with the ranges its model was trained on; nothing is calibrated.

    Args:
        flatbuffer: `folded.model` as a float32 `.tflite` model.
        folded: What `fold` gave.
        inputs: A few inputs of `folded.model`: float32 (n, height, width, channels) scaled pixels, or a dictionary
            of token ids and padding mask; two are used, to find which tensor is which.

    Returns:
        The quantised file, uint8 pixels or int32 token ids in and uint8 scores out, and the rounding of each of its
        tensors by name.

    Raises:
        ExportError: When a tensor of the file is none of the trained model's: its range would be a guess.
    """
    samples = some_inputs(inputs, slice(_SAMPLES))
    tensors = read_tensors(flatbuffer, samples)
    matches = _matches(tensors, folded, samples)
    unknown = [tensor for tensor in tensors if tensor.index not in matches.roundings | matches.floats]
    if unknown:
        shown = ", ".join(f"{tensor.operator} '{tensor.name.split(';')[0]}'" for tensor in unknown[:_SHOWN])
        raise ExportError(
            f"{len(unknown)} tensors of the converted file are none that the model was trained on: {shown}",
            hint="leave the layer in float (quantization.skip), or report it as a fault of tfkit",
        )
    roundings = {tensor.name: matches.roundings[t] for tensor in tensors if (t := tensor.index) in matches.roundings}
    ranks = {tensor.name: tensor.values.ndim for tensor in tensors}
    ranges: Ranges = {name: _range(rounding, ranks[name]) for name, rounding in roundings.items()}
    ranges.update(widened_weight_ranges(flatbuffer, ranges))
    ranges.update(table_ranges(flatbuffer, ranges))
    return quantize_with(flatbuffer, _recipe(tensors, matches, folded), ranges), roundings


@dataclass
class _Matches:
    """What is known of the file's tensors, by their numbers.

    Attributes:
        roundings: The rounding of a tensor.
        floats: Those that a layer left in float writes.
        four_bit: Those that an operator with a 4-bit kernel writes.
    """

    roundings: dict[int, Rounding]
    floats: dict[int, None]
    four_bit: set[int]


def _matches(tensors: tuple[FileTensor, ...], folded: FoldedModel, samples: Samples) -> _Matches:
    known = {id(tensor): (tensor, rounding) for rounding, tensor in folded.roundings}
    joined = dict(known)
    for outputs, sources in folded.joined:
        if id(outputs) in known:
            shared = replace(known[id(outputs)][1], name=f"{known[id(outputs)][1].name}_source")
            for source in sources:
                joined.setdefault(id(source), (source, shared))
    points = list(joined.values())
    wanted = [*(tensor for tensor, _ in points), *folded.float_tensors, *folded.four_bit]
    values = keras_values(folded.model, wanted, samples)
    floats_end = len(points) + len(folded.float_tensors)
    names = layer_names(folded.model, wanted[: len(points)])
    places = match_tensors(tensors, values[: len(points)], names)
    roundings = {index: points[place][1] for index, place in places.items()}
    if folded.input is not None:
        roundings[tensors[0].index] = folded.input
    _spread_over_moves(tensors, roundings)
    written = [tensor for tensor in tensors if tensor.operator]

    def written_by(made: Sequence[Tensor], made_values: list[NDArray[np.float32]]) -> dict[int, None]:
        """Tensors that hold what these layers write, without those that others write and that hold the same."""
        own = {id(tensor) for tensor in made}
        others = _written_by_others(written, places, [id(tensor) in own for tensor, _ in points], names)
        return dict.fromkeys(index for index in match_tensors(written, made_values) if index not in others)

    floats = written_by(folded.float_tensors, values[len(points) : floats_end])
    _spread_backwards(tensors, floats, known=set(roundings))
    left = [tensor for tensor in written if tensor.index not in roundings | floats]
    for index, place in match_turned_tensors(left, values[: len(points)]).items():
        roundings[index] = replace(points[place][1], name=f"{points[place][1].name}_source")
    return _Matches(roundings, floats, set(written_by(folded.four_bit, values[floats_end:])))


def _written_by_others(
    written: list[FileTensor], places: dict[int, int], is_own: list[bool], names: list[str]
) -> set[int]:
    """The file's tensors that are the first match of a point that is not one's own, or are named after its layer."""
    others: set[int] = set()
    seen: set[int] = set()
    for tensor in written:
        place = places.get(tensor.index)
        if place is None or is_own[place]:
            continue
        if place not in seen or is_named_after(tensor.name, names[place]):
            others.add(tensor.index)
        seen.add(place)
    return others


def _spread_over_moves(tensors: tuple[FileTensor, ...], roundings: dict[int, Rounding]) -> None:
    """Give what an operator only moves the grid of what it gives: the converter adds first and transposes then."""
    for tensor in reversed(tensors):
        if tensor.operator in _MOVING and (moved := roundings.get(tensor.index)) is not None:
            for source in tensor.sources:
                roundings.setdefault(source, replace(moved, name=f"{moved.name}_source"))


def _spread_backwards(tensors: tuple[FileTensor, ...], floats: dict[int, None], *, known: set[int]) -> None:
    """Add the tensors inside a layer left in float: those that only its other tensors are made from."""
    takers: dict[int, list[int]] = {}
    for tensor in tensors:
        for source in tensor.sources:
            takers.setdefault(source, []).append(tensor.index)
    for tensor in reversed(tensors):
        users = takers.get(tensor.index, [])
        if users and tensor.index not in known and all(user in floats for user in users):
            floats[tensor.index] = None


def _range(rounding: Rounding, rank: int) -> dict[str, NDArray[np.float32]]:
    low, high = rounding.minimum, rounding.maximum
    if rounding.bits == 16:
        high = max(-low, high)
        low = -high
    return {"min": np.full((1,) * rank, low, np.float32), "max": np.full((1,) * rank, high, np.float32)}


def _recipe(tensors: tuple[FileTensor, ...], matches: _Matches, folded: FoldedModel) -> Recipe:
    wide = folded.activation_bits == 16
    recipes = RecipeManager()
    recipes.load_quantization_recipe(recipe.static_wi8_ai16() if wide else recipe.static_wi8_ai8())

    def set_for(tensor: FileTensor, config: qtyping.OpQuantizationConfig | None) -> None:
        way = AlgorithmName.NO_QUANTIZE if config is None else AlgorithmName.MIN_MAX_UNIFORM_QUANT
        scope = rf"^{re.escape(tensor.name)};$"
        recipes.add_quantization_config(scope, qtyping.TFLOperationName.ALL_SUPPORTED, config, way)

    for border in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
        if wide:
            recipes.add_quantization_config(_ALL_LAYERS, border, algorithm_key=AlgorithmName.NO_QUANTIZE)
        else:
            uint8 = _operator_config(activation_bits=8, signed=False)
            recipes.add_quantization_config(_ALL_LAYERS, border, uint8, AlgorithmName.MIN_MAX_UNIFORM_QUANT)
    for tensor in tensors:
        if tensor.index in matches.floats:
            set_for(tensor, None)
        elif tensor.index in matches.four_bit:
            set_for(tensor, _operator_config(weight_bits=4))
        elif not wide and _runs_in_16_bits(tensor, matches.roundings):
            set_for(tensor, _operator_config(activation_bits=16))
    made: Recipe = recipes.get_quantization_recipe()
    return made


def _runs_in_16_bits(tensor: FileTensor, roundings: dict[int, Rounding]) -> bool:
    """Whether an operator of an 8-bit file computes with 16 bits: those inside a normalisation or a masked mean."""
    rounding = roundings.get(tensor.index)
    sources = [roundings[source].bits for source in tensor.sources if source in roundings]
    return bool((rounding is not None and rounding.bits == 16) or (sources and max(sources) == 16))


def _operator_config(
    *, weight_bits: int = 8, activation_bits: int = 8, signed: bool = True
) -> qtyping.OpQuantizationConfig:
    return qtyping.OpQuantizationConfig(
        activation_tensor_config=qtyping.TensorQuantizationConfig(
            num_bits=activation_bits,
            symmetric=activation_bits == 16,
            dtype=qtyping.TensorDataType.INT if signed else qtyping.TensorDataType.UINT,
        ),
        weight_tensor_config=qtyping.TensorQuantizationConfig(
            num_bits=weight_bits, granularity=qtyping.QuantGranularity.CHANNELWISE
        ),
        compute_precision=qtyping.ComputePrecision.INTEGER,
    )
