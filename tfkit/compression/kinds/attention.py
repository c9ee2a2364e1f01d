"""Attention: softmax, products of tensors, the padding's mask, and the layer that is made of them."""

import math
from typing import TYPE_CHECKING

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.compression.folded import Rounding, rounding_of
from tfkit.compression.kinds.activations import UNIT_RANGE, WIDE_RANGE, activating, split_named
from tfkit.compression.kinds.counting import NARROW_BITS, Sums
from tfkit.compression.kinds.kind import Bits, Fault, Kind, Splitting, Stripping, Training, named
from tfkit.compression.operators import float32_of
from tfkit.graph import LayerCall, Node, Value
from tfkit.keras_types import Tensor
from tfkit.layers import BOUNDED_SCORE, FakeQuantize, MatMul, SettledSoftmax, step_width

if TYPE_CHECKING:
    from tfkit.compression.folded import Folding
    from tfkit.compression.neighbours import Neighbours, Summing

# A softmax over more places than this leaves each of them less than four steps of 8 bits on average.
_MOST_PLACES = 64


def is_wide_softmax(neighbours: "Neighbours", node: Node) -> bool:
    """Whether a layer gives an attention's shares over so many places that an 8-bit model holds them in 16 bits."""
    takers = neighbours.graph.consumers(node.output)
    while len(takers) == 1 and neighbours.treatment(takers[0]) == "absent":
        takers = neighbours.graph.consumers(takers[0].output)
    mixes = bool(takers) and all(isinstance(taker.operation, MatMul) for taker in takers)
    return mixes and _places_inside(neighbours, node) > _MOST_PLACES


def _is_softmax(node: Node) -> bool:
    return node.kind in ("Softmax", "SettledSoftmax") or activating("softmax")(node)


def _places_inside(neighbours: "Neighbours", node: Node) -> int:
    """Over how many places a softmax inside a network goes; 0 for the scores at its end, and in a text's attention."""
    graph = neighbours.graph
    ends = node.output in graph.outputs or all(taker.output in graph.outputs for taker in graph.consumers(node.output))
    if not _is_softmax(node) or ends or any(other.kind == "AttentionMask" for other in graph.nodes):
        return 0
    axis = getattr(node.operation, "axis", -1)
    axes = axis if isinstance(axis, list | tuple) else [-1 if axis is None else axis]
    return math.prod(node.output.shape[number] or 1 for number in axes)


def _softmax_fault(neighbours: "Neighbours", node: Node, bits: Bits) -> Fault | None:
    places = _places_inside(neighbours, node)
    if bits.activations != 8 or places <= _MOST_PLACES or is_wide_softmax(neighbours, node):
        return None
    return Fault(
        f"its scores over {places} places are 1/{places} on average, and the 8-bit softmax has steps of 1/256: "
        "nearly all would be 0 or 1 step"
    )


def _softmax_range(node: Node, bits: int) -> tuple[float, float]:
    return WIDE_RANGE if bits == 16 else UNIT_RANGE


def _split_softmax(splitting: Splitting, call: LayerCall) -> Tensor | None:
    if isinstance(call.node.operation, keras.layers.Layer):
        return split_named(splitting, call)
    axis = call.node.operation.get_config()["axis"]
    return keras.layers.Softmax(axis, name=call.node.name)(call.args[0])


def _train_softmax(training: Training, call: LayerCall) -> Tensor | None:
    layer = call.node.operation
    if training.bits != NARROW_BITS or type(layer) is not keras.layers.Softmax or layer.axis != -1:
        return None
    return SettledSoftmax(name=call.node.name, dtype=layer.dtype_policy)(call.args[0])


def _settle_softmax(neighbours: "Neighbours", node: Node) -> bool:
    """Shares of 16 bits, of scores of 8."""
    scores, taker = neighbours.quantizer_of(node.inputs[0]), neighbours.graph.only_consumer(node.output)
    given = taker.operation if taker is not None else None
    if not isinstance(node.operation, SettledSoftmax) or not isinstance(given, FakeQuantize):
        return False
    wide = given.bits != NARROW_BITS
    if not wide or not isinstance(scores, FakeQuantize) or scores.result_bits != NARROW_BITS:
        return False
    node.operation.settle(scores.real_range())
    return True


def _takes_wide_shares(neighbours: "Neighbours", node: Node) -> bool:
    """Whether the first factor of a product are settled shares of 16 bits."""
    rounding = neighbours.source(node.inputs[0])
    shares = neighbours.source(rounding.inputs[0]) if rounding is not None and rounding.inputs else None
    layer = shares.operation if shares is not None else None
    return isinstance(layer, SettledSoftmax) and layer.scores is not None


