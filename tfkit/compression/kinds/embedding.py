"""Rows that are looked up, and rows that are added for each place of a sequence."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.compression.folded import TrainedKernel
from tfkit.compression.kinds.kernels import settle_kernel, strip_kernel, train_twin
from tfkit.compression.kinds.kind import Kind, Stripping, Training, named
from tfkit.compression.operators import float32_of
from tfkit.graph import LayerCall, LayerGraph, Node, activation_name, build_model, copy_layer, give_weights, read_graph
from tfkit.graph.building import Copy
from tfkit.keras_types import Tensor
from tfkit.layers import AddPositions, CompressedEmbedding, FakeQuantize

if TYPE_CHECKING:
    from tfkit.compression.folded import Folding

_SEQUENCES = 3


def _train_table(training: Training, call: LayerCall) -> Tensor | None:
    """Rows lie on grids of their own where nothing behind rounds them."""
    return None if training.weight_bits is None else train_twin(training, call, CompressedEmbedding)


def _fold_table(folding: "Folding", call: LayerCall) -> Tensor:
    """The rows on the grid of what is looked up."""
    layer, follower = call.node.operation, folding.taker(call.node.output)
    quantizer = follower.operation if follower is not None else None
    rows = keras.ops.convert_to_tensor(layer.embeddings)
    if not isinstance(quantizer, FakeQuantize):
        return _called(layer, rows, call.args[0])
    rounded = keras.ops.convert_to_numpy(quantizer(rows))
    if quantizer.bits == 8:
        steps = _file_steps(rounded, *quantizer.real_range())
        folding.kernels.append(TrainedKernel(call.node.name, steps, 8, is_table=True, first_axes=(None,)))
    return _called(layer, rounded, call.args[0])


def _file_steps(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.int8]:
    scale = max(high - low, 1e-12) / 255
    zero_point = np.clip(np.floor(0.5 - low / scale), 0, 255)
    return np.asarray(np.clip(np.round(values / scale) + zero_point, 0, 255) - 128, np.int8)


def _train_positions(training: Training, call: LayerCall) -> Tensor:
    return training.changed(call, bits=training.bits)


def _fold_positions(folding: "Folding", call: LayerCall) -> Tensor:
    """Add the rows that a sequence of this length gets, on the grid they were trained on."""
    layer, tensor = call.node.operation, call.args[0]
    rows = keras.ops.convert_to_numpy(layer.rows(int(tensor.shape[1])))
    return _called(layer, rows, tensor, positions=len(rows), bits=None)


def _called(layer: keras.Layer, rows: Tensor | NDArray[np.float32], tensor: Tensor, **changes: object) -> Tensor:
    made = copy_layer(layer, name=layer.name, kind=None, **changes)
    outputs = made(tensor)
    made.set_weights([keras.ops.convert_to_numpy(rows)])
    return outputs


def _strip_positions(stripping: Stripping, call: LayerCall) -> Tensor:
    rows = np.asarray(keras.ops.convert_to_numpy(call.node.operation.embeddings))
    return stripping.plain(call, without=("bits",), weights=[rows])


def sum_constants(graph: LayerGraph) -> LayerGraph:
    """Make one sum of the constants that are added one behind the other, as the converter does.

    The bias of a Dense layer goes into the rows that are added right behind it, and so do other rows. In the file
    there is one addition, rounded once.

    Args:
        graph: A graph of layers of one operator each.

    Returns:
        The graph itself where there is nothing to sum, else that of a new model.
    """
    takers = {id(node.operation): taker for node in graph.nodes if (taker := _adds_rows(graph, node)) is not None}
    if not takers:
        return graph
    sums: dict[int, NDArray[np.float32]] = {}  # what has gone into the rows of a layer

    def call(node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]) -> Tensor | Sequence[Tensor]:
        layer, taker = node.operation, takers.get(id(node.operation))
        constant = sums.get(id(layer), np.float32(0))
        if taker is not None and isinstance(layer, AddPositions):
            sums[id(taker.operation)] = constant + float32_of(layer.embeddings)
            return args[0]
        if taker is not None:
            sums[id(taker.operation)] = float32_of(layer.bias)
            made = copy_layer(layer, name=node.name, use_bias=False)
            weights = [float32_of(layer.kernel)]
        elif id(layer) in sums:
            made = copy_layer(layer, name=node.name)
            weights = [constant + float32_of(layer.embeddings)]
        else:
            return copy()(*args, **kwargs)
        outputs = made(*args, **kwargs)
        give_weights(made, weights)
        return outputs

    return read_graph(build_model(graph, call))


def _adds_rows(graph: LayerGraph, node: Node) -> Node | None:
    """The `AddPositions` right behind a layer that ends in adding a constant; None for any other node."""
    layer, length = node.operation, node.output.shape[1] if len(node.output.shape) == _SEQUENCES else None
    biased = type(layer) is keras.layers.Dense and layer.use_bias and activation_name(layer) == "linear"
    if length is None or not (biased or (isinstance(layer, AddPositions) and layer.positions == length)):
        return None
    taker = graph.only_consumer(node.output)
    if taker is None or not isinstance(taker.operation, AddPositions) or taker.operation.positions != length:
        return None
    return taker if len(graph.calls_of(layer)) == len(graph.calls_of(taker.operation)) == 1 else None


TABLE = Kind(
    covers=lambda node: isinstance(node.operation, CompressedEmbedding) or node.kind == "Embedding",
    treatment="table",
    train=_train_table,
    settle=settle_kernel,
    fold=_fold_table,
    strip=strip_kernel,
    first_axes=(None,),
)
POSITIONS = Kind(
    covers=named("AddPositions"),
    treatment="compute",
    train=_train_positions,
    fold=_fold_positions,
    strip=_strip_positions,
)
KINDS = (TABLE, POSITIONS)
