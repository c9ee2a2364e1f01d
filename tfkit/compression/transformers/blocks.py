"""The layers of an opened transformer encoder, and the same model with some of them removed or made narrower."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.compression.stripping import is_compressed
from tfkit.errors import ModelError
from tfkit.graph import LayerGraph, Node, build_model, copy_layer, read_graph
from tfkit.graph.building import Copy
from tfkit.keras_types import Tensor

# What `open_transformer` calls the parts of a block.
ATTENTION_OUTPUT, FEEDFORWARD_OUTPUT = "attention_output", "feedforward_output_dense"
_HEADS_MARK = "_query_heads"
_PROJECTIONS = ("query", "key", "value")


@dataclass(frozen=True)
class Block:
    """One layer of an encoder: an attention and a feed-forward part.

    Attributes:
        name: What its layers' names begin with.
        output: The layer that gives its result.
        hidden: Width of what flows through it.
        heads: Attention heads.
        head_width: Width of one head.
        neurons: Width of the feed-forward part.
    """

    name: str
    output: str
    hidden: int
    heads: int
    head_width: int
    neurons: int

    def multiply_adds(self, *, length: int) -> int:
        """Multiply-adds for one text of `length` tokens."""
        width = self.heads * self.head_width
        return length * (4 * self.hidden * width + 2 * self.hidden * self.neurons + 2 * length * width)


@dataclass(frozen=True)
class BlockCut:
    """What stays of one block.

    Attributes:
        block: The block before.
        heads: The attention heads that stay, ascending; empty when the whole block goes.
        neurons: The feed-forward neurons that stay, likewise.
    """

    block: Block
    heads: tuple[int, ...]
    neurons: tuple[int, ...]

    @property
    def removed(self) -> bool:
        """Whether the whole block goes."""
        return not self.heads


def encoder_layers(model: keras.Model) -> tuple[Block, ...]:
    """The blocks of an opened transformer, in running order.

    Args:
        model: What `tfkit.models.text.open_transformer` gave, or what was cut from it; in float, without masks.

    Returns:
        The blocks.

    Raises:
        ModelError: When there are none, or the model was compressed otherwise.

    Example:
        >>> len(encoder_layers(plain))
        2
    """
    if is_compressed(model):
        raise ModelError(
            f"model '{model.name}' has masks or rounded weights; its layers cannot be cut any more",
            hint="cut it first, then train it quantisation-aware",
        )
    graph = read_graph(model)
    blocks = tuple(
        _block(graph, node.name.removesuffix(_HEADS_MARK)) for node in graph.nodes if node.name.endswith(_HEADS_MARK)
    )
    if not blocks:
        raise ModelError(
            f"model '{model.name}' has no opened encoder layers",
            hint="give what tfkit.models.text.open_transformer gave",
        )
    return blocks


def cut_transformer(model: keras.Model, cuts: tuple[BlockCut, ...]) -> keras.Model:
    """Build the smaller model that a plan describes.

    A layer that goes hands its input on, as its residual connection does: what is behind it works on. Of a head, its
    columns of the three projections and its rows of the one behind them go; of a neuron, a column and a row.

    Args:
        model: An opened transformer; it is not changed.
        cuts: What stays of each of its blocks; blocks that are not named stay as they are.

    Returns:
        An opened transformer again, with the same inputs and outputs, and weights of its own.

    Example:
        >>> cuts = plan_student(plain, StudentSize(layers=1)).cuts
        >>> student = cut_transformer(plain, cuts)
    """
    rules: dict[str, _Rule] = {}
    for cut in cuts:
        rules |= _removal(cut.block.name) if cut.removed else _narrowing(cut)

    def call(node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]) -> Tensor | Sequence[Tensor]:
        return rules[node.name](node, args) if node.name in rules else copy()(*args, **kwargs)

    return build_model(read_graph(model), call)


_Rule = Callable[[Node, tuple[Tensor, ...]], Tensor]


def _block(graph: LayerGraph, name: str) -> Block:
    nodes = {node.name: node for node in graph.nodes}
    _, heads, width = nodes[f"{name}{_HEADS_MARK}"].operation.target_shape
    _, hidden = nodes[f"{name}_{ATTENTION_OUTPUT}"].operation.kernel.shape
    neurons, _ = nodes[f"{name}_{FEEDFORWARD_OUTPUT}"].operation.kernel.shape
    # The normalisation stands behind the addition in BERT, and before it in encoders that normalise first.
    ends = {f"{name}_feedforward_add", f"{name}_feedforward_layer_norm"}
    output = [node.name for node in graph.nodes if node.name in ends][-1]
    return Block(name, output, int(hidden), int(heads), int(width), int(neurons))


def _removal(name: str) -> dict[str, _Rule]:
    """Additions give their residual, normalisations their input; whatever else the block has leads nowhere then."""
    rules: dict[str, _Rule] = {}
    for part in ("attention", "feedforward"):
        rules[f"{name}_{part}_add"] = lambda node, args: args[0][1]
    for part in ("self_attention", "feedforward"):
        rules[f"{name}_{part}_layer_norm"] = lambda node, args: args[0]
    return rules


def _narrowing(cut: BlockCut) -> dict[str, _Rule]:
    name, heads, width = cut.block.name, np.array(cut.heads), cut.block.head_width
    neurons, columns = np.array(cut.neurons), (heads[:, None] * width + np.arange(width)).ravel()
    rules = {f"{name}_{part}": _dense(columns, axis=1) for part in _PROJECTIONS}
    rules |= {f"{name}_{part}_heads": _reshape((-1, len(heads), width)) for part in _PROJECTIONS}
    rules[f"{name}_mix_joined"] = _reshape((-1, len(columns)))
    rules[f"{name}_{ATTENTION_OUTPUT}"] = _dense(columns, axis=0)
    rules[f"{name}_feedforward_intermediate_dense"] = _dense(neurons, axis=1)
    rules[f"{name}_{FEEDFORWARD_OUTPUT}"] = _dense(neurons, axis=0)
    return rules


def _dense(kept: NDArray[np.intp], *, axis: int) -> _Rule:
    def call(node: Node, args: tuple[Tensor, ...]) -> Tensor | Sequence[Tensor]:
        kernel, bias = (keras.ops.convert_to_numpy(weight) for weight in node.operation.get_weights())
        kernel, bias = np.take(kernel, kept, axis), bias if axis == 0 else bias[kept]
        layer = copy_layer(node.operation, name=node.name, units=kernel.shape[1])
        outputs = layer(*args)
        layer.set_weights([kernel, bias])
        return outputs

    return call


def _reshape(shape: tuple[int, ...]) -> _Rule:
    return lambda node, args: copy_layer(node.operation, name=node.name, target_shape=shape)(*args)
