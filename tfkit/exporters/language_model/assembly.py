"""Put weights into a graph that was converted without them, in the form that runtimes compute fastest.

Done here because the converter saw no constants: reshaped and transposed weights become constants themselves, products
with a constant become FULLY_CONNECTED, rows of a constant table EMBEDDING_LOOKUP, parts that are taken out of a stack
the parts themselves, and what is written to a transposed cache is written to the cache itself, which is thus never
copied as a whole. A weight of several signatures, or of several operators, is stored once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from tfkit.errors import ExportError

_OPERATOR = schema.BuiltinOperator
_WEIGHT = "weight_"


@dataclass(frozen=True)
class _Constant:
    """A weight in some form.

    Attributes:
        weight: Which it is.
        turned: The order of the weight's axes, after any reshaping, in which its numbers are stored; () for as it is.
        values: The numbers.
    """

    weight: int
    turned: tuple[int, ...]
    values: NDArray[np.float32]

    def transposed(self, order: tuple[int, ...]) -> "_Constant":
        """With other axes in front; turned back, two axes give the weight itself."""
        back = len(order) == 2 and self.turned == order == (1, 0)
        turned = () if back or order == tuple(range(len(order))) else order
        if self.turned and turned:
            raise ExportError(f"weight {self.weight} is transposed twice in a way that is not known")
        return _Constant(self.weight, turned, self.values.transpose(order))


def with_weights(flatbuffer: bytes, weights: Sequence[NDArray[np.float32]]) -> schema.ModelT:
    """Put weights into a graph that takes them as inputs.

    Args:
        flatbuffer: What `tracing.trace` converted.
        weights: float32, in the order of their numbers.

    Returns:
        The schema's `ModelT`, whose signatures take no weights; `packed` writes it.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(flatbuffer))
    buffers: dict[tuple[int, tuple[int, ...]], int] = {}
    for number, graph in enumerate(model.subgraphs):
        signature = next(one for one in model.signatureDefs if one.subgraphIndex == number)
        _Subgraph(model, graph, signature, weights, buffers).assemble()
    return model


