"""Put tables of answers into a quantised file where a function has no integer kernel in LiteRT."""

from collections.abc import Mapping, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from numpy.typing import NDArray

from tfkit.errors import ExportError

_OPERATOR = schema.BuiltinOperator
_TYPE = schema.TensorType


def with_own_operators(flatbuffer: bytes, tables: Mapping[str, NDArray[np.int8]], smaller: set[str]) -> bytes:
    """Replace the stand-ins that litert-quantizer has rules for by the operators that are meant.

    A GELU becomes a lookup of its 256 answers: CAST to int32, ADD of 128, GATHER. TensorFlow Lite casts the integers of
    a quantised tensor, and OpenVINO and tf2onnx the real numbers that they stand for; so a MUL by one step's inverse
    and an ADD of the zero point come first, which change no integer and make the two the same. A MAXIMUM becomes a
    MINIMUM, whose kernel compares integers likewise.

    Args:
        flatbuffer: The quantised file.
        tables: int8 (256,) each, the answers for the inputs -128 to 127, by the name of the tensor that is written.
        smaller: The names of the tensors that a MINIMUM shall write.

    Returns:
        The file.

    Raises:
        ExportError: When one of them is not in the file.
    """
    if not tables and not smaller:
        return flatbuffer
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(flatbuffer))
    editing = _Editing(model)
    operators, left = [], set(tables) | smaller
    for operator in editing.graph.operators:
        code = model.operatorCodes[operator.opcodeIndex].builtinCode
        name = editing.graph.tensors[operator.outputs[0]].name.decode()
        if code == _OPERATOR.GELU and name in tables:
            operators += editing.lookup(operator, tables[name])
        else:
            if code == _OPERATOR.MAXIMUM and name in smaller:
                operator.opcodeIndex = editing.code(_OPERATOR.MINIMUM)
            operators.append(operator)
            code = None if code != _OPERATOR.MAXIMUM else code
        left -= {name} if code in (_OPERATOR.GELU, _OPERATOR.MAXIMUM) else set()
    if left:
        raise ExportError(
            f"the file has no operator for {', '.join(sorted(left))}", hint="report it as a fault of tfkit"
        )
    editing.graph.operators = operators
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


class _Editing:
    def __init__(self, model: schema.ModelT) -> None:
        self._model, self.graph = model, model.subgraphs[0]

    def lookup(self, operator: schema.OperatorT, answers: NDArray[np.int8]) -> list[schema.OperatorT]:
        source, target = int(operator.inputs[0]), int(operator.outputs[0])
        shape = self.graph.tensors[target].shape
        if self.graph.tensors[source].type != _TYPE.INT8 or self.graph.tensors[target].type != _TYPE.INT8:
            raise ExportError(
                f"'{self.graph.tensors[target].name.decode()}' is no function of 8-bit numbers",
                hint="leave that layer in float (quantization.skip)",
            )
        name = self.graph.tensors[target].name.decode()
        wide = self._tensor(f"{name}_cast", shape, _TYPE.INT32)
        places = self._tensor(f"{name}_places", shape, _TYPE.INT32)
        first = self._tensor(f"{name}_first", [], _TYPE.INT32, np.array(128, "<i4"))
        table = self._tensor(f"{name}_answers", [len(answers)], _TYPE.INT8, answers)
        self.graph.tensors[table].quantization = self.graph.tensors[target].quantization
        cast, added, gathered = schema.CastOptionsT(), schema.AddOptionsT(), schema.GatherOptionsT()
        cast.inDataType, cast.outDataType = _TYPE.INT8, _TYPE.INT32
        whole, counted = self._whole_numbers(name, source)
        return [
            *counted,
            self._operator(_OPERATOR.CAST, [whole], wide, schema.BuiltinOptions.CastOptions, cast),
            self._operator(_OPERATOR.ADD, [wide, first], places, schema.BuiltinOptions.AddOptions, added),
            self._operator(_OPERATOR.GATHER, [table, places], target, schema.BuiltinOptions.GatherOptions, gathered),
        ]

    def _whole_numbers(self, name: str, source: int) -> tuple[int, list[schema.OperatorT]]:
        """A tensor of the same integers that stand for themselves, and the operators that make it."""
        grid, shape = self.graph.tensors[source].quantization, self.graph.tensors[source].shape
        step, zero = float(grid.scale[0]), int(grid.zeroPoint[0])
        inverse = self._tensor(f"{name}_inverse", [1], _TYPE.INT8, np.array([127], np.int8), grid=(1 / (127 * step), 0))
        steps = self._tensor(f"{name}_steps", shape, _TYPE.INT8, grid=(1.0, zero))
        middle = self._tensor(f"{name}_zero", [1], _TYPE.INT8, np.array([zero], np.int8), grid=(1.0, 0))
        whole = self._tensor(f"{name}_whole", shape, _TYPE.INT8, grid=(1.0, 0))
        times, added = schema.MulOptionsT(), schema.AddOptionsT()
        return whole, [
            self._operator(_OPERATOR.MUL, [source, inverse], steps, schema.BuiltinOptions.MulOptions, times),
            self._operator(_OPERATOR.ADD, [steps, middle], whole, schema.BuiltinOptions.AddOptions, added),
        ]

    def code(self, builtin: int) -> int:
        for place, known in enumerate(self._model.operatorCodes):
            if known.builtinCode == builtin:
                return place
        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = builtin, min(builtin, 127), 1
        self._model.operatorCodes.append(code)
        return len(self._model.operatorCodes) - 1

    def _operator(
        self,
        builtin: int,
        inputs: list[int],
        output: int,
        kind: int,
        options: schema.CastOptionsT | schema.AddOptionsT | schema.GatherOptionsT | schema.MulOptionsT,
    ) -> schema.OperatorT:
        operator = schema.OperatorT()
        operator.opcodeIndex = self.code(builtin)
        operator.inputs, operator.outputs = inputs, [output]
        operator.builtinOptionsType, operator.builtinOptions = kind, options
        return operator

    def _tensor(
        self,
        name: str,
        shape: Sequence[int] | NDArray[np.int32],
        kind: int,
        content: NDArray[np.int32] | NDArray[np.int8] | None = None,
        grid: tuple[float, int] | None = None,
    ) -> int:
        tensor = schema.TensorT()
        if grid is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [grid[0]], [grid[1]]
        tensor.name, tensor.shape, tensor.type, tensor.hasRank = name, list(shape), kind, True
        buffer = schema.BufferT()
        if content is not None:
            buffer.data = np.frombuffer(content.tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        tensor.buffer = len(self._model.buffers) - 1
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1
