"""The tensors of a file beside those of its Keras model: which is which, and how far apart they are."""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import TypedDict

import keras
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils
from numpy.typing import NDArray

from tfkit.errors import ExportError
from tfkit.graph import fed
from tfkit.keras_types import Array, Inputs
from tfkit.runtimes import held_native_output
from tfkit.runtimes.protocol import input_count, some_inputs

# Inputs of a file or a model: images, or token ids and padding masks by name.
Samples = Inputs


class _Grid(TypedDict):
    scales: NDArray[np.float32]
    zero_points: NDArray[np.int32]


class _Detail(TypedDict):
    """What is read of what LiteRT tells of a tensor."""

    quantization_parameters: _Grid


class _Source(TypedDict):
    """What is read of what LiteRT tells of an input."""

    name: str


_WHOLE_NUMBERS = (schema.TensorType.INT32, schema.TensorType.INT64, schema.TensorType.BOOL)
# Of float32 computed in another order, over networks of some hundred layers.
_TOLERANCE = 2e-3
# The share of what an operator took that float32 may lose where its result is almost nothing: the mean of what was
# normalised already.
_LOST = 2e-6
# Candidates this close to the nearest one are equal to it.
_SAME = 1e-5
# Values looked at first: a tensor that is another one seldom agrees in so many.
_GLANCE = 257


@dataclass(frozen=True)
class FileTensor:
    """A tensor that some operator of a file writes, or the file's input.

    Attributes:
        index: Its number in the file.
        name: Its name in the file.
        operator: The name of the operator that writes it; empty for the input.
        sources: The numbers of the tensors that operator takes, constants left out.
        values: What it held for each sample, (samples, *its shape without the batch).
        is_float: Whether the file holds it as float32.
        bits: Of the numbers that the file holds it in.
    """

    index: int
    name: str
    operator: str
    sources: tuple[int, ...]
    values: NDArray[np.float32]
    is_float: bool
    bits: int


def read_tensors(flatbuffer: bytes, samples: Samples) -> tuple[FileTensor, ...]:
    """Run a file and keep what each of its tensors holds, integers as the real numbers they stand for.

    Args:
        flatbuffer: The `.tflite` file.
        samples: (n, ...) inputs of the file's own type; a dictionary of them for several inputs, by their names.

    Returns:
        The tensors that operators write, in running order, the inputs first; those of whole numbers that stand for
        nothing else (token ids, masks) are left out.
    """
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(flatbuffer))
    graph = model.subgraphs[0]
    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    written: dict[int, tuple[str, tuple[int, ...]]] = {int(number): ("", ()) for number in graph.inputs}
    for operator in graph.operators:
        sources = tuple(int(number) for number in operator.inputs if int(number) in written)
        name = names[model.operatorCodes[operator.opcodeIndex].builtinCode]
        written.update(dict.fromkeys(map(int, operator.outputs), (name, sources)))
    # A tensor that is an output of the file is kept by the kernels that run on a device; without that, only the
    # reference kernels keep it, and those round twice.
    graph.outputs, model.signatureDefs = [number for number, (name, _) in written.items() if name], []
    content = bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    wanted = [number for number in written if graph.tensors[number].type not in _WHOLE_NUMBERS]
    try:
        seen = _run(content, samples, tuple(wanted))
    except RuntimeError as fault:
        raise _cannot_run(graph, fault) from None

    def made(number: int) -> FileTensor:
        tensor = graph.tensors[number]
        bits = {schema.TensorType.FLOAT32: 32, schema.TensorType.INT16: 16}.get(tensor.type, 8)
        return FileTensor(
            number, tensor.name.decode(), *written[number], np.stack(seen[number]), is_float=bits == 32, bits=bits
        )

    return tuple(made(number) for number in wanted)


_STEEPEST = 256.0  # XNNPACK's kernels take no larger factor from a sum of products to their output's steps


