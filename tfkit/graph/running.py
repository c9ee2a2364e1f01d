"""Run a layer graph on a few inputs, layer by layer, and keep every tensor."""

import inspect
from collections.abc import Mapping

import keras
import numpy as np

from tfkit.errors import ModelError
from tfkit.graph.layer_graph import LayerGraph, Node, Value, replace_values
from tfkit.keras_types import Array, Inputs, Tensor

COMPARED_SAMPLES = 4
_ANY_SIZE, _ANY_LENGTH = 96, 8


def call_node(node: Node, args: tuple[object, ...], kwargs: dict[str, object]) -> list[Tensor]:
    """What a node gives for other arguments than its own, outside training."""
    operation = node.operation
    kwargs = {key: value for key, value in kwargs.items() if key != "training"}
    called = getattr(operation, "call", None)
    if called is not None and "training" in inspect.signature(called).parameters:
        kwargs["training"] = False
    return list(keras.tree.flatten(operation(*args, **kwargs)))


def run_graph(graph: LayerGraph, samples: Mapping[str, Array]) -> dict[int, Tensor]:
    """Every tensor of a graph, by the `id` of its value.

    Example:
        >>> values = run_graph(read_graph(model), {"pixels": pixels[:2].astype(np.float32)})
    """
    values = given_values(graph, samples)
    for node in graph.nodes:
        args, kwargs = replace_values((node.args, node.kwargs), lambda value: values[id(value)])
        for value, tensor in zip(node.outputs, call_node(node, args, kwargs), strict=True):
            values[id(value)] = tensor
    return values


def given_values(graph: LayerGraph, samples: Mapping[str, Array]) -> dict[int, Tensor]:
    """The inputs of a graph, by the `id` of their values: by name, or in their order where the names differ."""
    names = graph.input_keys or tuple(value.name for value in graph.inputs)
    given = {}
    for number, (value, name) in enumerate(zip(graph.inputs, names, strict=True)):
        array = samples[name] if name in samples else list(samples.values())[number]
        given[id(value)] = keras.ops.convert_to_tensor(array, value.dtype)
    return given


def few_samples(graph: LayerGraph, inputs: Inputs | list[Array] | tuple[Array, ...] | None) -> dict[str, Array] | None:
    """A few inputs by name; None for a graph that nothing can be drawn for."""
    names = graph.input_keys or tuple(value.name for value in graph.inputs)
    if inputs is not None:
        if isinstance(inputs, Mapping):
            arrays = {str(name): values for name, values in inputs.items()}
        else:
            given = inputs if isinstance(inputs, list | tuple) else [inputs]
            if len(given) != len(names):
                raise ModelError(
                    f"the model takes {len(names)} inputs, {', '.join(names)}; got {len(given)}",
                    hint="give a dictionary of arrays by their names, or batches that are such dictionaries",
                )
            arrays = dict(zip(names, given, strict=True))
        if any(len(values) == 0 for values in arrays.values()):
            return None
        return {name: np.asarray(values[:COMPARED_SAMPLES]) for name, values in arrays.items()}
    rng = np.random.default_rng(0)
    drawn = [_drawn(graph, value, name, rng) for value, name in zip(graph.inputs, names, strict=True)]
    if not drawn or any(array is None for array in drawn):
        return None
    return {name: array for name, array in zip(names, drawn, strict=True) if array is not None}


def _drawn(graph: LayerGraph, value: Value, name: str, rng: np.random.Generator) -> Array | None:
    any_size = _ANY_SIZE if len(value.shape) > 2 else _ANY_LENGTH
    shape = (value.shape[0] or 2, *(size or any_size for size in value.shape[1:]))
    if value.dtype == "string":
        return None
    if "mask" in name or value.dtype == "bool":
        filled = np.ones(shape)
        filled[0, -1] = 0
        return filled.astype(value.dtype)
    if value.dtype == "uint8" or not value.dtype.startswith(("int", "uint")):
        return np.asarray(rng.integers(0, 256, shape).astype(value.dtype if value.dtype != "bfloat16" else "float32"))
    sizes = [_rows(taker.operation) for taker in graph.consumers(value)]
    return rng.integers(0, min([size for size in sizes if size] or [2]), shape).astype(value.dtype)


def _rows(layer: keras.Layer) -> int | None:
    """How many rows a table of a layer has, if it looks some up."""
    return getattr(layer, "input_dim", None) or getattr(layer, "vocabulary_size", None)
