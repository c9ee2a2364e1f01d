"""A detector's file with two outputs, as MediaPipe's ObjectDetector takes them: scores, and where boxes lie."""

import copy

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfkit.artifacts.box_grid import BOX_NUMBERS, LOCATION, SCORE
from tfkit.exporters.normalization import normalized, packed


def with_score_and_location(flatbuffer: bytes) -> bytes:
    """Split a detector's answers behind its last operator; no number changes.

    Args:
        flatbuffer: A `.tflite` model with one output (1, places, classes + 4), as `normalized` gave it.

    Returns:
        The model with the outputs `score` (1, places, classes) and `location` (1, places, 4). One that has them already
        is given back.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(flatbuffer))
    graph = model.subgraphs[0]
    if len(graph.outputs) > 1:
        return flatbuffer
    (whole,) = graph.outputs
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    last = next(operator for operator in graph.operators if whole in operator.outputs)
    # Of an integer file the last operator turns int8 into uint8, which TensorFlow Lite Micro cannot split.
    rounded = last if codes[last.opcodeIndex] == schema.BuiltinOperator.QUANTIZE else None
    source = whole if rounded is None else rounded.inputs[0]
    if rounded is not None:
        graph.operators.remove(rounded)
    sizes = {SCORE: int(graph.tensors[whole].shape[-1]) - BOX_NUMBERS, LOCATION: BOX_NUMBERS}
    parts = [_part(graph, source, name if rounded is None else f"{name}_int8", size) for name, size in sizes.items()]
    split = schema.OperatorT()
    split.opcodeIndex = _code(model, schema.BuiltinOperator.SPLIT_V)
    split.inputs = [source, _constant(model, list(sizes.values())), _constant(model, 2)]
    split.outputs = parts
    split.builtinOptionsType = schema.BuiltinOptions.SplitVOptions
    split.builtinOptions = schema.SplitVOptionsT()
    split.builtinOptions.numSplits = len(parts)
    graph.operators.append(split)
    if rounded is not None:
        given, parts = parts, [_part(graph, whole, name, size) for name, size in sizes.items()]
        for integers, part in zip(given, parts, strict=True):
            turned = copy.copy(rounded)
            turned.inputs, turned.outputs = [integers], [part]
            graph.operators.append(turned)
    graph.outputs = parts
    signature = model.signatureDefs[0]
    signature.outputs = [_entry(name, part) for name, part in zip(sizes, parts, strict=True)]
    return normalized(packed(model))


def _part(graph: schema.SubGraphT, of: int, name: str, size: int) -> int:
    """The number of a new tensor: like another one, but for the size of its last axis."""
    tensor = copy.copy(graph.tensors[of])
    tensor.name = name.encode()
    tensor.shape = np.array([*tensor.shape[:-1], size], np.int32)
    if tensor.shapeSignature is not None:
        tensor.shapeSignature = np.array([*tensor.shapeSignature[:-1], size], np.int32)
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _constant(model: schema.ModelT, values: "list[int] | int") -> int:
    array = np.asarray(values, np.int32)
    buffer, tensor = schema.BufferT(), schema.TensorT()
    buffer.data = np.frombuffer(array.tobytes(), np.uint8)
    model.buffers.append(buffer)
    graph = model.subgraphs[0]
    tensor.name, tensor.type = b"split_sizes" if array.ndim else b"split_axis", schema.TensorType.INT32
    tensor.buffer, tensor.shape = len(model.buffers) - 1, np.array(array.shape, np.int32)
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _code(model: schema.ModelT, builtin: int) -> int:
    """The place of an operator's code, which is added where it is new; `normalized` sets its version."""
    for place, code in enumerate(model.operatorCodes):
        if max(code.builtinCode, code.deprecatedBuiltinCode) == builtin:
            return place
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = builtin
    code.version = 1
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def _entry(name: str, tensor: int) -> schema.TensorMapT:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name.encode(), tensor
    return entry
