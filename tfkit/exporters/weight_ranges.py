"""Weight ranges wide enough that the bias of a dead channel survives int8 quantisation."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from numpy.typing import NDArray

from tfkit.compression.kinds.counting import LARGEST_BIAS

_OPERATOR = schema.BuiltinOperator


def with_embedding_lookups(flatbuffer: bytes) -> bytes:
    """Replace each GATHER of whole rows of a constant table by an EMBEDDING_LOOKUP, which gives the same.

    The converter writes lookups as GATHER, for which the dynamic quantiser has no rule: the table, half of a small
    BERT, would stay in float. EMBEDDING_LOOKUP takes a table of int8 rows, each with a scale of its own.

    Args:
        flatbuffer: A float32 `.tflite` model of texts, as `convert_to_float` gives it.

    Returns:
        The model with its lookups replaced.
    """
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(flatbuffer))
    graph = model.subgraphs[0]
    gathers = [operator for operator in graph.operators if _is_lookup(model, graph, operator)]
    if not gathers:
        return flatbuffer
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = _OPERATOR.EMBEDDING_LOOKUP
    code.version = 1
    model.operatorCodes.append(code)
    for operator in gathers:
        operator.opcodeIndex = len(model.operatorCodes) - 1
        table, ids = (int(number) for number in operator.inputs)
        operator.inputs = [ids, table]
        operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.NONE, None
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _is_lookup(model: schema.ModelT, graph: schema.SubGraphT, operator: schema.OperatorT) -> bool:
    if model.operatorCodes[operator.opcodeIndex].builtinCode != _OPERATOR.GATHER:
        return False
    table, ids = (graph.tensors[number] for number in operator.inputs)
    data = model.buffers[table.buffer].data
    constant = data is not None and len(data) > 0
    options = operator.builtinOptions
    by_rows = options is None or (options.axis == 0 and options.batchDims == 0)
    return constant and by_rows and len(table.shape) == 2 and len(ids.shape) == 1


# Where the output channels lie in each operator's weights.
_CHANNEL_AXES = {
    schema.BuiltinOperator.CONV_2D: 0,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: 3,
    schema.BuiltinOperator.FULLY_CONNECTED: 0,
}

Ranges = dict[str, dict[str, NDArray[np.float32]]]


def widened_weight_ranges(flatbuffer: bytes, ranges: Ranges) -> Ranges:
    """Find the weights with channels so small that their bias would overflow, and give them a wider range.

    A bias is stored as int32 in steps of (input scale x weight scale). A channel whose weights are all about
    zero, as pruning, ReLU6 and folded BatchNorm leave them, has so small a scale that the bias overflows
    and turns into about nothing, with the wrong sign: the channel's constant is lost. Such weights
    may have a coarser scale at no cost.

    Args:
        flatbuffer: A float32 `.tflite` model.
        ranges: The activations' ranges by tensor name, as litert-quantizer's calibration gives them.

    Returns:
        Ranges per channel of the weights concerned, by tensor name; often empty.
    """
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(flatbuffer))
    graph = model.subgraphs[0]
    widened: Ranges = {}
    for operator in graph.operators:
        axis = _CHANNEL_AXES.get(model.operatorCodes[operator.opcodeIndex].builtinCode)
        if axis is None or len(operator.inputs) < 3 or operator.inputs[2] < 0:
            continue
        source, weights, bias = (graph.tensors[number] for number in operator.inputs[:3])
        kernel, offsets = _constant(model, weights), _constant(model, bias)
        if kernel is None or offsets is None or source.name.decode() not in ranges:
            continue
        others = tuple(number for number in range(kernel.ndim) if number != axis)
        largest = np.abs(kernel).max(axis=others, keepdims=True)
        needed = 127 * np.abs(offsets).reshape(largest.shape) / (_scale(ranges[source.name.decode()]) * LARGEST_BIAS)
        if np.any(largest < needed):
            bound = np.maximum(largest, needed).astype(np.float32)
            widened[weights.name.decode()] = {"min": -bound, "max": bound}
    return widened


def table_ranges(flatbuffer: bytes, ranges: Ranges) -> Ranges:
    """Give each table of rows the range of what is looked up in it: its own extremes may be narrower.

    Args:
        flatbuffer: A float32 `.tflite` model.
        ranges: The activations' ranges by tensor name.

    Returns:
        Ranges of the tables, by tensor name.
    """
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(flatbuffer))
    graph = model.subgraphs[0]
    found: Ranges = {}
    for operator in graph.operators:
        if model.operatorCodes[operator.opcodeIndex].builtinCode == schema.BuiltinOperator.GATHER:
            table, output = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
            if _constant(model, table) is not None and (seen := ranges.get(output.name.decode())) is not None:
                found[table.name.decode()] = seen
    return found


def _constant(model: schema.ModelT, tensor: schema.TensorT) -> NDArray[np.float32] | None:
    data = model.buffers[tensor.buffer].data
    if data is None or len(data) == 0 or tensor.type != schema.TensorType.FLOAT32:
        return None
    return np.frombuffer(bytes(data), np.float32).reshape(tensor.shape)


def _scale(values: dict[str, NDArray[np.float32]]) -> float:
    span = max(float(np.max(values["max"])), 0.0) - min(float(np.min(values["min"])), 0.0)
    return max(span, 1e-9) / 255