def _wide_sums(neighbours: "Neighbours", node: Node, mixed: Value, quantizer: FakeQuantize) -> Sums | None:
    """Settle a product of shares of 16 bits, whose result is brought from 16 bits to 8."""
    factor = neighbours.quantizer_of(mixed)
    alone = len(neighbours.graph.calls_of(node.operation)) == 1
    if not alone or not isinstance(factor, FakeQuantize) or quantizer.result_bits != NARROW_BITS:
        return None
    low, high = factor.settled["range"] if factor.settled is not None else factor.real_range()
    result = quantizer.real_range()
    node.operation.settle({"right": (low, high), "bits": factor.result_bits, "result": result})
    return Sums(np.float32(step_width(*result, bits=16)), kernel="away")


def _mean_sums(summing: "Summing", node: Node, quantizer: FakeQuantize) -> Sums | None:
    return _wide_sums(summing, node, node.inputs[0], quantizer) if node.operation.rounded else None


def _product_sums(summing: "Summing", node: Node, quantizer: FakeQuantize) -> Sums | None:
    if _takes_wide_shares(summing, node):
        return _wide_sums(summing, node, node.inputs[1], quantizer)
    first, second = (summing.narrow_step_of(value) for value in node.inputs)
    if first is None or second is None:
        return None
    steps = np.float32(first) * np.float32(second) * np.float32(node.operation.scale)
    return Sums(steps, kernel="once" if _has_zero_in_the_middle(summing, node.inputs[1]) else "away")


def _has_zero_in_the_middle(summing: "Summing", value: Value) -> bool:
    """Whether the int8 number 0 stands for zero: XNNPACK then takes a product of tensors, and rounds sums once.

    Source: `VisitBatchMatMulNode` of LiteRT's `delegates/xnnpack/xnnpack_delegate.cc`, which leaves second factors of
    another zero point to the reference kernel.
    """
    quantizer = summing.quantizer_of(value)
    if not isinstance(quantizer, FakeQuantize):
        return False
    low, _ = quantizer.real_range()
    return math.floor(0.5 - low / quantizer.step()) == 1 << (NARROW_BITS - 1)


def _fold_product(folding: "Folding", call: LayerCall) -> Tensor:
    """A product on the grid that its scale turns into that of the scores, so that scaling rounds nothing."""
    node, scale = call.node, call.node.operation.scale
    if scale == 1.0:
        return MatMul(name=node.name)(*call.args)
    product = keras.ops.matmul(*call.args)
    taker = folding.taker(node.output)
    if taker is not None and folding.treatment(taker) == "masked":
        taker = folding.taker(taker.output)
    if taker is not None and isinstance(taker.operation, FakeQuantize):
        target = rounding_of(taker.operation)
        low, high = target.minimum / scale, target.maximum / scale
        folding.with_range(product, Rounding(f"{node.name}_unscaled", low, high, target.bits))
    return keras.ops.multiply(product, scale)


def _train_mask(training: Training, call: LayerCall) -> Tensor:
    return training.changed(call, score=BOUNDED_SCORE)


def _fold_mask(folding: "Folding", call: LayerCall) -> Tensor:
    outputs = call.copied()
    folding.joined.append((outputs, (call.args[0],)))
    return outputs


def _train_mean(training: Training, call: LayerCall) -> Tensor:
    return training.changed(call, score=BOUNDED_SCORE, rounded=True, fused=training.fused)


def _fold_mean(folding: "Folding", call: LayerCall) -> Tensor:
    layer = call.node.operation
    return layer.steps(
        *call.args[:2], lambda step, value: folding.with_range(value, rounding_of(layer.quantizers[step]))
    )


def _strip_mean(stripping: Stripping, call: LayerCall) -> Tensor:
    return stripping.plain(call, without=("rounded", "fused", "settled"), weights=[])


def _split_attention(splitting: Splitting, call: LayerCall) -> Tensor | None:
    # One set of weights for several calls would become several.
    known = not splitting.is_shared(call.node) and _is_known(call.node, call.kwargs)
    return _attention(call) if known else None


def _is_known(node: Node, kwargs: dict[str, object]) -> bool:
    layer = node.operation
    given = {name for name, value in kwargs.items() if value is not None and value is not False}
    plain = given <= {"query", "value", "key", "training"} and len(node.args) <= 3 and len(node.outputs) == 1
    plain = plain and not layer.get_config().get("use_gate") and getattr(layer, "_sliding_window", None) is None
    return plain and all(len(value.shape) == 3 and all(value.shape[1:]) for value in node.inputs)


