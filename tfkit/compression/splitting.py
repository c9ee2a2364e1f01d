"""Bring a layer graph into the form that quantisation works on: one operation for each layer."""

from collections.abc import Sequence

import keras

from tfkit.compression.kinds import kind_of, own_kind_of
from tfkit.compression.kinds.arithmetic import as_rescaling, scaling_of
from tfkit.compression.kinds.embedding import sum_constants
from tfkit.compression.kinds.kind import Splitting
from tfkit.graph import (
    LayerCall,
    LayerGraph,
    Node,
    build_model,
    call_opened,
    call_with_rows,
    is_builtin,
    opened_model,
    read_graph,
)
from tfkit.graph.building import Copy
from tfkit.keras_types import Tensor
from tfkit.layers import FakeQuantize, MaskedMean, QuantizedLayerNormalization


def split_layers(graph: LayerGraph) -> LayerGraph:
    """Write activations inside layers, and the two halves of separable convolutions, as layers of their own.

    `Conv2D(activation="relu")` becomes `Conv2D` and `Activation("relu")`; `SeparableConv2D` becomes
    `DepthwiseConv2D` and a 1x1 `Conv2D`; SiLU becomes a sigmoid and a `Multiply`, as the file has it; merges of more
    than two tensors become a chain of merges of two; arithmetic with a number, or one for each channel, becomes a
    `Rescaling`; a group normalisation, and the attention of an image's places, are written operator by operator; pixels
    whose channels are put in another order pass one `ChannelOrder`. A layer that is called several
    times stays one. Layers made of other layers, as keras-hub's blocks are, are laid open. How each kind of layer is
    written stands in `tfkit.compression.kinds`.

    Args:
        graph: A model's graph.

    Returns:
        The graph of a new model with the same weights, and outputs equal to the bit; all but the last one where
        something is divided by a number.

    Example:
        >>> inputs = keras.Input((4,))
        >>> model = keras.Model(inputs, keras.layers.Dense(2, activation="relu", name="dense")(inputs))
        >>> [node.kind for node in split_layers(read_graph(model)).nodes]
        ['Dense', 'Activation']
    """
    splitting = _Splitting()
    while True:  # a block may hold blocks
        splitting.shared = {id(node.operation) for node in graph.nodes if len(graph.calls_of(node.operation)) > 1}
        splitting.opened = False
        graph = read_graph(build_model(graph, splitting.call))
        if not splitting.opened:  # what was inside a block is split in the pass after it was opened
            return sum_constants(graph)


def scaling_as_layers(graph: LayerGraph) -> LayerGraph:
    """Write arithmetic with a number, or with one for each channel, as `Rescaling` layers, and nothing else.

    Args:
        graph: A model's graph.

    Returns:
        The graph itself where there is no such arithmetic, else that of a new model with the same weights.
    """
    if all(scaling_of(node) is None for node in graph.nodes):
        return graph

    def call(node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]) -> Tensor | Sequence[Tensor]:
        rescaled = as_rescaling(LayerCall(node, copy, args, kwargs))
        return copy()(*args, **kwargs) if rescaled is None else rescaled

    return read_graph(build_model(graph, call))


class _Splitting(Splitting):
    """What to put in each node's place; remembers the blocks that do not open.

    Attributes:
        opened: Whether this pass opened a block.
    """

    def __init__(self) -> None:
        super().__init__()
        self.opened = False
        self._closed: dict[int, keras.Layer] = {}

    def call(
        self, node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]
    ) -> Tensor | Sequence[Tensor]:
        """What a layer becomes, as `build_model` asks."""
        layer, call = node.operation, LayerCall(node, copy, args, kwargs)
        if own_kind_of(node) is not None:
            return self._split(call)
        if args and not self.is_shared(node) and (embedded := call_with_rows(node, args[0])) is not None:
            return embedded
        if not self._is_block(layer) and not _is_of_patches(node):
            return layer(*args, **kwargs) if id(layer) in self._closed else self._split(call)
        try:
            outputs = call_opened(node, args, kwargs)
        except Exception:  # Python code that anyone wrote, run on symbols it may not have been written for
            self._closed[id(layer)] = layer
            return layer(*args, **kwargs)  # planning refuses it by name
        self.opened = True
        return outputs

    def _is_block(self, layer: keras.Layer) -> bool:
        return _holds_layers(layer) and id(layer) not in self._closed

    def _split(self, call: LayerCall) -> Tensor | Sequence[Tensor]:
        split = kind_of(call.node).split
        if split is not None and (outputs := split(self, call)) is not None:
            return outputs
        try:
            return call.copied()
        except (ValueError, TypeError, NotImplementedError):  # what Keras raises for a layer without a configuration
            return call.node.operation(*call.args, **call.kwargs)  # planning refuses it by name


def _holds_layers(layer: keras.Layer) -> bool:
    if not isinstance(layer, keras.layers.Layer) or isinstance(
        layer, FakeQuantize | MaskedMean | QuantizedLayerNormalization
    ):
        return False
    if layer.__module__.startswith("keras.src.layers."):
        return False  # augmentations and wrappers: they are more than the layers they hold
    return any(True for _ in layer._flatten_layers(include_self=False))


def _is_of_patches(node: Node) -> bool:
    """Whether a layer of one's own cuts an image into patches and moves them, and does nothing else."""
    layer = node.operation
    if not isinstance(layer, keras.layers.Layer) or is_builtin(layer) or layer.variables or _holds_layers(layer):
        return False
    try:
        nested, _ = opened_model(node)
    except Exception:  # Python code that anyone wrote, run on symbols it may not have been written for
        return False
    kinds = [inner.kind for inner in read_graph(nested).nodes]
    return "ExtractPatches" in kinds and set(kinds) <= {"ExtractPatches", "Reshape", "Transpose"}
