"""A `.tflite` file's graph as an ONNX model: the same operators, and the same steps of every quantised tensor.

Each quantised tensor becomes a QuantizeLinear and a DequantizeLinear (https://onnx.ai/onnx/operators, and onnxruntime's
"QDQ" format, https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html) with the scale and zero
point that the file has. Its 8-bit activations are written as uint8, with 128 added to the integers and to the zero
point: the same numbers, in the type that x86 computes fastest with.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, DTypeLike, NDArray
from onnx import TensorProto, helper, numpy_helper

from tfkit.errors import ExportError
from tfkit.exporters.flatbuffer_graph import FileGraph, FileOperator, FileTensor

INSTEAD = "leave the onnx formats out of export.formats, or build the model without it"
TO_CHANNELS_FIRST, TO_CHANNELS_LAST = (0, 3, 1, 2), (0, 2, 3, 1)
_LEAST_OPSET = 17
_IR_VERSIONS = {17: 8, 18: 8, 19: 9, 20: 9, 21: 10}  # https://github.com/onnx/onnx/blob/main/docs/Versioning.md


@dataclass
class Translation:
    """An ONNX graph that grows operator by operator.

    A computed tensor of four axes is held with its channels last, as in the file, with its channels first, as ONNX's
    convolutions have them, or both ways; a Transpose stands between them only where one is needed.

    The examples of a batch stand along the first axis of every computed value. A file's batch is one, so that its
    shapes may have dropped it: a tensor whose first size is another has the batch before all its axes here.

    Attributes:
        graph: What is translated.
        opset: The least version of ONNX's operators that the nodes need.
    """

    graph: FileGraph
    opset: int = _LEAST_OPSET
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    _named: dict[tuple[str, tuple[int, ...], bytes], str] = field(default_factory=dict)
    _held: dict[tuple[int, bool], str] = field(default_factory=dict)
    _thinned: dict[tuple[int, tuple[int, int]], str] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def tensor(self, number: int) -> FileTensor:
        """A tensor of the file."""
        return self.graph.tensors[number]

    def need(self, opset: int) -> None:
        """Say that a node needs this version of ONNX's operators."""
        self.opset = max(self.opset, opset)

    def node(self, kind: str, inputs: Sequence[str], *, outputs: int = 1, **attributes: Any) -> str:
        """Add a node and give the name of its first output; the others are `NAME_1`, `NAME_2`."""
        name = self._fresh(kind.lower())
        names = [name, *(f"{name}_{place}" for place in range(1, outputs))]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=name, **attributes))
        return name

    def constant(self, values: ArrayLike, dtype: DTypeLike | None = None) -> str:
        """The name of a constant; the same numbers are stored once."""
        array = np.asarray(values, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._named:
            self._named[key] = self._fresh("constant")
            self.constants.append(numpy_helper.from_array(array, self._named[key]))
        return self._named[key]

    def is_constant(self, number: int) -> bool:
        """Whether the file stores a tensor's numbers."""
        return self.tensor(number).stored is not None

    def is_first(self, number: int) -> bool:
        """Whether a computed tensor is at hand only with its channels first."""
        return (number, True) in self._held and (number, False) not in self._held

    def value(self, number: int, *, first: bool = False) -> str:
        """The name of a tensor's real numbers, or of its integers where it has no scale.

        Args:
            number: The tensor.
            first: Whether its channels stand behind the batch. A constant of fewer axes is given four.
        """
        if (number, first) not in self._held:
            tensor = self.tensor(number)
            if tensor.stored is not None:
                self._held[number, first] = self._stored(tensor, first=first)
            elif (number, not first) in self._held:
                there = self._held[number, not first]
                turned = TO_CHANNELS_FIRST if first else TO_CHANNELS_LAST
                self._held[number, first] = self.node("Transpose", [there], perm=turned)
            else:
                raise ExportError(f"the tensor '{tensor.name}' is read before it is computed", hint="export it again")
        return self._held[number, first]

    def thinned(self, number: int, strides: tuple[int, int]) -> str:
        """A quantised value with its channels first, of which every so many rows and columns are kept.

        Its integers are taken, so that the steps stand behind the choice and are exactly the same.
        """
        name = self.value(number, first=True)
        if (number, strides) not in self._thinned:
            steps = next(node for node in self.nodes if name in node.output)
            if steps.op_type != "DequantizeLinear":
                raise ExportError(f"the tensor '{self.tensor(number).name}' has no steps", hint="export it again")
            ends = [np.iinfo(np.int64).max] * 2
            given = [steps.input[0], *(self.constant(each, np.int64) for each in ([0, 0], ends, [2, 3], strides))]
            kept = self.node("Slice", given)
            self._thinned[number, strides] = self.node("DequantizeLinear", [kept, *steps.input[1:]])
        return self._thinned[number, strides]

    def lead(self, number: int) -> int:
        """How many axes a computed value has before those of the file: one where its shape has no batch of one."""
        shape = self.tensor(number).shape
        return 0 if self.is_constant(number) or not shape or shape[0] == 1 else 1

    def sizes(self, number: int) -> list[int]:
        """The sizes of a computed value, for a Reshape: -1 for the batch."""
        shape = self.tensor(number).shape
        return [-1, *shape[1 - self.lead(number) :]]

    def shaped(self, name: str, sizes: Sequence[int]) -> str:
        """A Reshape."""
        return self.node("Reshape", [name, self.constant(list(sizes), np.int64)])

    def led(self, number: int) -> str:
        """A computed value with the batch before all the axes that the file has for it."""
        value = self.value(number)
        return value if self.lead(number) else self.shaped(value, [-1, *self.tensor(number).shape])

    def put_led(self, number: int, name: str) -> None:
        """As `put`, for a value with the batch before all the axes that the file has for it."""
        self.put(number, name if self.lead(number) else self.shaped(name, self.sizes(number)))

    def weights(self, number: int, turned: tuple[int, ...]) -> str:
        """A kernel as int8 or float32 with its axes in another order, de-quantised where it has a scale.

        Args:
            number: A constant.
            turned: Which of the file's axes stands in each place.
        """
        tensor = self.tensor(number)
        if tensor.stored is None:
            raise ExportError(f"the kernel '{tensor.name}' is computed, not stored", hint="export another format")
        if tensor.scales is None:
            return self.constant(np.transpose(tensor.real, turned))
        return self._dequantized(np.transpose(tensor.stored, turned), tensor, axis=turned.index(tensor.axis))

    def bias(self, number: int) -> str:
        """A bias: int32 numbers with a scale for each channel, or float32."""
        tensor = self.tensor(number)
        if tensor.stored is None or tensor.scales is None or tensor.dtype != np.int32:
            return self.value(number)
        return self._dequantized(tensor.stored, tensor)

    def put(self, number: int, name: str, *, first: bool = False, activation: int = 0) -> None:
        """Say which value a tensor of the file is: its fused activation, then its steps are put behind it."""
        tensor = self.tensor(number)
        name = self._activated(name, activation, tensor)
        if tensor.is_activation_grid:
            name = self._rounded(name, tensor)
        self._held[number, first] = name

    def put_same(self, number: int, name: str, *, first: bool = False) -> None:
        """Say that a tensor has numbers that stand on its steps already."""
        self._held[number, first] = name

    def _activated(self, name: str, activation: int, tensor: FileTensor) -> str:
        if activation == 0:
            return name
        least, most = _ends(tensor) if tensor.is_activation_grid else (-np.inf, np.inf)
        if activation == 4:
            return self.node("Tanh", [name])
        low, high = {1: (0.0, np.inf), 2: (-1.0, 1.0), 3: (0.0, 6.0)}[activation]
        step = float(tensor.scales[0]) / 4 if tensor.is_activation_grid and tensor.scales is not None else 0.0
        if least >= low - step and most <= high + step:
            return name  # what lies outside is cut off by the steps themselves
        if high == np.inf:
            return self.node("Relu", [name])
        return self.node("Clip", [name, self.constant(np.float32(low)), self.constant(np.float32(high))])

    def _rounded(self, name: str, tensor: FileTensor) -> str:
        if tensor.scales is None or len(tensor.scales) != 1:
            raise ExportError(
                f"the activation '{tensor.name}' has a scale for each channel", hint="export another format"
            )
        if tensor.dtype == np.int16:
            self.need(21)
            # OpenVINO leaves out steps of 16 bits, and what lies outside of them would not be cut off any more
            # (`FQStrippingTransformation` of its low_precision_transformations/src/qdq_stripping.cpp).
            name = self.node("Clip", [name, *(self.constant(np.float32(end)) for end in _ends(tensor))])
        pair = [self.constant(np.float32(tensor.scales[0])), self._zero_point(tensor)]
        return self.node("DequantizeLinear", [self.node("QuantizeLinear", [name, *pair]), *pair])

    def _zero_point(self, tensor: FileTensor) -> str:
        zero = int(tensor.zero_points[0])
        if tensor.dtype == np.int8:
            return self.constant(np.uint8(zero + 128))
        return self.constant(np.asarray(zero, tensor.dtype))

    def _stored(self, tensor: FileTensor, *, first: bool) -> str:
        values = tensor.stored if tensor.scales is not None else tensor.real
        assert values is not None
        if first:
            values = np.transpose(values.reshape([1] * (4 - values.ndim) + list(values.shape)), TO_CHANNELS_FIRST)
        if tensor.scales is None:
            return self.constant(values)
        if len(tensor.scales) > 1:
            if first:
                raise ExportError(f"the constant '{tensor.name}' has a scale for each channel", hint="export it again")
            return self._dequantized(values, tensor, axis=tensor.axis)
        if tensor.dtype == np.int8:
            raised = (values.astype(np.int16) + 128).astype(np.uint8)
            scale = self.constant(np.float32(tensor.scales[0]))
            return self.node("DequantizeLinear", [self.constant(raised), scale, self._zero_point(tensor)])
        return self._dequantized(values, tensor)

    def _dequantized(self, values: NDArray[np.generic], tensor: FileTensor, axis: int = 0) -> str:
        assert tensor.scales is not None
        if tensor.dtype == np.int64:  # the bias of 16-bit activations
            return self.constant(tensor.real.reshape(values.shape))
        if values.dtype == np.int16:
            self.need(21)
        many = len(tensor.scales) > 1
        scales = tensor.scales if many else tensor.scales[0]
        given = [self.constant(values), self.constant(np.asarray(scales, np.float32))]
        # onnxruntime computes a Gemm with integers only where its weights name their zero points, zeros too.
        if tensor.zero_points.any() or values.dtype.itemsize == 1:
            zeros = tensor.zero_points if many else tensor.zero_points[0]
            given.append(self.constant(np.asarray(zeros, values.dtype)))
        return self.node("DequantizeLinear", given, **({"axis": axis} if many else {}))

    def _fresh(self, kind: str) -> str:
        count = self._counts.get(kind, 0)
        self._counts[kind] = count + 1
        return f"{kind}_{count}"


Rule = Callable[[Translation, FileOperator], None]


def translated(graph: FileGraph, rules: dict[str, Rule], *, bytes_for: Sequence[str], named: str) -> onnx.ModelProto:
    """The ONNX model of a file's graph, for any number of examples at once.

    Args:
        graph: The file's.
        rules: What is done with each operator.
        bytes_for: The inputs that are given as uint8 though the file takes float32: pictures.
        named: The name of the graph.

    Returns:
        The model; its outputs are float32.

    Raises:
        ExportError: When there are operators without a rule; names them all.
    """
    if unknown := sorted({operator.name for operator in graph.operators} - set(rules)):
        raise ExportError(
            f"no rule translates to ONNX: {', '.join(unknown)}",
            hint="leave the onnx formats out of export.formats, or build the model without them",
        )
    job = Translation(graph)
    inputs = [_input(job, name, number, as_bytes=name in bytes_for) for name, number in graph.inputs.items()]
    for operator in graph.operators:
        rules[operator.name](job, operator)
    outputs = []
    for name, number in graph.outputs.items():
        tensor = job.tensor(number)
        job.nodes.append(helper.make_node("Identity", [job.value(number)], [name], name=name))
        real = np.dtype(np.float32) if tensor.scales is not None else tensor.dtype
        outputs.append(_described(name, real, tensor.shape))
    made = helper.make_graph(job.nodes, named, inputs, outputs, job.constants)
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", job.opset)], ir_version=_IR_VERSIONS[job.opset]
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _input(job: Translation, name: str, number: int, *, as_bytes: bool) -> onnx.ValueInfoProto:
    tensor = job.tensor(number)
    if as_bytes and tensor.dtype == np.float32:
        job.put_same(number, job.node("Cast", [name], to=TensorProto.FLOAT))
        return _described(name, np.dtype(np.uint8), tensor.shape)
    if tensor.scales is None:
        job.put_same(number, name)
        return _described(name, tensor.dtype, tensor.shape)
    stored = np.asarray(tensor.zero_points[0], tensor.dtype)
    given = [name, job.constant(np.float32(tensor.scales[0])), job.constant(stored)]
    job.put_same(number, job.node("DequantizeLinear", given))
    return _described(name, tensor.dtype, tensor.shape)


def _described(name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> onnx.ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(dtype)
    return helper.make_tensor_value_info(name, kind, ["batch", *shape[1:]])


def _ends(tensor: FileTensor) -> tuple[float, float]:
    assert tensor.scales is not None
    integers = np.iinfo(tensor.dtype)
    scale, zero = float(tensor.scales[0]), int(tensor.zero_points[0])
    return (integers.min - zero) * scale, (integers.max - zero) * scale