def _cannot_run(graph: schema.SubGraphT, fault: RuntimeError) -> ExportError:
    """Why LiteRT does not run a file, with the first operator whose output is too narrow for what it adds up."""
    for operator in graph.operators:
        weighed = [graph.tensors[number] for number in (*operator.inputs[:2], operator.outputs[0]) if number >= 0]
        scales = [
            float(np.max(tensor.quantization.scale))
            for tensor in weighed
            if tensor.quantization is not None and tensor.quantization.scale is not None
        ]
        if len(scales) < 3:
            continue
        taken, weights, given = scales
        if weighed[1].buffer and taken * weights / given >= _STEEPEST:
            return ExportError(
                f"LiteRT cannot run the file: '{weighed[2].name.decode()}' has a range of {255 * given:.2g}, but "
                f"weights of up to {127 * weights:.2g}; it took nothing but zeros while ranges were measured",
                hint="the layers in front of it are dead: train them until they answer, or lower this layer's weights",
            )
    return ExportError(f"LiteRT cannot run the file: {fault}", hint="leave layers in float with quantization.skip")


def _run(flatbuffer: bytes, samples: Samples, wanted: tuple[int, ...]) -> dict[int, list[NDArray[np.float32]]]:
    with held_native_output():
        interpreter = Interpreter(model_content=flatbuffer, num_threads=1)
        interpreter.allocate_tensors()
        sources = interpreter.get_input_details()
        details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
        seen: dict[int, list[NDArray[np.float32]]] = {number: [] for number in wanted}
        for sample in each_sample(samples):
            given = {source["index"]: _input_of(sample, source).astype(source["dtype"]) for source in sources}
            for number, values in given.items():
                interpreter.set_tensor(number, values)
            interpreter.invoke()
            for number, kept in seen.items():
                values = given[number] if number in given else interpreter.get_tensor(number)
                kept.append(_real(values, details[number]))
    return seen


def each_sample(samples: Samples) -> Iterator[Samples]:
    """The samples one by one, each a batch of one."""
    for number in range(input_count(samples)):
        yield some_inputs(samples, slice(number, number + 1))


def _input_of(sample: Samples, source: _Source) -> Array:
    """A file's input in a sample: the converter puts the signature's name into the tensor's."""
    if not isinstance(sample, Mapping):
        return np.asarray(sample)
    return np.asarray(next(values for name, values in sample.items() if name in source["name"]))


def keras_values(
    model: keras.Model, tensors: Sequence[keras.KerasTensor], samples: Samples
) -> list[NDArray[np.float32]]:
    """Compute inner tensors of a functional model.

    Args:
        model: The model.
        tensors: Its Keras tensors, each once or more.
        samples: (n, ...) inputs, or a dictionary of them.

    Returns:
        One array for each tensor, the batch first.
    """
    distinct = list({id(tensor): tensor for tensor in tensors}.values())
    probe = keras.Model(model.input if isinstance(model.input, dict) else model.inputs[0], distinct)
    runs = [probe(fed(model, sample), training=False) for sample in each_sample(samples)]
    columns = zip(*(keras.tree.flatten(run) for run in runs), strict=True)
    found = {
        id(tensor): np.concatenate([keras.ops.convert_to_numpy(value) for value in column])
        for tensor, column in zip(distinct, columns, strict=True)
    }
    return [found[id(tensor)] for tensor in tensors]


def layer_names(model: keras.Model, tensors: Sequence[keras.KerasTensor]) -> list[str]:
    """The name of the layer that writes each of a functional model's tensors.

    Args:
        model: The model.
        tensors: Its Keras tensors.

    Returns:
        A name for each; empty for that of a layer that is called more than once.
    """
    writers: dict[int, str] = {}
    for layer in model.operations:
        with contextlib.suppress(AttributeError):  # of several calls
            writers[id(layer.output)] = layer.name
    return [writers.get(id(tensor), "") for tensor in tensors]


