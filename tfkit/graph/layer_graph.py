"""A Keras model as a flat list of layer calls."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import keras


@dataclass(eq=False)
class Value:
    """A tensor of the graph: a model input, or an output of a node.

    Attributes:
        shape: Its shape, the batch first; None where Keras does not know a size.
        dtype: Its type's name.
        node: The node that makes it; None for a model input.
        index: Its place among the node's outputs, or among the model's inputs.
        name: The Keras tensor's name.
    """

    shape: tuple[int | None, ...]
    dtype: str
    node: "Node | None" = field(default=None, repr=False)
    index: int = 0
    name: str = ""


@dataclass(eq=False)
class Node:
    """One call of a layer or of a Keras operation.

    Attributes:
        name: Unique in the graph. The layer's own name, except where two nested models hold layers of one name, or
            a layer is called twice.
        operation: The layer, or the operation of a call such as `x + y`. A layer called twice is in two nodes.
        args: Its positional arguments, `Value`s in the place of tensors, nested as they were given.
        kwargs: Its keyword arguments, likewise.
        outputs: What it gives, in order.
    """

    name: str
    operation: keras.Operation
    args: tuple[object, ...]
    kwargs: dict[str, object]
    outputs: tuple[Value, ...] = ()

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The tensors among its arguments, in order."""
        found = keras.tree.flatten((self.args, self.kwargs))
        return tuple(leaf for leaf in found if isinstance(leaf, Value))

    @property
    def output(self) -> Value:
        """Its first output; most nodes have one."""
        return self.outputs[0]

    @property
    def kind(self) -> str:
        """The class name of its layer or operation."""
        return type(self.operation).__name__


@dataclass(eq=False)
class LayerGraph:
    """A model laid open: every layer call in the order it runs, nested models flattened.

    Attributes:
        name: The model's name.
        nodes: The calls, each after those it depends on.
        inputs: The model's inputs, in order.
        outputs: The model's outputs, in order.
        input_keys: What the model calls its inputs when it takes them as a dictionary, in order; else empty.

    Example:
        >>> graph.nodes[-1].kind, len(graph.inputs)
        ('Softmax', 1)
    """

    name: str
    nodes: tuple[Node, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    input_keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._consumers: dict[int, list[Node]] = {}
        for node in self.nodes:
            for value in dict.fromkeys(node.inputs):
                self._consumers.setdefault(id(value), []).append(node)

    def consumers(self, value: Value) -> tuple[Node, ...]:
        """The nodes that take a tensor, in order; a model output is not one."""
        return tuple(self._consumers.get(id(value), ()))

    def only_consumer(self, value: Value) -> Node | None:
        """The one node that takes a tensor; None when several do, none does, or it is a model output as well.

        Example:
            >>> graph.only_consumer(graph.inputs[0]).kind
            'Rescaling'
        """
        takers = self.consumers(value)
        return takers[0] if len(takers) == 1 and value not in self.outputs else None

    def calls_of(self, operation: keras.Operation) -> tuple[Node, ...]:
        """Every call of one layer: more than one for a shared layer."""
        return tuple(node for node in self.nodes if node.operation is operation)


Structure = TypeVar("Structure")


def replace_values(structure: Structure, replacement: Callable[[Value], object]) -> Structure:
    """Put something else in the place of each `Value` of nested arguments.

    Args:
        structure: A node's `args` or `kwargs`.
        replacement: What to put there.

    Returns:
        The same nesting.
    """
    replaced: Structure = keras.tree.map_structure(
        lambda leaf: replacement(leaf) if isinstance(leaf, Value) else leaf, structure
    )
    return replaced
