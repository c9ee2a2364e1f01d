"""Find which tensor of a `.tflite` file is which tensor of a Keras model, by the values they hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from tfkit.runtimes import held_native_output

# Of float32 computed in another order, over networks of some hundred layers.
_TOLERANCE = 2e-3
_SAMPLES = 2


@dataclass(frozen=True)
class FileTensor:
    """A tensor that some operator of a file writes, or the file's input.

    Attributes:
        index: Its number in the file.
        name: Its name in the file.
        operator: The name of the operator that writes it; empty for the input.
        values: What it held for each sample, (samples, *its shape without the batch).
    """

    index: int
    name: str
    operator: str
    values: NDArray[np.float32]


def read_tensors(flatbuffer: bytes, samples: NDArray[Any]) -> tuple[FileTensor, ...]:
    """Run a file and keep what each of its tensors holds, integers as the real numbers they stand for.

    Args:
        flatbuffer: The `.tflite` file.
        samples: (n, ...) inputs of the file's own type.

    Returns:
        The tensors that operators write, in running order, the input first.
    """
    with held_native_output():
        # The reference kernels keep every tensor; the delegates fuse them away.
        interpreter = Interpreter(
            model_content=flatbuffer,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
        interpreter.allocate_tensors()
        source = interpreter.get_input_details()[0]
        written = {source["index"]: ""}
        for operator in interpreter._get_ops_details():
            written.update(dict.fromkeys((int(number) for number in operator["outputs"]), operator["op_name"]))
        details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
        seen: dict[int, list[NDArray[np.float32]]] = {number: [] for number in written}
        for sample in samples:
            interpreter.set_tensor(source["index"], sample[np.newaxis].astype(source["dtype"]))
            interpreter.invoke()
            for number, kept in seen.items():
                kept.append(_real(interpreter.get_tensor(number), details[number]))
    return tuple(
        FileTensor(number, details[number]["name"], written[number], np.stack(kept)) for number, kept in seen.items()
    )


def keras_values(model: keras.Model, tensors: Sequence[Any], samples: NDArray[Any]) -> list[NDArray[np.float32]]:
    """Compute inner tensors of a functional model.

    Args:
        model: The model.
        tensors: Its Keras tensors, each once or more.
        samples: (n, ...) inputs.

    Returns:
        One array for each tensor, the batch first.
    """
    distinct = list({id(tensor): tensor for tensor in tensors}.values())
    probe = keras.Model(model.inputs, distinct)
    values = [[keras.ops.convert_to_numpy(value) for value in probe(sample[np.newaxis], training=False)] for sample in samples]
    found = {id(tensor): np.concatenate(column) for tensor, column in zip(distinct, zip(*values, strict=True), strict=True)}
    return [found[id(tensor)] for tensor in tensors]


def match_tensors(
    file_tensors: Sequence[FileTensor], values: Sequence[NDArray[np.float32]]
) -> dict[int, int]:
    """Match a float file's tensors with a Keras model's.

    Args:
        file_tensors: What `read_tensors` gave.
        values: Keras tensors' values for the same samples.

    Returns:
        For each file tensor's index that has one, the place of the nearest equal Keras tensor.
    """
    by_size: dict[int, list[int]] = {}
    for place, value in enumerate(values):
        by_size.setdefault(value[0].size, []).append(place)
    matches: dict[int, int] = {}
    for tensor in file_tensors:
        candidates = by_size.get(tensor.values[0].size, [])
        errors = [(_difference(values[place], tensor.values), place) for place in candidates]
        if errors and min(errors)[0] <= _TOLERANCE:
            matches[tensor.index] = min(errors)[1]
    return matches


def _difference(expected: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    """The largest difference, as a share of the largest value."""
    difference = float(np.max(np.abs(expected.ravel() - found.ravel())))
    return difference / max(float(np.max(np.abs(expected))), 1e-12)


def _real(values: NDArray[Any], detail: dict[str, Any]) -> NDArray[np.float32]:
    parameters = detail["quantization_parameters"]
    if len(parameters["scales"]) == 1:
        return np.asarray((values[0].astype(np.float64) - parameters["zero_points"][0]) * parameters["scales"][0], np.float32)
    return np.asarray(values[0] if values.ndim else values, np.float32)