def match_tensors(
    file_tensors: Sequence[FileTensor], values: Sequence[NDArray[np.float32]], names: Sequence[str] = ()
) -> dict[int, int]:
    """Match a float file's tensors with a Keras model's.

    Args:
        file_tensors: What `read_tensors` gave, in running order.
        values: Keras tensors' values for the same samples, in running order; each tensor once.
        names: The layer that writes each of them, as `layer_names` gives it; default unknown.

    Returns:
        For each file tensor's index that has one, the place of the nearest Keras tensor. Of several that hold the
        same, one whose layer the file's tensor is named after, if there is one; else, or of several such, the first
        that no earlier file tensor has.
    """
    by_size: dict[int, list[int]] = {}
    for place, value in enumerate(values):
        by_size.setdefault(value[0].size, []).append(place)
    matches: dict[int, int] = {}
    largest = {tensor.index: float(np.max(np.abs(tensor.values), initial=0)) for tensor in file_tensors}
    for tensor in file_tensors:
        found = tensor.values.ravel()
        alike = by_size.get(tensor.values[0].size, [])
        least = _LOST / _TOLERANCE * max((largest.get(source, 0) for source in tensor.sources), default=0)
        errors = [(_difference_of_rows(values[place].ravel(), found, least), place) for place in alike]
        nearest = min((error for error, _ in errors), default=np.inf)
        if nearest <= _TOLERANCE:
            equal = [place for error, place in errors if error <= nearest + _SAME]
            named = [place for place in equal if names and is_named_after(tensor.name, names[place])]
            taken = set(matches.values())
            matches[tensor.index] = next((place for place in named or equal if place not in taken), (named or equal)[0])
    return matches


def match_turned_tensors(file_tensors: Sequence[FileTensor], values: Sequence[NDArray[np.float32]]) -> dict[int, int]:
    """Match tensors whose axes a file has in another order: the converter moves a transpose behind what follows it.

    Args:
        file_tensors: Those that `match_tensors` found nothing for.
        values: As for `match_tensors`.

    Returns:
        For each file tensor's index that has one, the place of the nearest Keras tensor.
    """
    matches: dict[int, int] = {}
    for tensor in file_tensors:
        errors = [
            (_difference_of_rows(value.ravel(), turned.ravel()), place)
            for turned in _turned(tensor.values)
            for place, value in enumerate(values)
            if value.shape == turned.shape
        ]
        nearest, place = min(errors, default=(np.inf, 0))
        if nearest <= _TOLERANCE:
            matches[tensor.index] = place
    return matches


def _turned(values: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Values with their axes in every other order, the samples first."""
    axes = tuple(range(1, values.ndim))
    for order in permutations(axes):
        if order != axes:
            yield values.transpose(0, *order)


def is_named_after(tensor: str, layer: str) -> bool:
    """Whether a layer's scope is part of the name that the converter gave a tensor; TensorFlow numbers scopes."""
    return bool(layer) and re.search(rf"(?:^|[/;]){re.escape(layer)}(?:_\d+)?(?:/|$)", tensor) is not None


def _difference_of_rows(expected: NDArray[np.float32], found: NDArray[np.float32], least: float = 0.0) -> float:
    """The largest difference, as a share of the largest value; a smaller one where a glance is enough to tell.

    Where all values are smaller than `least`, it is a share of that.
    """
    largest = max(float(np.max(np.abs(expected))), least, 1e-12)
    stride = max(1, expected.size // _GLANCE)
    glance = float(np.max(np.abs(expected[::stride] - found[::stride]))) / largest
    return glance if glance > _TOLERANCE else float(np.max(np.abs(expected - found))) / largest


def _real(values: NDArray[np.number], detail: _Detail) -> NDArray[np.float32]:
    parameters = detail["quantization_parameters"]
    # The batch of one goes; where the converter flattened (1, length, hidden), or dropped the batch, all rows stay.
    held = values.reshape(-1, *values.shape[2:]) if values.ndim > 1 else values.ravel()
    held = held if values.ndim > 1 or values.size > 1 else held[0]
    if len(parameters["scales"]) == 1:
        return np.asarray(
            (held.astype(np.float64) - parameters["zero_points"][0]) * parameters["scales"][0], np.float32
        )
    return np.asarray(held, np.float32)
