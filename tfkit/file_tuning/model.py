"""An integer `.tflite` file as a Keras model whose weights train: it computes in the file's own steps."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfkit.errors import ModelError
from tfkit.exporters.flatbuffer_graph import FileGraph, FileOperator, FileTensor, read_file_graph
from tfkit.file_tuning.operators import HANDED_ON, LAST, RULES, WEIGHTED, rounded
from tfkit.files import read_regular_file

_BYTES = 1  # of the integers that train


class IntegerFileModel(keras.Model):
    """What an integer `.tflite` file computes, from its input's integers to its output's, any number of examples.

    Kernels of convolutions and fully connected layers, their scales and biases are its weights. They start as what the
    file holds, so that an untrained model answers as the file does, up to a step where a sum lies between two.

    Args:
        graph: The file.

    Raises:
        ModelError: When the file has operators that have no rule, or no integer weights; names all operators.

    Example:
        >>> model = read_integer_file(Path("model_int8.tflite"))
        >>> model(np.zeros((1, 16, 16, 1), np.float32)).shape
        TensorShape([1, 2])
    """

    def __init__(self, graph: FileGraph) -> None:
        super().__init__(name="integer_file")
        # Sizes of tensors, which converters let a file compute, are known here.
        self.operators = [one for one in graph.operators if _computes_numbers(graph.tensors[one.outputs[0]])]
        if unknown := sorted({operator.name for operator in self.operators} - set(RULES)):
            raise ModelError(
                f"no rule trains: {', '.join(unknown)}",
                hint="tune a file of convolutions, pooling, sums and fully connected layers",
            )
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise ModelError(
                f"the file has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; expected one each"
            )
        self.graph = graph
        self.kernels: dict[int, keras.Variable] = {}
        self.scales: dict[int, keras.Variable] = {}
        self.biases: dict[int, keras.Variable] = {}
        for operator in self.operators:
            if operator.name in WEIGHTED:
                self._take(operator.inputs)
        if not self.kernels:
            raise ModelError("the file has no integer weights to train", hint="name an int8 or uint8 .tflite file")
        self.built = True

    def _take(self, inputs: tuple[int, ...]) -> None:
        kernel = self.graph.tensors[inputs[1]]
        if kernel.stored is None or kernel.scales is None or kernel.dtype.itemsize != _BYTES:
            return
        if kernel.number not in self.kernels:
            name, zero = f"tensor_{kernel.number}", kernel.zero_points.reshape(_along(kernel))
            steps = np.asarray(kernel.stored, np.float32) - zero
            self.kernels[kernel.number] = self.add_weight(  # in the file's steps
                shape=steps.shape, initializer=keras.initializers.Constant(steps), name=f"{name}_kernel"
            )
            self.scales[kernel.number] = self.add_weight(  # logarithm of how many times larger than the file's
                shape=kernel.scales.shape, initializer="zeros", name=f"{name}_scale"
            )
        if len(inputs) > 2 and inputs[2] >= 0 and inputs[2] not in self.biases:
            bias = self.graph.tensors[inputs[2]]
            self.biases[bias.number] = self.add_weight(  # what is added to it, in the output's steps
                shape=bias.shape, initializer="zeros", name=f"tensor_{bias.number}_bias"
            )

    def tensor(self, number: int) -> FileTensor:
        """The file's tensor."""
        return self.graph.tensors[number]

    def kernel(self, number: int) -> tuple[tf.Tensor, tf.Tensor]:
        """A kernel's integers less their zero point, and its scale."""
        tensor = self.tensor(number)
        if number not in self.kernels:
            zero = np.reshape(tensor.zero_points, _along(tensor))
            return tf.constant(np.asarray(tensor.stored, np.float32) - zero, tf.float32), tf.constant(tensor.scales)
        steps = np.asarray(tensor.scales)
        scale = steps * tf.exp(tf.convert_to_tensor(self.scales[number]))
        low, high = ends(tensor)
        along = tf.reshape(scale, _along(tensor))
        grown = along / steps.reshape(_along(tensor))
        return tf.clip_by_value(rounded(tf.convert_to_tensor(self.kernels[number]) / grown), low, high), scale

    def bias(self, number: int, step: tf.Tensor, out: float) -> tf.Tensor:
        """A bias in whole steps of one size, where the output has steps of another."""
        tensor = self.tensor(number)
        held = tf.constant(np.asarray(tensor.stored), tf.float32)
        if number not in self.biases:
            return held
        before = held if tensor.scales is None else held * (tensor.scales / step)
        return rounded(before + tf.convert_to_tensor(self.biases[number]) * (out / step))

    def call(self, inputs: Any) -> Any:
        """The output's integers for the input's."""
        return self._run(inputs)[next(iter(self.graph.outputs.values()))]

    def logits(self, inputs: Any) -> Any:
        """What the file's last softmax or sigmoid is given, or its output where it ends in none: real numbers."""
        number = self._last.inputs[0] if self._last else next(iter(self.graph.outputs.values()))
        values = self._run(inputs)
        tensor = self.tensor(number)
        if tensor.scales is None:
            return values[number]
        return (values[number] - float(tensor.zero_points[0])) * float(tensor.scales[0])

    @property
    def ends_in_function(self) -> bool:
        """Whether its scores come from a softmax or a sigmoid."""
        return self._last is not None

    @property
    def ends_in_sigmoid(self) -> bool:
        """Whether each score comes from a sigmoid."""
        return self._last is not None and self._last.name == "LOGISTIC"

    @property
    def _last(self) -> FileOperator | None:
        (output,) = self.graph.outputs.values()
        for operator in reversed(self.graph.operators):
            if output in operator.outputs and operator.name in LAST:
                return operator
            if output in operator.outputs and operator.name in HANDED_ON:
                output = operator.inputs[0]
        return None

    def _run(self, inputs: Any) -> dict[int, tf.Tensor]:
        (given,) = self.graph.inputs.values()
        job = _Pass(self, {int(given): tf.cast(inputs, tf.float32)})
        for operator in self.operators:
            job.values[operator.outputs[0]] = RULES[operator.name](job, operator)
        return job.values


