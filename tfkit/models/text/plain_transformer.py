"""Open a keras-hub text classifier into plain layers, one for each operator of its exported file."""

from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.errors import ModelError
from tfkit.graph import LayerGraph, Node, Value, build_model, read_graph, refuse_difference
from tfkit.graph.building import Copy
from tfkit.keras_types import Inputs, Tensor
from tfkit.layers import AddPositions, ApproximateGelu, AttentionMask, MaskedMean, MatMul

_Weights = dict[str, NDArray[np.float32]]
_OPENED = (
    "ReversibleEmbedding",
    "PositionEmbedding",
    "TokenAndPositionEmbedding",
    "TransformerEncoder",
)
_MERGED_FIRST = "lora"


def open_transformer(model: keras.Model, inputs: Inputs | None = None) -> keras.Model:
    """Rewrite a text classifier into a flat functional model of plain layers, with its weights.

    Each layer of the result is one operator of the exported file: lookups, additions, Dense layers on
    (batch, length, hidden), products of two tensors, the mask, the softmax. That is what `quantize_aware` and the
    pruning of heads and widths take. The three projections of an attention are Dense layers.

    Args:
        model: A functional text classifier over a keras-hub encoder made of `TransformerEncoder` layers (BERT,
            DistilBERT, RoBERTa, ELECTRA), with int32 inputs `token_ids` and `padding_mask` (batch, length).
            It is not changed.
        inputs: A few real inputs that the two are compared on; see `tfkit.graph.refuse_difference`.

    Returns:
        A model with the same inputs, and outputs equal to about 1e-5.

    Raises:
        ModelError: Names every layer that cannot be opened (ALBERT's shared layers, DeBERTa's disentangled
            attention), and says why; or the first layer after which the opened model differs.

    Example:
        >>> plain = open_transformer(text_classifier)
        >>> student = quantize_aware(plain, tokenizer(texts, sequence_length=32))
    """
    graph = read_graph(model)
    if faults := _faults(graph):
        told = "; ".join(f"layer '{name}': {fault}" for name, fault in faults.items())
        raise ModelError(
            f"model '{graph.name}' cannot be opened into plain layers: {told}",
            hint="BERT, DistilBERT, RoBERTa and ELECTRA encoders can; export this one in float or as dynamic_int8",
        )
    return _opened(model, graph, inputs)


def opened_if_possible(model: keras.Model) -> keras.Model:
    """A text model as `open_transformer` gives it, or as it is where its encoder cannot be opened.

    Files with float activations are made of either: ALBERT and DeBERTa have those.

    Args:
        model: A functional text model; it is not changed.

    Returns:
        The opened model, or the model itself.
    """
    graph = read_graph(model)
    return model if _faults(graph) else _opened(model, graph)


def with_sequence_length(model: keras.Model, *, sequence_length: int) -> keras.Model:
    """Rebuild an opened model for texts of one length; its weights are copied.

    Args:
        model: What `open_transformer` gave, or what was made from it.
        sequence_length: Tokens of every text.

    Returns:
        The model with inputs (batch, sequence_length): what an integer file needs.

    Example:
        >>> with_sequence_length(plain, sequence_length=16).output_shape
        (None, 10)
    """
    graph = read_graph(model)
    for value in graph.inputs:
        value.shape = (value.shape[0], sequence_length)
    made = build_model(graph)
    refuse_difference(model, made, what=f"copy for {sequence_length} tokens")
    return made


def _opened(model: keras.Model, graph: LayerGraph, inputs: Inputs | None = None) -> keras.Model:
    opened = build_model(graph, _Opening(graph).call)
    refuse_difference(model, opened, inputs, what="opened copy")
    return opened


def _faults(graph: LayerGraph) -> dict[str, str]:
    return {node.name: fault for node in graph.nodes if (fault := _fault(graph, node)) is not None}


