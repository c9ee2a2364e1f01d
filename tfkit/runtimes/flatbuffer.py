"""Read what a `.tflite` file really holds: its operators and its tensors, without running it."""

import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ai_edge_litert import schema_py_generated as schema

from tfkit.arguments import takes_text
from tfkit.artifacts import ModelSignature, TensorSpec
from tfkit.errors import ModelError
from tfkit.files import read_regular_file

# The description of every `.tflite` model that tfkit writes; the scale of its input is that of the network inside.
DESCRIPTION = "Written by tfkit. Images go in as raw pixels, 0..255."

_FILE_IDENTIFIER = b"TFL3"
_FLOATS = frozenset({"float16", "float32", "float64", "bfloat16"})
_HANDED_ON = frozenset({"QUANTIZE", "DEQUANTIZE", "CAST", "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "IDENTITY"})
_CONVERSIONS = frozenset({"QUANTIZE", "DEQUANTIZE"})


@dataclass(frozen=True)
class Operator:
    """One operator of a `.tflite` file.

    Attributes:
        index: Its place in the file, over all subgraphs.
        name: The builtin operator's name (`CONV_2D`), or the custom one's (`FlexErf`).
        custom: Whether it is no builtin: the plain interpreter of a phone does not know it.
        is_float: Whether it computes on float tensors. Conversions at the model's border and of constants
            (`QUANTIZE` of a float input, `DEQUANTIZE` of a float output or of float16 weights) do not count.
        layer: The name of its first output tensor, which holds the Keras layer's name.
        inputs: NumPy's names of its inputs' types.
        outputs: NumPy's names of its outputs' types.
        shapes: The shapes of its outputs.
    """

    index: int
    name: str
    custom: bool
    is_float: bool
    layer: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]


@takes_text
def read_operators(path: Path) -> tuple[Operator, ...]:
    """Read the operators of a `.tflite` file, in the order they run, subgraph after subgraph.

    The file is read with LiteRT's own schema
    (https://github.com/google-ai-edge/LiteRT/blob/main/tflite/schema/schema.fbs).

    Args:
        path: The file.

    Returns:
        Its operators.

    Raises:
        ModelError: When the file is missing, damaged or no `.tflite` file.

    Example:
        >>> [operator.layer for operator in read_operators(Path("model_int8.tflite")) if operator.is_float]
        []
    """
    with opened_flatbuffer(path) as model:
        operators: list[Operator] = []
        for number in range(model.SubgraphsLength()):
            graph = model.Subgraphs(number)
            for place in range(graph.OperatorsLength()):
                operators.append(_read_operator(model, graph, graph.Operators(place), index=len(operators)))
        return tuple(operators)


@takes_text
def read_signature(path: Path) -> ModelSignature:
    """Read the inputs and outputs of a `.tflite` file.

    Args:
        path: The file.

    Returns:
        The tensors of its first signature, or of its main subgraph when it has no signature.

    Raises:
        ModelError: When the file is missing, damaged or no `.tflite` file.

    Example:
        >>> read_signature(Path("model_int8.tflite")).inputs[0].dtype
        'uint8'
    """
    with opened_flatbuffer(path) as model:
        if model.SignatureDefsLength():
            signature = model.SignatureDefs(0)
            graph = model.Subgraphs(signature.SubgraphIndex())
            inputs = [signature.Inputs(number) for number in range(signature.InputsLength())]
            outputs = [signature.Outputs(number) for number in range(signature.OutputsLength())]
            return ModelSignature(
                inputs=tuple(_tensor_spec(graph, entry.TensorIndex(), entry.Name()) for entry in inputs),
                outputs=tuple(_tensor_spec(graph, entry.TensorIndex(), entry.Name()) for entry in outputs),
            )
        graph = model.Subgraphs(0)
        return ModelSignature(
            inputs=tuple(_tensor_spec(graph, graph.Inputs(n)) for n in range(graph.InputsLength())),
            outputs=tuple(_tensor_spec(graph, graph.Outputs(n)) for n in range(graph.OutputsLength())),
        )


@takes_text
def read_last_function(path: Path) -> str:
    """The function that a `.tflite` file ends in, behind reshapes and conversions of its scores.

    Args:
        path: The file.

    Returns:
        `softmax`, `sigmoid`, `linear` for an operator with weights, `unknown` for anything else.
    """
    functions = {"SOFTMAX": "softmax", "LOGISTIC": "sigmoid", "FULLY_CONNECTED": "linear", "CONV_2D": "linear"}
    for operator in reversed(read_operators(path)):
        if operator.name not in _HANDED_ON:
            return functions.get(operator.name, "unknown")
    return "unknown"


def takes_raw_pixels(path: Path) -> bool:
    """Whether a `.tflite` file says that images go in as raw pixels 0..255, whatever its input's scale: tfkit's do.

    Example:
        >>> takes_raw_pixels(Path("model_int8.tflite"))
        True
    """
    with opened_flatbuffer(path) as model:
        return (model.Description() or b"").decode(errors="replace") == DESCRIPTION


@takes_text
def scale_that_is_no_number(path: Path) -> str | None:
    """Find the first tensor of a `.tflite` file whose scale is NaN or infinite; LiteRT's kernels crash on some.

    Args:
        path: The file.

    Returns:
        The tensor's name, or None.

    Raises:
        ModelError: When the file is missing, damaged or no `.tflite` file.
    """
    with opened_flatbuffer(path) as model:
        for graph in map(model.Subgraphs, range(model.SubgraphsLength())):
            for tensor in map(graph.Tensors, range(graph.TensorsLength())):
                given = tensor.Quantization()
                if given is not None and not all(map(math.isfinite, map(given.Scale, range(given.ScaleLength())))):
                    return str((tensor.Name() or b"").decode(errors="replace"))
    return None


@contextmanager
def opened_flatbuffer(path: Path) -> Iterator[schema.Model]:
    """The file's model; a fault while it is read is a damaged file, for its parts are only found when asked for."""
    try:
        content = read_regular_file(path)
    except OSError as fault:
        raise ModelError(f"cannot read '{path}': {fault.strerror}", hint="name a .tflite file") from None
    if content[4:8] != _FILE_IDENTIFIER:
        raise ModelError(f"'{path}' is not a .tflite file", hint="name a .tflite file, or a SavedModel's folder")
    try:
        model = schema.Model.GetRootAs(content, 0)
        if model.SubgraphsLength() == 0:
            raise ModelError(f"'{path}' holds no graph", hint="export the model again")
        yield model
    except (IndexError, KeyError, ValueError, TypeError, AttributeError, struct.error) as fault:
        raise ModelError(f"'{path}' is damaged: {fault}", hint="export or download it again") from None


def _names_of(enumeration: type) -> dict[int, str]:
    return {code: name for name, code in vars(enumeration).items() if isinstance(code, int)}


def _type_name(tensor: schema.Tensor) -> str:
    return _names_of(schema.TensorType)[tensor.Type()].lower()


def _read_operator(model: schema.Model, graph: schema.SubGraph, operator: schema.Operator, *, index: int) -> Operator:
    code = model.OperatorCodes(operator.OpcodeIndex())
    # Codes above 126 do not fit the old one-byte field; the larger of the two is the right one.
    number = max(code.DeprecatedBuiltinCode(), code.BuiltinCode())
    custom = number == schema.BuiltinOperator.CUSTOM
    name = code.CustomCode().decode() if custom else _names_of(schema.BuiltinOperator)[number]
    inputs = [operator.Inputs(n) for n in range(operator.InputsLength()) if operator.Inputs(n) >= 0]
    outputs = [operator.Outputs(n) for n in range(operator.OutputsLength())]
    tensors = [graph.Tensors(n) for n in outputs]
    return Operator(
        index=index,
        name=name,
        custom=custom,
        is_float=_computes_in_float(model, graph, name, inputs, outputs),
        layer=tensors[0].Name().decode() if tensors else "",
        inputs=tuple(_type_name(graph.Tensors(n)) for n in inputs),
        outputs=tuple(_type_name(tensor) for tensor in tensors),
        shapes=tuple(_shape(tensor) for tensor in tensors),
    )


def _computes_in_float(
    model: schema.Model, graph: schema.SubGraph, name: str, inputs: list[int], outputs: list[int]
) -> bool:
    if not any(_type_name(graph.Tensors(n)) in _FLOATS for n in (*inputs, *outputs)):
        return False
    if name not in _CONVERSIONS:
        return True
    at_input = inputs[0] in {graph.Inputs(n) for n in range(graph.InputsLength())}
    at_output = outputs[0] in {graph.Outputs(n) for n in range(graph.OutputsLength())}
    return not (at_input or at_output or _is_constant(model, graph.Tensors(inputs[0])))


def _is_constant(model: schema.Model, tensor: schema.Tensor) -> bool:
    buffer = model.Buffers(tensor.Buffer())
    return bool(buffer.DataLength() or buffer.Size())


def _shape(tensor: schema.Tensor) -> tuple[int, ...]:
    return tuple(tensor.Shape(n) for n in range(tensor.ShapeLength()))


def _tensor_spec(graph: schema.SubGraph, number: int, name: bytes | None = None) -> TensorSpec:
    tensor = graph.Tensors(number)
    shape: tuple[int | None, ...] = _shape(tensor)
    if tensor.ShapeSignatureLength():
        sizes = (tensor.ShapeSignature(n) for n in range(tensor.ShapeSignatureLength()))
        shape = tuple(None if size < 0 else size for size in sizes)
    quantization = tensor.Quantization()
    quantized = quantization is not None and quantization.ScaleLength() == 1
    return TensorSpec(
        name=(name or tensor.Name()).decode(),
        shape=shape,
        dtype=_type_name(tensor),
        scale=float(quantization.Scale(0)) if quantized else None,
        zero_point=_zero_point(quantization) if quantized else None,
    )


def _zero_point(quantization: schema.QuantizationParameters) -> int:
    return int(quantization.ZeroPoint(0)) if quantization.ZeroPointLength() else 0
