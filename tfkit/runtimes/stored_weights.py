"""The weights in a `.tflite` file, as the file holds them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from numpy.typing import NDArray

from tfkit.arguments import takes_text

_KERNEL_OPERATORS = {
    schema.BuiltinOperator.CONV_2D: 1,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: 1,
    schema.BuiltinOperator.FULLY_CONNECTED: 1,
    schema.BuiltinOperator.TRANSPOSE_CONV: 1,
}
_TYPES = {
    schema.TensorType.INT8: np.int8,
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.FLOAT16: np.float16,
}


@dataclass(frozen=True)
class StoredWeights:
    """The kernels of a file, counted.

    Attributes:
        weights: How many weights convolutions and dense layers have.
        zeros: How many of them are zero.
    """

    weights: int
    zeros: int

    @property
    def share(self) -> float:
        """Share of zeros, 0 to 1."""
        return self.zeros / max(1, self.weights)


@takes_text
def read_stored_weights(path: Path) -> StoredWeights:
    """Count the weights and the zeros in the kernels of a `.tflite` file.

    Args:
        path: The file.

    Returns:
        The counts, over convolutions and dense layers; a kernel that two operators share counts once.

    Example:
        >>> 0 <= read_stored_weights(Path("model_int8.tflite")).share < 0.1  # nothing was pruned
        True
    """
    # read_model would keep the file open for as long as the process lives.
    model: schema.ModelT = flatbuffer_utils.read_model_from_bytearray(bytearray(path.read_bytes()))
    weights = zeros = 0
    for graph in model.subgraphs:
        for number in sorted(_kernels(model, graph)):
            tensor = graph.tensors[number]
            values = _values(tensor, model.buffers[tensor.buffer].data)
            weights += values.size
            zeros += values.size - int(np.count_nonzero(values))
    return StoredWeights(weights, zeros)


def _kernels(model: schema.ModelT, graph: schema.SubGraphT) -> set[int]:
    """The tensors that are some operator's kernel; a float16 file's are behind a DEQUANTIZE."""
    sources = {
        int(operator.outputs[0]): int(operator.inputs[0])
        for operator in graph.operators
        if model.operatorCodes[operator.opcodeIndex].builtinCode == schema.BuiltinOperator.DEQUANTIZE
    }
    found = set()
    for operator in graph.operators:
        place = _KERNEL_OPERATORS.get(model.operatorCodes[operator.opcodeIndex].builtinCode)
        if place is not None:
            kernel = int(operator.inputs[place])
            found.add(sources.get(kernel, kernel))
    return found


def _values(tensor: schema.TensorT, data: NDArray[np.uint8] | None) -> NDArray[np.number]:
    if data is None or len(data) == 0:
        return np.empty(0, np.int8)
    octets = np.frombuffer(bytes(data), np.uint8)
    if tensor.type == schema.TensorType.INT4:
        halves = np.stack([octets & 0xF, octets >> 4], axis=-1).ravel()
        return halves[: int(np.prod(tensor.shape))]
    kind = _TYPES.get(tensor.type)
    return np.empty(0, np.int8) if kind is None else octets.view(kind)