class _Subgraph:
    """One signature's graph, while weights are put in."""

    def __init__(
        self,
        model: schema.ModelT,
        graph: schema.SubGraphT,
        signature: schema.SignatureDefT,
        weights: Sequence[NDArray[np.float32]],
        buffers: dict[tuple[int, tuple[int, ...]], int],
    ) -> None:
        self.model, self.graph, self.signature, self.buffers = model, graph, signature, buffers
        self.constants: dict[int, _Constant] = {}
        for entry in signature.inputs:
            if (name := entry.name.decode()).startswith(_WEIGHT):
                weight = int(name.removeprefix(_WEIGHT))
                self.constants[int(entry.tensorIndex)] = _Constant(weight, (), weights[weight])
        self.same: dict[int, int] = {}
        self.maker: dict[int, schema.OperatorT] = {}

    def assemble(self) -> None:
        kept: list[schema.OperatorT] = []
        for operator in self.graph.operators:
            operator.inputs = [self.same.get(int(place), int(place)) for place in operator.inputs]
            if not self._folded(operator):
                for made in self._rewritten(operator):
                    kept.append(made)
                    self.maker |= dict.fromkeys(map(int, made.outputs), made)
        self.graph.outputs = [self.same.get(int(place), int(place)) for place in self.graph.outputs]
        for entry in self.signature.outputs:
            entry.tensorIndex = self.same.get(int(entry.tensorIndex), int(entry.tensorIndex))
        self.graph.operators = self._living(kept)
        weights = {place for place in self.constants if place in set(map(int, self.graph.inputs))}
        self.graph.inputs = [int(place) for place in self.graph.inputs if int(place) not in weights]
        self.signature.inputs = [one for one in self.signature.inputs if int(one.tensorIndex) not in weights]
        self._store()
        self._compact()

    def _folded(self, operator: schema.OperatorT) -> bool:
        """Whether an operator's result is known without it: a weight in another form, or a part of a stack."""
        name, inputs, output = self._name(operator), list(operator.inputs), int(operator.outputs[0])
        if name in (_OPERATOR.RESHAPE, _OPERATOR.TRANSPOSE) and (constant := self.constants.get(inputs[0])):
            if name == _OPERATOR.TRANSPOSE:
                self.constants[output] = constant.transposed(tuple(map(int, self._numbers(inputs[1]))))
            elif constant.turned:
                return False
            else:
                shape = tuple(map(int, self.graph.tensors[output].shape))
                self.constants[output] = _Constant(constant.weight, (), constant.values.reshape(shape))
            return True
        if name == _OPERATOR.TRANSPOSE and (before := self._transposed_from(inputs[0])) is not None:
            source, order = before
            order = tuple(order[int(axis)] for axis in self._numbers(inputs[1]))
            if order == tuple(range(len(order))):
                self.same[output] = source
                return True
        if name == _OPERATOR.STRIDED_SLICE and (part := self._part_of_stack(operator)) is not None:
            self.same[output] = part
            return True
        return False

    def _part_of_stack(self, operator: schema.OperatorT) -> int | None:
        """The tensor that a slice takes out of stacks of tensors; None where it takes anything else."""
        source, *limits = (int(place) for place in operator.inputs)
        options = operator.builtinOptions
        if options.ellipsisMask or options.newAxisMask or any(self._numbers(place).size == 0 for place in limits):
            return None
        begins, ends, strides = (self._numbers(place) for place in limits)
        chosen: dict[int, int] = {}
        for axis, size in enumerate(map(int, self.graph.tensors[source].shape)):
            if options.shrinkAxisMask >> axis & 1:
                chosen[axis] = int(begins[axis]) % size
            elif (
                strides[axis] != 1
                or not (options.beginMask >> axis & 1 or begins[axis] == 0)
                or not (options.endMask >> axis & 1 or ends[axis] >= size)
            ):
                return None
        while chosen:
            maker = self.maker.get(source)
            if maker is None or self._name(maker) != _OPERATOR.PACK:
                return None
            along = maker.builtinOptions.axis % len(self.graph.tensors[source].shape)
            if along not in chosen:
                return None
            source = int(maker.inputs[chosen.pop(along)])
            chosen = {axis - (axis > along): place for axis, place in chosen.items()}
        return source

    def _transposed_from(self, place: int) -> tuple[int, tuple[int, ...]] | None:
        """Which tensor one is the transposition of, and the order of its axes; None of any other."""
        maker = self.maker.get(place)
        if maker is None or self._name(maker) != _OPERATOR.TRANSPOSE:
            return None
        return int(maker.inputs[0]), tuple(map(int, self._numbers(int(maker.inputs[1]))))

    def _written(self, operator: schema.OperatorT) -> list[schema.OperatorT] | None:
        """A part written into a transposed tensor, as the transposed part written into the tensor itself."""
        base, update, start = (int(place) for place in operator.inputs)
        before, places = self._transposed_from(base), self.maker.get(start)
        if before is None or places is None or self._name(places) != _OPERATOR.PACK:
            return None
        (source, order), output = before, int(operator.outputs[0])
        back = tuple(int(axis) for axis in np.argsort(order))
        shape = [int(size) for size in self.graph.tensors[update].shape]
        turned = self._like(update, "turned", [shape[axis] for axis in back])
        moved = self._like(start, "start", [len(order)])
        whole = self._like(output, "whole", [int(size) for size in self.graph.tensors[source].shape])
        packed = schema.OperatorT()
        packed.opcodeIndex, packed.builtinOptionsType = places.opcodeIndex, places.builtinOptionsType
        packed.builtinOptions = places.builtinOptions
        packed.inputs, packed.outputs = [int(places.inputs[axis]) for axis in back], [moved]
        operator.inputs, operator.outputs = [source, turned, moved], [whole]
        return [self._transpose(update, turned, back), packed, operator, self._transpose(whole, output, order)]

    def _transpose(self, source: int, target: int, order: tuple[int, ...]) -> schema.OperatorT:
        operator = schema.OperatorT()
        operator.opcodeIndex = self._code(_OPERATOR.TRANSPOSE)
        operator.inputs, operator.outputs = [source, self._list("order", order)], [target]
        operator.builtinOptionsType = schema.BuiltinOptions.TransposeOptions
        operator.builtinOptions = schema.TransposeOptionsT()
        return operator

    def _rewritten(self, operator: schema.OperatorT) -> list[schema.OperatorT]:
        """The operator, or those that give the same with a constant."""
        name, inputs = self._name(operator), list(operator.inputs)
        if name == _OPERATOR.BATCH_MATMUL and self._is_matrix(inputs[1]) and not operator.builtinOptions.adjX:
            constant = self.constants[inputs[1]]
            turned = constant if operator.builtinOptions.adjY else constant.transposed((1, 0))
            operator.inputs = [inputs[0], self._weights(turned), -1]
            operator.opcodeIndex = self._code(_OPERATOR.FULLY_CONNECTED)
            operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
            operator.builtinOptions = schema.FullyConnectedOptionsT()
            operator.builtinOptions.keepNumDims = True
        if name == _OPERATOR.GATHER and self._is_matrix(inputs[0]) and operator.builtinOptions.axis == 0:
            return self._lookup(operator, inputs[0], inputs[1])
        if name == _OPERATOR.DYNAMIC_UPDATE_SLICE and (written := self._written(operator)) is not None:
            return written
        return [operator]

    def _is_matrix(self, place: int) -> bool:
        return place in self.constants and self.constants[place].values.ndim == 2

    def _lookup(self, operator: schema.OperatorT, table: int, ids: int) -> list[schema.OperatorT]:
        """Rows of a table by ids of any shape."""
        output = int(operator.outputs[0])
        shape = [int(size) for size in self.graph.tensors[output].shape]
        count = int(np.prod(shape[:-1]))
        flat = self._like(ids, "flat_ids", [count])
        rows = self._like(output, "rows", [count, shape[-1]])
        operator.opcodeIndex = self._code(_OPERATOR.EMBEDDING_LOOKUP)
        operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.NONE, None
        operator.inputs, operator.outputs = [flat, table], [rows]
        return [self._reshape(ids, flat), operator, self._reshape(rows, output)]

    def _reshape(self, source: int, target: int) -> schema.OperatorT:
        shape = tuple(int(size) for size in self.graph.tensors[target].shape)
        operator = schema.OperatorT()
        operator.opcodeIndex = self._code(_OPERATOR.RESHAPE)
        operator.inputs, operator.outputs = [source, self._list("shape", shape)], [target]
        operator.builtinOptionsType = schema.BuiltinOptions.ReshapeOptions
        operator.builtinOptions = schema.ReshapeOptionsT()
        operator.builtinOptions.newShape = list(shape)
        return operator

    def _list(self, name: str, numbers: tuple[int, ...]) -> int:
        """A new constant of whole numbers."""
        buffer = schema.BufferT()
        buffer.data = np.array(numbers, np.int32).view(np.uint8)
        self.model.buffers.append(buffer)
        place = self._added(name, schema.TensorType.INT32, [len(numbers)])
        self.graph.tensors[place].buffer = len(self.model.buffers) - 1
        return place

    def _weights(self, constant: _Constant) -> int:
        place = self._added("weights", schema.TensorType.FLOAT32, list(constant.values.shape))
        self.constants[place] = constant
        return place

    def _like(self, place: int, name: str, shape: list[int]) -> int:
        return self._added(name, self.graph.tensors[place].type, shape)

    def _added(self, name: str, kind: int, shape: list[int]) -> int:
        """A new tensor, whose name no other one of the file has."""
        tensor = schema.TensorT()
        tensor.name = f"{self.signature.signatureKey.decode()}/{name}_{len(self.graph.tensors)}"
        tensor.shape, tensor.type = shape, kind
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def _code(self, builtin: int) -> int:
        for place, code in enumerate(self.model.operatorCodes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == builtin:
                return place
        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = builtin, min(builtin, 127), 1
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def _name(self, operator: schema.OperatorT) -> int:
        code = self.model.operatorCodes[operator.opcodeIndex]
        return max(int(code.builtinCode), int(code.deprecatedBuiltinCode))

    def _numbers(self, place: int) -> NDArray[np.int32]:
        """A constant of whole numbers; empty for what is computed."""
        data = self.model.buffers[self.graph.tensors[place].buffer].data
        return np.zeros(0, np.int32) if data is None else np.asarray(data, np.uint8).view(np.int32)

    def _living(self, operators: list[schema.OperatorT]) -> list[schema.OperatorT]:
        """Those that the outputs need."""
        needed, living = set(map(int, self.graph.outputs)), []
        for operator in reversed(operators):
            if needed & set(map(int, operator.outputs)):
                living.append(operator)
                needed |= {int(place) for place in operator.inputs}
        return living[::-1]

    def _store(self) -> None:
        """Give every weight that is still read its numbers."""
        used = {int(place) for operator in self.graph.operators for place in operator.inputs}
        for place, constant in self.constants.items():
            if place not in used:
                continue
            key = (constant.weight, constant.turned)
            if key not in self.buffers:
                buffer = schema.BufferT()
                buffer.data = np.ascontiguousarray(constant.values, np.float32).reshape(-1).view(np.uint8)
                self.model.buffers.append(buffer)
                self.buffers[key] = len(self.model.buffers) - 1
            tensor = self.graph.tensors[place]
            tensor.buffer, tensor.shape = self.buffers[key], [int(size) for size in constant.values.shape]
            tensor.shapeSignature = None

    def _compact(self) -> None:
        """Forget tensors that nothing reads or writes."""
        lists: list[Any] = [list(self.graph.inputs), list(self.graph.outputs)]
        lists += [list(one.inputs) for one in self.graph.operators] + [
            list(one.outputs) for one in self.graph.operators
        ]
        used = sorted({int(place) for some in lists for place in some if place >= 0})
        place_of = {place: number for number, place in enumerate(used)} | {-1: -1}
        self.graph.tensors = [self.graph.tensors[place] for place in used]
        self.graph.inputs = [place_of[int(place)] for place in self.graph.inputs]
        self.graph.outputs = [place_of[int(place)] for place in self.graph.outputs]
        for operator in self.graph.operators:
            operator.inputs = [place_of[int(place)] for place in operator.inputs]
            operator.outputs = [place_of[int(place)] for place in operator.outputs]
        for entry in (*self.signature.inputs, *self.signature.outputs):
            entry.tensorIndex = place_of[int(entry.tensorIndex)]