def _fault(graph: LayerGraph, node: Node) -> str | None:
    layer = node.operation
    if not isinstance(layer, keras.layers.Layer):
        return None
    if any(_MERGED_FIRST in weight.name for weight in layer.weights):
        return "it holds LoRA weights that are not merged"
    if getattr(layer, "mask_zero", False):
        return "it makes a mask of its own (mask_zero); the padding mask is an input"
    if node.kind in _OPENED and graph.calls_of(layer)[0] is not node:
        return "it is called again, and one set of weights cannot follow the scales of several calls"
    if node.kind == "TransformerEncoder":
        return "it takes an attention mask" if node.kwargs.get("attention_mask") is not None else None
    if node.kind == "PositionEmbedding":
        taker = graph.only_consumer(node.output)
        if taker is None or taker.kind != "Add":
            return "its output goes elsewhere than into one addition"
        return "it is called with positions" if set(node.kwargs) & {"positions", "start_index"} else None
    if node.kind not in _OPENED and type(layer).__module__.startswith("keras_hub."):
        return f"there is no rule for a {node.kind}"
    return None


class _Opening:
    def __init__(self, graph: LayerGraph) -> None:
        self._graph = graph

    def call(
        self, node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]
    ) -> Tensor | Sequence[Tensor]:
        layer = node.operation
        if node.kind == "TransformerEncoder":
            return _encoder(node, args[0], kwargs.get("padding_mask", args[1] if len(args) > 1 else None))
        if node.kind == "ReversibleEmbedding":
            return _lookup(layer, node.name, _array(layer.embeddings), args[0])
        if node.kind == "TokenAndPositionEmbedding":
            tables = _weights_of(layer)
            tokens = _lookup(layer, f"{node.name}_tokens", tables["token_embedding/embeddings"], args[0])
            return _add_rows(layer, f"{node.name}_positions", tables["position_embedding/embeddings"], tokens)
        if node.kind == "PositionEmbedding":
            return args[0]  # the addition behind it adds the rows
        if node.kind == "Add" and isinstance(args[0], list | tuple):
            return self._embeddings_added(node, copy, args)
        if node.kind == "GlobalAveragePooling1D" and (mask := kwargs.get("mask")) is not None:
            return MaskedMean(name=node.name, dtype=layer.dtype_policy)(args[0], mask)
        return copy()(*args, **kwargs)

    def _embeddings_added(self, node: Node, copy: Copy, args: tuple[Tensor, ...]) -> Tensor | Sequence[Tensor]:
        """Token rows plus position rows; the row of the one segment there is goes into those of the positions."""
        values = keras.tree.flatten(node.args)
        positions = [value for value in values if _kind(value) == "PositionEmbedding"]
        if not positions:
            return copy()(*args)
        constant = [value for value in values if self._is_first_segment(value)]
        tables = [_array(value.node.operation.position_embeddings) for value in positions]
        segments = [_array(value.node.operation.embeddings)[:1] for value in constant]
        rows = np.asarray(sum(segments, sum(tables)), np.float32)
        left = [tensor for value, tensor in zip(values, args[0], strict=True) if value not in positions + constant]
        tokens = left[0] if len(left) == 1 else keras.layers.Add(name=f"{node.name}_segments")(left)
        return _add_rows(positions[0].node.operation, node.name, rows, tokens)

    def _is_first_segment(self, value: Value) -> bool:
        node = value.node
        if node is None or node.kind != "Embedding" or self._graph.only_consumer(value) is None:
            return False
        return _kind(node.inputs[0]) == "ZerosLike"


def _encoder(node: Node, tensor: Tensor, padding_mask: Tensor | None) -> Tensor:
    layer = node.operation
    block = _Block(node.name, layer)
    first = layer.normalize_first
    attended = block.attention(block.norm("self_attention_layer_norm", tensor) if first else tensor, padding_mask)
    tensor = keras.layers.Add(name=f"{node.name}_attention_add")([attended, tensor])
    tensor = tensor if first else block.norm("self_attention_layer_norm", tensor)
    inner = block.norm("feedforward_layer_norm", tensor) if first else tensor
    inner = block.dense("feedforward_intermediate_dense", inner)
    inner = block.activation(inner)
    inner = block.dropout("feedforward_dropout", block.dense("feedforward_output_dense", inner))
    tensor = keras.layers.Add(name=f"{node.name}_feedforward_add")([inner, tensor])
    return tensor if first else block.norm("feedforward_layer_norm", tensor)


