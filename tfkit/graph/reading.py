"""Read a Keras model into a flat layer graph, through the public `clone_model` alone."""

from collections.abc import Sequence
from typing import NoReturn, TypeAlias

import keras

from tfkit.errors import ModelError
from tfkit.graph.layer_graph import LayerGraph, Node, Value, replace_values


def read_graph(model: keras.Model) -> LayerGraph:
    """Lay a functional or sequential model open, with the models nested in it.

    Args:
        model: A built model. It is not changed, and the graph's nodes hold its own layers.

    Returns:
        Its layer calls in running order. An argument given to a nested model other than its inputs, such as
        `training=False`, is dropped, because Keras 3.15 overrides it in the outer model anyway.

    Raises:
        ModelError: When the model, or one nested in it, is a subclass with Python code of its own for a `call`.

    Example:
        >>> inputs = keras.Input((4,))
        >>> model = keras.Model(inputs, keras.layers.Dense(2, name="scores")(inputs))
        >>> [node.name for node in read_graph(model).nodes]
        ['scores']
    """
    return _Reader().read(model)


# What a call gives: a tensor, or several.
_Outputs: TypeAlias = keras.KerasTensor | Sequence[keras.KerasTensor] | dict[str, keras.KerasTensor]


class _StandIn(keras.Operation):
    """Takes a layer's place while the graph is read, so that the layer itself is neither called nor copied."""

    def __init__(self, operation: keras.Operation) -> None:
        super().__init__(name=operation.name)
        self.operation = operation

    def compute_output_spec(self, *args: object, **kwargs: object) -> _Outputs:
        return self.operation.compute_output_spec(*args, **kwargs)

    def call(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError("a stand-in is traced, never run")


class _Reader:
    def __init__(self) -> None:
        self._names: set[str] = set()

    def read(self, model: keras.Model, *, prefix: str = "") -> LayerGraph:
        nodes: list[Node] = []
        values: dict[int, Value] = {}
        kept: list[keras.KerasTensor] = []  # tensors are known by identity, so they must live as long as the reading

        def value_of(tensor: keras.KerasTensor) -> Value:
            if id(tensor) not in values:
                values[id(tensor)] = Value(tuple(tensor.shape), str(tensor.dtype), name=tensor.name)
                kept.append(tensor)
            return values[id(tensor)]

        def record(stand_in: _StandIn, *args: object, **kwargs: object) -> _Outputs:
            tensors = stand_in(*args, **kwargs)
            operation = stand_in.operation
            flat = keras.tree.flatten(tensors)
            given = keras.tree.map_structure(lambda leaf: value_of(leaf) if _is_tensor(leaf) else leaf, (args, kwargs))
            if isinstance(operation, keras.Model):
                inner = self.read(operation, prefix=f"{prefix}{operation.name}_")
                outer = [leaf for leaf in keras.tree.flatten(given[0]) if isinstance(leaf, Value)]
                for tensor, value in zip(flat, _inline(inner, outer, nodes), strict=True):
                    values[id(tensor)] = value
                    kept.append(tensor)
                return tensors
            node = Node(self._unique(operation.name, prefix), operation, *given)
            node.outputs = tuple(value_of(tensor) for tensor in flat)
            for index, value in enumerate(node.outputs):
                value.node, value.index = node, index
            nodes.append(node)
            return tensors

        plain = _plain_functional(model)
        clone = keras.models.clone_model(plain, clone_function=_StandIn, call_function=record)
        inputs = tuple(value_of(tensor) for tensor in keras.tree.flatten(clone.inputs))
        for index, value in enumerate(inputs):
            value.index = index
        outputs = tuple(value_of(tensor) for tensor in keras.tree.flatten(clone.outputs))
        return LayerGraph(model.name, tuple(nodes), inputs, outputs, _input_keys(model))

    def _unique(self, name: str, prefix: str) -> str:
        chosen, number = name, 1
        while chosen in self._names:
            chosen = f"{prefix}{name}" if number == 1 and prefix else f"{prefix}{name}_call{number + 1}"
            number += 1
        self._names.add(chosen)
        return chosen


def _is_tensor(leaf: object) -> bool:
    return isinstance(leaf, keras.KerasTensor)


def _input_keys(model: keras.Model) -> tuple[str, ...]:
    given = getattr(model, "input", None)  # a sequential model that was never called has none
    if not isinstance(given, dict):
        return ()
    keys = {id(tensor): key for key, tensor in given.items()}
    return tuple(keys[id(tensor)] for tensor in model.inputs)


def _plain_functional(model: keras.Model) -> keras.Model:
    """The model as a plain functional one: `clone_model` takes call functions for these only."""
    if not isinstance(model, keras.Model):
        raise ModelError(f"expected a keras.Model; got {type(model).__module__}.{type(model).__name__}")
    symbolic = getattr(model, "inputs", None)
    if isinstance(model, keras.Sequential) and not symbolic:
        raise ModelError(f"model '{model.name}' has no input shape yet", hint="put keras.Input(...) first, or build it")
    try:
        if not symbolic or not getattr(model, "outputs", None):
            raise ValueError("it has no symbolic inputs")
        return keras.Model(model.inputs, model.outputs)
    except (ValueError, AttributeError) as fault:
        raise ModelError(
            f"model '{model.name}' is a subclass of keras.Model ({type(model).__name__}) with a `call` of its own; "
            "its layers cannot be seen",
            hint="build it as keras.Model(inputs, outputs), or as keras.Sequential",
        ) from fault


def _inline(inner: LayerGraph, outer: list[Value], nodes: list[Node]) -> list[Value]:
    """Add a nested model's nodes with the outer tensors as its inputs; gives its outputs."""
    given = {id(value): replacement for value, replacement in zip(inner.inputs, outer, strict=True)}

    def joined(value: Value) -> Value:
        return given.get(id(value), value)

    for node in inner.nodes:
        node.args, node.kwargs = replace_values(node.args, joined), replace_values(node.kwargs, joined)
        nodes.append(node)
    return [joined(value) for value in inner.outputs]
