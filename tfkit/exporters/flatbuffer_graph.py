"""The subgraph of a `.tflite` file for those who read on: tensors with their numbers, operators with options."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from tfkit.errors import ExportError

_DTYPES: dict[int, np.dtype[Any]] = {
    schema.TensorType.FLOAT32: np.dtype("float32"),
    schema.TensorType.FLOAT16: np.dtype("float16"),
    schema.TensorType.INT64: np.dtype("int64"),
    schema.TensorType.INT32: np.dtype("int32"),
    schema.TensorType.INT16: np.dtype("int16"),
    schema.TensorType.INT8: np.dtype("int8"),
    schema.TensorType.UINT8: np.dtype("uint8"),
    schema.TensorType.BOOL: np.dtype("bool"),
    schema.TensorType.INT4: np.dtype("int8"),
}


@dataclass(frozen=True)
class FileTensor:
    """A tensor of the file.

    Attributes:
        number: Its place in the file's table.
        name: Its name.
        shape: Its sizes, with a batch of one.
        dtype: Of what the file stores.
        scales: float32 (channels,) or (1,); None where it is not quantised.
        zero_points: int64, as many as scales.
        axis: The axis that the scales go along.
        stored: The constant's numbers, in the tensor's shape; None of what is computed.
    """

    number: int
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scales: NDArray[np.float32] | None
    zero_points: NDArray[np.int64]
    axis: int
    stored: NDArray[np.generic] | None

    @property
    def is_activation_grid(self) -> bool:
        """Whether what is computed is rounded to the steps of 8 or 16 bits."""
        return self.stored is None and self.scales is not None and self.dtype.itemsize <= 2

    @cached_property
    def real(self) -> NDArray[np.generic]:
        """The constant's real numbers: what its integers stand for."""
        if self.stored is None:
            raise ExportError(f"the tensor '{self.name}' is expected to be a constant", hint="export another format")
        if self.scales is None:
            return self.stored.astype(np.float32) if self.dtype == np.float16 else self.stored
        along = [1] * len(self.shape)
        if len(self.scales) > 1:
            along[self.axis] = -1
        offset = self.stored.astype(np.int64) - self.zero_points.reshape(along)
        return (offset * self.scales.astype(np.float64).reshape(along)).astype(np.float32)


@dataclass(frozen=True)
class FileOperator:
    """An operator of the file.

    Attributes:
        name: `CONV_2D`.
        inputs: Numbers of its tensors; -1 for one that is left out.
        outputs: Numbers of its tensors.
        options: Its options, as LiteRT's schema has them.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any


@dataclass(frozen=True)
class FileGraph:
    """What a `.tflite` file computes.

    Attributes:
        tensors: By number.
        operators: In the order they run.
        inputs: The number of each input's tensor, by the name its signature has for it.
        outputs: The same of the outputs.
    """

    tensors: tuple[FileTensor, ...]
    operators: tuple[FileOperator, ...]
    inputs: dict[str, int]
    outputs: dict[str, int]


def read_file_graph(flatbuffer: bytes) -> FileGraph:
    """Read the graph of a `.tflite` file that tfkit has written.

    Args:
        flatbuffer: The file's bytes.

    Returns:
        Its main subgraph.

    Raises:
        ExportError: When a tensor has a type that ONNX files are not made with.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(flatbuffer, 0))
    graph = model.subgraphs[0]
    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    tensors = tuple(_tensor(model, number, tensor) for number, tensor in enumerate(graph.tensors))
    operators = tuple(
        FileOperator(
            names[codes[operator.opcodeIndex]],
            tuple(map(int, operator.inputs)),
            tuple(map(int, operator.outputs)),
            operator.builtinOptions,
        )
        for operator in graph.operators
    )
    if model.signatureDefs:
        signature = model.signatureDefs[0]
        inputs = {entry.name.decode(): entry.tensorIndex for entry in signature.inputs}
        outputs = {entry.name.decode(): entry.tensorIndex for entry in signature.outputs}
    else:
        inputs = {tensors[number].name: number for number in graph.inputs}
        outputs = {tensors[number].name: number for number in graph.outputs}
    return FileGraph(tensors, operators, inputs, outputs)


def _tensor(model: Any, number: int, tensor: Any) -> FileTensor:
    name = tensor.name.decode()
    if tensor.type not in _DTYPES:
        kinds = {value: kind for kind, value in vars(schema.TensorType).items() if isinstance(value, int)}
        raise ExportError(
            f"the tensor '{name}' has the type {kinds[tensor.type]}, which ONNX files are not made with",
            hint="export another format",
        )
    dtype = _DTYPES[tensor.type]
    shape = tuple(map(int, tensor.shape)) if tensor.shape is not None else ()
    buffer = model.buffers[tensor.buffer].data if tensor.buffer else None
    stored = None
    if buffer is not None and len(buffer):
        content = np.asarray(buffer, np.uint8)
        is_packed = tensor.type == schema.TensorType.INT4
        numbers = _unpacked(content, int(np.prod(shape, dtype=int))) if is_packed else content.view(dtype)
        stored = numbers.reshape(shape)
    quantization = tensor.quantization
    scaled = quantization is not None and quantization.scale is not None and len(quantization.scale) > 0
    scales = np.asarray(quantization.scale, np.float32) if scaled else None
    zeros = np.zeros(1 if scales is None else len(scales), np.int64)
    if scaled and quantization.zeroPoint is not None:
        zeros = zeros + np.asarray(quantization.zeroPoint, np.int64)
    axis = int(quantization.quantizedDimension) if scaled else 0
    return FileTensor(number, name, shape, dtype, scales, zeros, axis, stored)


def _unpacked(pairs: NDArray[np.uint8], count: int) -> NDArray[np.int8]:
    """Integers of 4 bits, the lower half of each byte first."""
    halves = np.stack([pairs << 4, pairs & 0xF0], axis=-1).reshape(-1)[:count]
    return halves.view(np.int8) >> 4
