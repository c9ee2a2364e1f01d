"""Build a Keras model from a layer graph, with any of its calls replaced."""

import functools
import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras

from tfkit.errors import ModelError
from tfkit.graph.layer_graph import LayerGraph, Node, replace_values
from tfkit.keras_types import Array, LayerConfig, Tensor


def give_weights(owner: keras.Layer, weights: Sequence[Array]) -> None:
    """Set the weights of a layer or model as `set_weights` does, and what its layers compute from them.

    A `Normalization` layer computes with a mean and a variance that it derives from its weights in `finalize_state`,
    which `set_weights` does not call: without it a copy of an adapted layer is the identity.

    Args:
        owner: A built layer or model; changed in place.
        weights: Arrays of the shapes of its weights, in their order.

    Raises:
        ValueError: When their number or shapes differ.

    Example:
        >>> give_weights(copy, model.get_weights())  # doctest: +SKIP
    """
    owner.set_weights(weights)
    for layer in owner._flatten_layers():
        if layer.weights and hasattr(layer, "finalize_state"):  # Discretization has none, and would forget its bins
            layer.finalize_state()


# node, its layer's copy when asked for, positional and keyword arguments (tensors, and the plain ones of an operation)
# -> output tensors
Copy = Callable[[], keras.Layer]
Call = Callable[[Node, Copy, tuple[Tensor, ...], dict[str, object]], Tensor | Sequence[Tensor]]


@dataclass(frozen=True)
class LayerCall:
    """A call of a layer in a graph that is built again.

    Attributes:
        node: The call in the old graph.
        copy: Gives a copy of its layer, with its weights: the same one for each call of a shared layer.
        args, kwargs: Its arguments, the new graph's tensors in the place of the old one's.
    """

    node: Node
    copy: Copy
    args: tuple[Tensor, ...]
    kwargs: dict[str, object]

    def copied(self) -> Tensor:
        """What the layer's copy gives."""
        return self.copy()(*self.args, **self.kwargs)


def build_model(graph: LayerGraph, call: Call | None = None, *, name: str | None = None) -> keras.Model:
    """Build a new model from a graph; layers are copied with their weights, so nothing is shared with the old one.

    Args:
        graph: What `read_graph` gave.
        call: What to do for each node, in order: `call(node, copy, args, kwargs)` gives its output tensors, where
            `args` and `kwargs` hold the new model's tensors and `copy()` is the node's layer, copied with its
            weights, the same copy for each call of a shared layer. Default: `copy()(*args, **kwargs)`, which gives
            a model with outputs equal to the bit.
        name: The new model's name; default the graph's.

    Returns:
        A flat functional model.

    Example:
        >>> def without_dropout(node, copy, args, kwargs):
        ...     return args[0] if node.kind == "Dropout" else copy()(*args, **kwargs)
        >>> build_model(graph, without_dropout).output_shape
        (None, 2)
    """
    inputs = [keras.Input(batch_shape=value.shape, dtype=value.dtype, name=value.name) for value in graph.inputs]
    outputs = copy_onto(graph, inputs, call)
    given = dict(zip(graph.input_keys, inputs, strict=True)) if graph.input_keys else _single(inputs)
    return keras.Model(given, _single(outputs), name=name or graph.name)


def copy_onto(graph: LayerGraph, inputs: Sequence[Tensor], call: Call | None = None) -> list[Tensor]:
    """Copy a graph's layers, with their weights, onto other tensors.

    Args:
        graph: What `read_graph` gave.
        inputs: Keras tensors of the shapes of the graph's inputs; not necessarily `Input`s.
        call: As for `build_model`.

    Returns:
        The copy's output tensors.
    """
    tensors = {id(value): tensor for value, tensor in zip(graph.inputs, inputs, strict=True)}
    copies = _Copies()
    _keep_names_for(graph)
    for node in graph.nodes:
        args, kwargs = replace_values((node.args, node.kwargs), lambda value: tensors[id(value)])
        if call is None:
            made = copies.of(node)(*args, **kwargs)
        else:
            made = call(node, functools.partial(copies.of, node), args, kwargs)
        for value, tensor in zip(node.outputs, keras.tree.flatten(made), strict=True):
            tensors[id(value)] = tensor
    copies.hand_over_weights()
    return [tensors[id(value)] for value in graph.outputs]


def copy_layer(
    layer: keras.Operation, *, name: str | None = None, kind: type[keras.Layer] | None = None, **changes: object
) -> keras.Operation:
    """Copy a layer or operation by its configuration, without its weights.

    Args:
        layer: The layer.
        name: The copy's name; default the layer's.
        kind: The copy's class, for a subclass that takes the same arguments and more; default the layer's.
        **changes: Arguments that differ.

    Returns:
        The copy, not built.

    Raises:
        ModelError: Names the layer, when it does not tell its configuration.

    Example:
        >>> copy_layer(keras.layers.Dense(2), units=5).units
        5
    """
    if not isinstance(layer, keras.layers.Layer):
        return layer.__class__.from_config(_configuration(layer))
    config = _configuration(layer) | changes | ({"name": name} if name else {})
    return (kind or layer.__class__).from_config(config)


def _configuration(layer: keras.Operation) -> LayerConfig:
    try:
        config: LayerConfig = layer.get_config()
        return config
    except NotImplementedError as fault:  # Keras's own way to say that an argument cannot be written down
        given = inspect.signature(type(layer).__init__).parameters
        if isinstance(layer, keras.layers.Layer) and set(given) == {"self", "kwargs"}:
            policy = keras.saving.serialize_keras_object(layer.dtype_policy)
            return {"name": layer.name, "trainable": layer.trainable, "dtype": policy}
        raise ModelError(
            f"layer '{layer.name}' ({type(layer).__name__}) cannot be built again: it does not tell what it was made "
            "with",
            hint="give its class a get_config() that returns the arguments of its __init__",
        ) from fault
    except AttributeError as fault:  # a get_config that tells what its layer never had
        raise ModelError(
            f"layer '{layer.name}' ({type(layer).__name__}) cannot be built again: its get_config fails: {fault}",
            hint="mend its get_config(), which is to return the arguments of its __init__",
        ) from fault


def _keep_names_for(graph: LayerGraph) -> None:
    """Let Keras give no operation that is made from now on the name of a node.

    Keras numbers what has no name of its own from 0 in every process, and a model that was loaded already has
    layers with such names.
    """
    largest: dict[str, int] = {}
    for node in graph.nodes:
        kind, number = _NUMBERED.match(node.name).groups()  # type: ignore[union-attr]
        if number is None or len(number) <= _MOST_DIGITS:
            largest[kind] = max(largest.get(kind, 0), int(number or 0))
    for kind, number in largest.items():
        while keras.backend.get_uid(kind) <= number:
            pass


# A name, and the number that Keras tells others of it by; a number of more digits was given by someone.
_NUMBERED = re.compile(r"(.*?)(?:_(\d+))?$", re.DOTALL)
_MOST_DIGITS = 4


class _Copies:
    def __init__(self) -> None:
        self._copies: dict[int, tuple[keras.Operation, keras.Operation]] = {}

    def of(self, node: Node) -> keras.Operation:
        key = id(node.operation)
        if key not in self._copies:
            self._copies[key] = (node.operation, copy_layer(node.operation, name=node.name))
        return self._copies[key][1]

    def hand_over_weights(self) -> None:
        for original, copied in self._copies.values():
            if getattr(original, "weights", None) and copied.built:
                give_weights(copied, original.get_weights())


def _single(tensors: list[Tensor]) -> Tensor | list[Tensor]:
    return tensors[0] if len(tensors) == 1 else tensors