class _Block:
    """The parts of one `TransformerEncoder`, made anew with its weights."""

    def __init__(self, name: str, layer: keras.Layer) -> None:
        self._name, self._layer = name, layer
        self._weights = _weights_of(layer)
        self._settings = {"dtype": layer.dtype_policy, "trainable": layer.trainable}

    def attention(self, tensor: Tensor, padding_mask: Tensor | None) -> Tensor:
        hidden = int(tensor.shape[-1])
        width = hidden // self._layer.num_heads
        queries = self._heads("query", tensor, order=(2, 1, 3))
        keys = self._heads("key", tensor, order=(2, 3, 1))
        values = self._heads("value", tensor, order=(2, 1, 3))
        scores = MatMul(scale=1 / np.sqrt(width), name=f"{self._name}_scores")(queries, keys)
        if padding_mask is not None:
            scores = AttentionMask(name=f"{self._name}_mask")(scores, padding_mask)
        shares = self.dropout("attention_dropout", keras.layers.Softmax(name=f"{self._name}_softmax")(scores))
        mixed = MatMul(name=f"{self._name}_mix")(shares, values)
        mixed = keras.layers.Permute((2, 1, 3), name=f"{self._name}_mix_permuted")(mixed)
        joined = keras.layers.Reshape((-1, hidden), name=f"{self._name}_mix_joined")(mixed)
        kernel, bias = (self._weights[f"attention_output/{part}"] for part in ("kernel", "bias"))
        joined = self._dense("attention_output", joined, kernel.reshape(hidden, -1), bias)
        return self.dropout("self_attention_dropout", joined)

    def _heads(self, part: str, tensor: Tensor, *, order: tuple[int, int, int]) -> Tensor:
        kernel, bias = (self._weights[f"{part}/{weight}"] for weight in ("kernel", "bias"))
        hidden, heads, width = kernel.shape
        projected = self._dense(part, tensor, kernel.reshape(hidden, -1), bias.ravel())
        split = keras.layers.Reshape((-1, heads, width), name=f"{self._name}_{part}_heads")(projected)
        return keras.layers.Permute(order, name=f"{self._name}_{part}_permuted")(split)

    def dense(self, part: str, tensor: Tensor) -> Tensor:
        return self._dense(part, tensor, self._weights[f"{part}/kernel"], self._weights[f"{part}/bias"])

    def _dense(self, part: str, tensor: Tensor, kernel: NDArray[np.float32], bias: NDArray[np.float32]) -> Tensor:
        layer = keras.layers.Dense(kernel.shape[-1], name=f"{self._name}_{part}", **self._settings)
        outputs = layer(tensor)
        layer.set_weights([kernel, bias])
        return outputs

    def norm(self, part: str, tensor: Tensor) -> Tensor:
        epsilon = self._layer.layer_norm_epsilon
        layer = keras.layers.LayerNormalization(epsilon=epsilon, name=f"{self._name}_{part}", **self._settings)
        outputs = layer(tensor)
        layer.set_weights([self._weights[f"{part}/gamma"], self._weights[f"{part}/beta"]])
        return outputs

    def dropout(self, part: str, tensor: Tensor) -> Tensor:
        return keras.layers.Dropout(self._layer.dropout, name=f"{self._name}_{part}")(tensor)

    def activation(self, tensor: Tensor) -> Tensor:
        function, name = self._layer.activation, f"{self._name}_activation"
        if getattr(function, "__name__", "") == "gelu_approximate":
            return ApproximateGelu(name=name, dtype=self._layer.dtype_policy)(tensor)
        return keras.layers.Activation(function, name=name, dtype=self._layer.dtype_policy)(tensor)


def _lookup(layer: keras.Layer, name: str, table: NDArray[np.float32], ids: Tensor) -> Tensor:
    settings = {"dtype": layer.dtype_policy, "trainable": layer.trainable}
    made = keras.layers.Embedding(*table.shape, name=name, **settings)
    outputs = made(ids)
    made.set_weights([table])
    return outputs


def _add_rows(layer: keras.Layer, name: str, rows: NDArray[np.float32], tensor: Tensor) -> Tensor:
    made = AddPositions(positions=len(rows), name=name, dtype=layer.dtype_policy, trainable=layer.trainable)
    outputs = made(tensor)
    made.set_weights([rows])
    return outputs


def _weights_of(layer: keras.Layer) -> _Weights:
    """A layer's weights by the last two parts of their paths, such as `query/kernel`."""
    return {"/".join(weight.path.split("/")[-2:]): _array(weight) for weight in layer.weights}


def _array(weight: keras.Variable) -> NDArray[np.float32]:
    return np.asarray(keras.ops.convert_to_numpy(weight), np.float32)


def _kind(value: object) -> str:
    return value.node.kind if isinstance(value, Value) and value.node is not None else ""