def _attention(call: LayerCall) -> Tensor:
    """Three projections, the product of queries and keys, a softmax, its product with the values, a projection."""
    node, layer, name = call.node, call.node.operation, call.node.name
    given = dict(zip(("query", "value", "key"), call.args, strict=False)) | call.kwargs
    query, value = given["query"], given["value"]
    key = given.get("key")
    queries = _heads(node, "query", query, order=(2, 1, 3))
    keys = _heads(node, "key", value if key is None else key, order=(2, 3, 1))
    values = _heads(node, "value", value, order=(2, 1, 3))
    width = int(layer.query_dense.kernel.shape[-1])
    scores = MatMul(scale=1 / math.sqrt(width), name=f"{name}_scores")(queries, keys)
    shares = keras.layers.Softmax(name=f"{name}_softmax")(scores)
    if layer.get_config()["dropout"]:
        shares = keras.layers.Dropout(layer.get_config()["dropout"], name=f"{name}_dropout")(shares)
    mixed = MatMul(name=f"{name}_mix")(shares, values)
    mixed = keras.layers.Permute((2, 1, 3), name=f"{name}_mix_permuted")(mixed)
    joined = keras.layers.Reshape((int(query.shape[1]), -1), name=f"{name}_mix_joined")(mixed)
    kernel = float32_of(layer.output_dense.kernel)
    return _dense(node, name, joined, kernel.reshape(-1, kernel.shape[-1]), layer.output_dense.bias)


def _heads(node: Node, part: str, tensor: Tensor, *, order: tuple[int, int, int]) -> Tensor:
    projection = getattr(node.operation, f"{part}_dense")
    kernel = float32_of(projection.kernel)
    inputs, heads, width = kernel.shape
    name = f"{node.name}_{part}"
    projected = _dense(node, name, tensor, kernel.reshape(inputs, -1), projection.bias)
    split = keras.layers.Reshape((int(tensor.shape[1]), heads, width), name=f"{name}_heads")(projected)
    return keras.layers.Permute(order, name=f"{name}_permuted")(split)


def _dense(node: Node, name: str, tensor: Tensor, kernel: NDArray[np.float32], bias: keras.Variable | None) -> Tensor:
    layer = node.operation
    dense = keras.layers.Dense(
        kernel.shape[-1], use_bias=bias is not None, name=name, dtype=layer.dtype_policy, trainable=layer.trainable
    )
    outputs = dense(tensor)
    dense.set_weights([kernel, *([] if bias is None else [float32_of(bias).ravel()])])
    return outputs


def _fold_softmax(folding: "Folding", call: LayerCall) -> Tensor:
    layer = call.node.operation
    if not isinstance(layer, SettledSoftmax):
        return call.copied()
    return keras.layers.Softmax(name=call.node.name)(call.args[0])


def _strip_softmax(stripping: Stripping, call: LayerCall) -> Tensor | None:
    is_settled = isinstance(call.node.operation, SettledSoftmax)
    return stripping.plain(call, without=("scores",), weights=[]) if is_settled else None


def _strip_product(stripping: Stripping, call: LayerCall) -> Tensor:
    return stripping.plain(call, without=("settled",), weights=[])


SOFTMAX = Kind(
    covers=_is_softmax,
    treatment="fixed",
    fault=_softmax_fault,
    fixed_range=_softmax_range,
    split=_split_softmax,
    train=_train_softmax,
    settle=_settle_softmax,
    fold=_fold_softmax,
    strip=_strip_softmax,
)
PRODUCT = Kind(
    covers=named("MatMul"), treatment="compute", sums=_product_sums, fold=_fold_product, strip=_strip_product
)
MASK = Kind(
    covers=named("AttentionMask"),
    treatment="masked",
    reason=f"padding gets a score of {BOUNDED_SCORE:g}, on the grid of the others",
    train=_train_mask,
    fold=_fold_mask,
)
MASKED_MEAN = Kind(
    covers=named("MaskedMean"),
    treatment="compute",
    train=_train_mean,
    sums=_mean_sums,
    fold=_fold_mean,
    strip=_strip_mean,
)
ATTENTION = Kind(covers=lambda node: type(node.operation) is keras.layers.MultiHeadAttention, split=_split_attention)
KINDS = (SOFTMAX, PRODUCT, MASK, MASKED_MEAN, ATTENTION)