def _computes_numbers(tensor: FileTensor) -> bool:
    return tensor.scales is not None or tensor.dtype.kind == "f"


@dataclass(frozen=True)
class _Pass:
    """One pass through the file, and what it has computed so far."""

    model: IntegerFileModel
    values: dict[int, tf.Tensor]

    def tensor(self, number: int) -> FileTensor:
        """The file's tensor."""
        return self.model.tensor(number)

    def steps(self, number: int) -> tf.Tensor:
        """The integers of a tensor, computed or stored, as float32."""
        if number in self.values:
            return self.values[number]
        return tf.constant(np.asarray(self.tensor(number).stored), tf.float32)

    def kernel(self, number: int) -> tuple[tf.Tensor, tf.Tensor]:
        """A kernel's integers less their zero point, and its scale."""
        return self.model.kernel(number)

    def bias(self, number: int, step: tf.Tensor, out: float) -> tf.Tensor:
        """A bias in whole steps."""
        return self.model.bias(number, step, out)


def ends(tensor: FileTensor) -> tuple[float, float]:
    """The least and the largest of a kernel's integers, less their zero point; of int8 as many on both sides."""
    integers, zero = np.iinfo(tensor.dtype), int(tensor.zero_points[0])
    low = -127 if tensor.dtype == np.int8 and zero == 0 else integers.min - zero
    held = np.asarray(tensor.stored, np.int64) - zero
    return float(min(low, held.min())), float(integers.max - zero)


def _along(tensor: FileTensor) -> list[int]:
    """The shape in which a tensor's scales stand along their axis."""
    shape = [1] * len(tensor.shape)
    if tensor.scales is not None and len(tensor.scales) > 1:
        shape[tensor.axis] = len(tensor.scales)
    return shape


def read_integer_file(path: Path) -> IntegerFileModel:
    """Read an integer `.tflite` file, of tfkit or from elsewhere, to train it.

    Args:
        path: The file: int8, or uint8 as earlier converters wrote it.

    Returns:
        The model.

    Raises:
        ModelError: When it cannot be read, or trained.
    """
    try:
        return IntegerFileModel(read_file_graph(read_regular_file(path)))
    except OSError as fault:
        raise ModelError(f"cannot read '{path}': {fault.strerror or fault}") from None


def integers_of(model: IntegerFileModel, number: int) -> tuple[NDArray[np.generic], NDArray[np.float32]]:
    """A trained kernel as the file stores it, and its scales."""
    tensor = model.tensor(number)
    steps, scale = model.kernel(number)
    return (np.round(steps.numpy()) + int(tensor.zero_points[0])).astype(tensor.dtype), np.asarray(scale, np.float32)
