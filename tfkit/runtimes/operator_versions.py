"""Which version of each operator a `.tflite` file needs.

An interpreter refuses an operator whose version it does not know. A file that says a version lower than its tensors
need is accepted by older runtimes and computed wrongly, without an error. The facts are those of TensorFlow's own
converter: `tensorflow/compiler/mlir/lite/tools/versioning/op_version.cc` (TensorFlow 2.22).
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class OperatorTypes:
    """What an operator's version depends on.

    Attributes:
        inputs: NumPy's names of its inputs' types (`float32`, `int8`, `int4`), empty for an input left out.
        outputs: The same of its outputs.
        shapes: The inputs' shapes.
        per_channel: Whether its weights (a conversion's own tensor) have a scale for each channel.
        scales: Scales of the first two inputs and the output, empty without quantisation.
        options: The schema's options object, None without one.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    per_channel: bool
    scales: tuple[float, ...]
    options: object

    @property
    def ranks(self) -> tuple[int, ...]:
        """Dimensions of each input."""
        return tuple(len(shape) for shape in self.shapes)

    @property
    def hybrid(self) -> bool:
        """Whether float values meet int8 weights."""
        return self.inputs[0] == "float32" and self.inputs[1] == "int8" and self.outputs[0] == "float32"

    def says(self, option: str) -> object:
        """An option's value, None without it."""
        return getattr(self.options, option, None)


def needed_version(operator: str, types: OperatorTypes) -> int:
    """The smallest version of an operator whose kernel computes what a file asks for.

    Args:
        operator: The builtin operator's name, such as `FULLY_CONNECTED`.
        types: Its tensors and options.

    Returns:
        The version; 1 for an operator that no rule is known for.

    Example:
        >>> dense = OperatorTypes(("float32", "int8", "float32"), ("float32",), ((1, 4), (2, 4), (2,)), True, (), None)
        >>> needed_version("FULLY_CONNECTED", dense)
        12
    """
    rule = _RULES.get(operator)
    if rule is not None:
        return rule(types)
    return _BY_TYPE.get(operator, {}).get(types.inputs[0] if types.inputs else "", 1)


def _conv_2d(types: OperatorTypes) -> int:
    if types.inputs[0] == "int16":
        return 8 if types.says("quantizedBiasType") else 4
    kernel, image = types.shapes[1], types.shapes[0]
    if len(kernel) == len(image) == 4 and kernel[3] != image[3]:
        return 6
    if types.inputs[1] == "int4":
        return 7
    if types.hybrid:
        return 5 if types.per_channel else 2
    return 3 if types.inputs[0] == "int8" else 1


def _depthwise_conv_2d(types: OperatorTypes) -> int:
    if types.inputs[0] == "int16":
        return 5
    if types.inputs[1] == "int4":
        return 7
    if types.hybrid:
        return 6 if types.per_channel else 4
    if types.inputs[0] == "int8":
        return 3
    return 2 if (types.says("dilationWFactor") or 1) != 1 or (types.says("dilationHFactor") or 1) != 1 else 1


def _fully_connected(types: OperatorTypes) -> int:
    left, kernel = types.inputs[:2]
    if kernel == "int2":
        return 14
    if left == "int16":
        return 13 if kernel == "int4" else 11 if types.says("quantizedBiasType") else 7
    if types.hybrid and types.per_channel:
        return 12
    if kernel == "int4":
        return 10
    without_bias = len(types.inputs) == 2 or not types.inputs[2]
    least = 6 if without_bias else 5 if types.says("keepNumDims") else 1
    if types.hybrid:
        return max(least, 9 if types.says("asymmetricQuantizeInputs") else 3)
    return max(least, 4 if left == "int8" else 1)


def _embedding_lookup(types: OperatorTypes) -> int:
    if types.inputs[1] == "int2":
        return 5
    if types.inputs[1] == "int4" or types.per_channel:
        return 4
    return 3 if types.inputs[1] == "int8" else 1


def _gather(types: OperatorTypes) -> int:
    if types.inputs[0] == "int4":
        return 7
    if types.inputs[1] == "int16":
        return 6
    if types.says("batchDims"):
        return 5
    return {"int16": 4, "bool": 3, "int8": 2}.get(types.inputs[0], 1)


def _mul(types: OperatorTypes) -> int:
    left = types.inputs[0]
    if left == "int16":
        return 4 if types.scales else 7
    if left in ("uint32", "complex64", "int64", "float16"):
        return {"float16": 8, "uint32": 7, "complex64": 6, "int64": 5}[left]
    if len(types.scales) == 3 and types.scales[0] * types.scales[1] / types.scales[2] >= 1:
        return 3
    return 2 if left == "int8" else 1


def _add(types: OperatorTypes) -> int:
    if types.inputs[0] == "int16":
        return 5 if not types.scales else 1 if types.says("potScaleInt16") else 3
    return {"float16": 6, "int64": 4, "int8": 2}.get(types.inputs[0], 1)


def _sub(types: OperatorTypes) -> int:
    if types.inputs[0] == "int16" and not types.says("potScaleInt16"):
        return 5
    if types.inputs[0] == "int64":
        return 4
    return 3 if _broadcasts_over_four(types) else 2 if types.inputs[0] == "int8" else 1


def _minimum(types: OperatorTypes) -> int:
    if types.inputs[0] == "int16":
        return 4
    return 3 if _broadcasts_over_four(types) else 2 if types.inputs[0] == "int8" else 1


def _broadcasts_over_four(types: OperatorTypes) -> bool:
    return len(set(types.shapes[:2])) > 1 and max(types.ranks, default=0) > 4


def _transpose(types: OperatorTypes) -> int:
    rank = types.ranks[0]
    if rank > 6:
        return 8
    if types.inputs[0] == "int4":
        return 7
    if rank > 5:
        return 6
    by_type = {"int16": 5, "bool": 3, "int8": 2}.get(types.inputs[0], 1)
    return max(by_type, 4 if rank > 4 else 1)


def _transpose_conv(types: OperatorTypes) -> int:
    if types.inputs[0] == "int16" and types.says("quantizedBiasType"):
        return 5
    if types.says("fusedActivationFunction"):
        return 4
    if len(types.inputs) == 4 and types.inputs[3]:
        return 3
    return 2 if types.inputs[1] == "int8" else 1


def _split(types: OperatorTypes) -> int:
    return {"int16": 4, "int32": 3, "int8": 2}.get(types.inputs[1], 1)


def _slice(types: OperatorTypes) -> int:
    by_type = {"int4": 7, "uint32": 6, "int16": 4, "string": 3, "int8": 2}.get(types.inputs[0], 1)
    return max(by_type, 5 if types.ranks[0] > 4 else 1)


def _strided_slice(types: OperatorTypes) -> int:
    if types.says("offset"):
        return 8
    by_type = {"uint32": 7, "string": 5, "bool": 3, "int8": 2}.get(types.inputs[0], 1)
    masks = 6 if types.says("ellipsisMask") or types.says("newAxisMask") else 1
    return max(by_type, masks, 4 if types.ranks[0] > 4 else 1)


def _dequantize(types: OperatorTypes) -> int:
    if types.inputs[0] == "int8":
        return 5 if types.per_channel else 2
    return {"int2": 7, "int4": 6, "int16": 3, "float16": 3}.get(types.inputs[0], 1)


def _quantize(types: OperatorTypes) -> int:
    if "int4" in (types.inputs[0], types.outputs[0]):
        return 4
    return 3 if types.per_channel else 2 if types.outputs[0] == "int16" else 1


def _resize_bilinear(types: OperatorTypes) -> int:
    if types.inputs[0] == "int16":
        return 4
    return 3 if types.says("halfPixelCenters") else 2 if types.inputs[0] == "int8" else 1


def _resize_nearest(types: OperatorTypes) -> int:
    return max(_resize_bilinear(types), 3 if types.says("alignCorners") else 1)


def _to_batch(types: OperatorTypes) -> int:
    if types.inputs[0] == "int16":
        return 4
    return 3 if types.ranks[0] != 4 else 2 if types.inputs[0] == "int8" else 1


def _batch_matmul(types: OperatorTypes) -> int:
    if types.hybrid:
        return 4 if types.says("asymmetricQuantizeInputs") else 1
    return {"int16": 3, "int8": 2}.get(types.inputs[0], 1)


def _pad(types: OperatorTypes) -> int:
    by_type = {"bool": 5, "int16": 3, "int8": 2}.get(types.inputs[0], 1)
    return max(by_type, 4 if types.ranks[0] > 4 else 1)


def _cast(types: OperatorTypes) -> int:
    both = {types.inputs[0], types.outputs[0]}
    for version, kinds in ((8, {"int2", "uint4"}), (7, {"bfloat16"}), (6, {"int4"}), (5, {"float64", "float16"})):
        if both & kinds:
            return version
    return 4 if "uint16" in both else 3 if "int8" in both else 2 if "uint32" in both else 1


def _select(types: OperatorTypes) -> int:
    if types.inputs[0] == "uint32":
        return 4
    return 3 if 5 in types.ranks else 2 if types.inputs[0] == "int8" else 1


def _fill(types: OperatorTypes) -> int:
    return {"float16": 4, "int8": 3, "int16": 3, "bool": 2, "string": 2}.get(types.inputs[1], 1)


def _where(types: OperatorTypes) -> int:
    return 1 if types.inputs[0] == "bool" else 2


def _broadcast_to(types: OperatorTypes) -> int:
    return 3 if types.inputs[0] in ("int8", "int16") else 2


def _sequence_lstm(types: OperatorTypes) -> int:
    given, kernel, answer = types.inputs[0], types.inputs[2], types.outputs[0]
    if (given, kernel, answer) == ("int16", "int8", "int16"):
        return 5
    if types.says("diagonalRecurrentTensors"):
        return 4
    if (given, kernel, answer) == ("float32", "int8", "float32"):
        return 3 if types.says("asymmetricQuantizeInputs") else 2
    return 1


def _both_ways(types: OperatorTypes) -> int:
    if types.inputs[1] == "int8" and types.outputs[0] == "float32":
        return 3 if types.says("asymmetricQuantizeInputs") else 2
    return 1


_RULES: dict[str, Callable[[OperatorTypes], int]] = {
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "FULLY_CONNECTED": _fully_connected,
    "EMBEDDING_LOOKUP": _embedding_lookup,
    "GATHER": _gather,
    "MUL": _mul,
    "ADD": _add,
    "SUB": _sub,
    "MAXIMUM": _minimum,
    "MINIMUM": _minimum,
    "TRANSPOSE": _transpose,
    "TRANSPOSE_CONV": _transpose_conv,
    "SPLIT": _split,
    "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice,
    "DEQUANTIZE": _dequantize,
    "QUANTIZE": _quantize,
    "RESIZE_BILINEAR": _resize_bilinear,
    "RESIZE_NEAREST_NEIGHBOR": _resize_nearest,
    "SPACE_TO_BATCH_ND": _to_batch,
    "BATCH_TO_SPACE_ND": _to_batch,
    "BATCH_MATMUL": _batch_matmul,
    "PAD": _pad,
    "PADV2": _pad,
    "CAST": _cast,
    "SELECT": _select,
    "FILL": _fill,
    "WHERE": _where,
    "BROADCAST_TO": _broadcast_to,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _sequence_lstm,
    "BIDIRECTIONAL_SEQUENCE_LSTM": _both_ways,
    "BIDIRECTIONAL_SEQUENCE_RNN": _both_ways,
}
_INT8, _INT8_INT16, _INT8_OR_INT16 = {"int8": 2}, {"int8": 2, "int16": 3}, {"int8": 2, "int16": 2}
_BY_TYPE: dict[str, dict[str, int]] = {
    **dict.fromkeys(("MAX_POOL_2D", "AVERAGE_POOL_2D", "TANH", "LOGISTIC", "SOFTMAX", "MEAN"), _INT8_INT16),
    **dict.fromkeys(("MIRROR_PAD", "REDUCE_MAX", "REDUCE_MIN", "RELU6", "RSQRT", "CONCATENATION"), _INT8_INT16),
    **dict.fromkeys(("PACK", "LESS", "GREATER_EQUAL", "TOPK_V2"), _INT8_INT16),
    **dict.fromkeys(("SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "SPLIT_V", "SUM", "LOG_SOFTMAX", "GREATER"), _INT8),
    **dict.fromkeys(("LESS_EQUAL", "SQUARED_DIFFERENCE", "L2_NORMALIZATION", "ARG_MAX", "ARG_MIN"), _INT8),
    **dict.fromkeys(("EXP", "LOG", "REDUCE_PROD", "SQRT"), _INT8_OR_INT16),
    "RELU": {"int8": 2, "uint8": 2, "int16": 3},
    "LEAKY_RELU": {"int16": 2},
    "GELU": {"int8": 2, "uint8": 2},
    "ABS": {"int8": 2, "uint8": 2, "int16": 3, "int32": 5},
    "TILE": {"string": 2, "int8": 3},
    "REVERSE_V2": {"bool": 2, "int8": 3},
    "EQUAL": {"int8": 2, "string": 3, "int16": 5},
    "NOT_EQUAL": {"int8": 2, "string": 3, "int16": 4},
    "SQUEEZE": {"string": 2},
    "UNPACK": {"int8": 2, "uint8": 2, "bool": 3, "int16": 4},
    "FLOOR_DIV": {"float32": 2, "int8": 3, "int16": 3},
    "SELECT_V2": {"uint32": 2},
}
