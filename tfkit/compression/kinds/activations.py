"""Activations that LiteRT has integer kernels for: ReLU, sigmoid, tanh, softmax, SiLU, GELU."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import keras
import numpy as np

from tfkit.compression.folded import Rounding
from tfkit.compression.kinds.counting import NARROW_BITS, Sums
from tfkit.compression.kinds.kind import Bits, Fault, Kind, Splitting, Stripping, Ties, Training, named
from tfkit.compression.operators import affine
from tfkit.graph import LayerCall, Node, activation_name
from tfkit.keras_types import Tensor
from tfkit.layers import (
    ApproximateGelu,
    FakeQuantize,
    PreciseActivation,
    SettledHardSigmoid,
    SettledHardSilu,
    plain_class,
)

if TYPE_CHECKING:
    from tfkit.compression.folded import Folding
    from tfkit.compression.neighbours import Neighbours, Summing

# The grid of LiteRT's int8 LOGISTIC and SOFTMAX is given: 1/256, from 0; of TANH: 1/128, about 0
# (https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec).
UNIT_RANGE = (0.0, 255 / 256)
WIDE_RANGE = (-1.0, 1.0)
_WIDE_LOOKED_UP = (-32767 / 32768, 32767 / 32768)  # LOGISTIC and TANH in steps of 1/32768, whatever is asked of them
_TANH_RANGE = (-1.0, 127 / 128)
# The hard sigmoid is no operator with a grid of its own: a multiplication ends it.
_HARD_SIGMOID_RANGE = (0.0, 1.0)
_FINE = 10_000  # nothing but a tie is as near to one as a quarter of one in so many
# Operations of `keras.ops` that are an activation of that name.
_OPERATIONS = {
    "HardSigmoid": "hard_sigmoid",
    "HardSilu": "hard_silu",
    "Relu": "relu",
    "Relu6": "relu6",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
}


def activating(*names: str) -> Callable[[Node], bool]:
    """Whether a call is an `Activation` of one of these names."""
    return lambda node: isinstance(node.operation, keras.layers.Activation) and activation_name(node.operation) in names


def activated(node: Node, tensor: Tensor, *, name: str | None = None) -> Tensor:
    """Call a layer's activation as a layer of its own.

    Args:
        node: The call of any layer with an activation.
        tensor: What it is called with.
        name: Of the new layer; default that of the layer and its activation.

    Returns:
        Its output; the tensor itself for a linear one.
    """
    activation = activation_name(node.operation)
    name = name or f"{node.name}_{activation}"
    if activation == "linear":
        return tensor
    if activation == "silu":
        return _gated(tensor, name=name)
    return keras.layers.Activation(node.operation.activation, name=name)(tensor)


def _gated(tensor: Tensor, *, name: str) -> Tensor:
    """SiLU as the file has it."""
    gate = keras.layers.Activation("sigmoid", name=f"{name}_sigmoid")(tensor)
    return keras.layers.Multiply(name=name)([tensor, gate])


def described(node: Node) -> str:
    """A layer in words, by its kind or its activation."""
    if isinstance(node.operation, keras.layers.Activation):
        return f"the activation '{activation_name(node.operation)}'"
    return f"a {node.kind} layer" if isinstance(node.operation, keras.layers.Layer) else f"the operation {node.kind}"


def not_in_16_bits(neighbours: "Neighbours", node: Node, bits: Bits) -> Fault | None:
    """A `fault` of kinds that LiteRT has no 16-bit kernel for."""
    return Fault(f"LiteRT has no 16-bit kernel for {described(node)}") if bits.activations == 16 else None


def split_named(splitting: Splitting, call: LayerCall) -> Tensor | None:
    """A `split`: an `Activation` of any name as the file has it; None for another layer that computes the same."""
    is_activation = isinstance(call.node.operation, keras.layers.Activation)
    return activated(call.node, call.args[0], name=call.node.name) if is_activation else None


def _split_operation(splitting: Splitting, call: LayerCall) -> Tensor:
    return keras.layers.Activation(_OPERATIONS[call.node.kind], name=call.node.name)(call.args[0])


def _split_silu(splitting: Splitting, call: LayerCall) -> Tensor:
    return _gated(call.args[0], name=call.node.name)


def _split_gelu(splitting: Splitting, call: LayerCall) -> Tensor:
    name = call.node.name
    approximate = call.node.operation.get_config()["approximate"]
    made = ApproximateGelu(name=name) if approximate else keras.layers.Activation("gelu", name=name)
    return made(call.args[0])


def strip_settled(stripping: Stripping, call: LayerCall) -> Tensor | None:
    """A `strip` of layers without weights whose twins hold what was settled."""
    if not _is_twin(call.node.operation):
        return None
    return stripping.plain(call, without=("settled", "shift", "input_step", "wide"), weights=[])


def _is_twin(layer: keras.Layer) -> bool:
    return plain_class(layer) is not type(layer)


def _fold_settled(folding: "Folding", call: LayerCall) -> Tensor:
    layer = call.node.operation
    if not _is_twin(layer):
        return call.copied()
    return keras.layers.Activation(layer.activation, name=call.node.name)(*call.args)


def _is_relu(node: Node) -> bool:
    layer = node.operation
    return isinstance(layer, keras.layers.ReLU) and not layer.negative_slope and not layer.threshold


def _ends_at_its_range(node: Node) -> bool:
    """Whether a ReLU has an upper bound that no operator has: the end of its 8-bit range is that bound."""
    return _is_relu(node) and node.operation.max_value not in (None, 6, 6.0)


def _fold_relu(folding: "Folding", call: LayerCall) -> Tensor:
    node, layer = call.node, call.node.operation
    if folding.runs_inside(node):
        return call.copied()
    six = getattr(layer, "max_value", None) == 6 or activation_name(layer) == "relu6"
    return folding.moved(call.args[0], name=node.name, activation="relu6" if six else "relu")


def _fold_bounded(folding: "Folding", call: LayerCall) -> Tensor:
    if folding.runs_inside(call.node):
        return folding.bounded_by_range(keras.layers.ReLU(name=call.node.name)(call.args[0]))
    return folding.bounded_by_range(folding.moved(call.args[0], name=call.node.name, activation="relu"))


def _looked_up_range(node: Node, bits: int) -> tuple[float, float]:
    if bits == 16:
        return _WIDE_LOOKED_UP
    return _TANH_RANGE if activation_name(node.operation) == "tanh" else UNIT_RANGE


def _train_looked_up(training: Training, call: LayerCall) -> Tensor | None:
    if training.bits != NARROW_BITS:
        return None
    layer = call.node.operation
    return PreciseActivation(activation_name(layer), name=call.node.name, dtype=layer.dtype_policy)(*call.args)


def _looked_up_sums(summing: "Summing", node: Node, quantizer: FakeQuantize) -> Sums | None:
    return Sums(np.float32(quantizer.step())) if isinstance(node.operation, PreciseActivation) else None


def _tied_to_half(node: Node) -> Ties:
    """A hard sigmoid of zero is one half, which may be just half way between two steps: the file rounds it up."""
    return {"averaged": _FINE, "upwards": True}


def _train_hard_sigmoid(training: Training, call: LayerCall) -> Tensor:
    return SettledHardSigmoid(name=call.node.name, dtype=call.node.operation.dtype_policy)(*call.args)


def _settle_hard_sigmoid(neighbours: "Neighbours", node: Node) -> bool:
    layer, source = node.operation, neighbours.quantizer_of(node.inputs[0])
    if not isinstance(layer, SettledHardSigmoid) or source is None:
        return False
    layer.settle(source.step(), bits=source.result_bits if isinstance(source, FakeQuantize) else NARROW_BITS)
    return True


def _fold_hard_sigmoid(folding: "Folding", call: LayerCall) -> Tensor:
    """A shift, a ReLU6 and a division; what the ReLU6 gives is six times the hard sigmoid."""
    layer, tensor, name = call.node.operation, call.args[0], call.node.name
    shift = layer.shift if isinstance(layer, SettledHardSigmoid) else 3.0
    one = folding.told_apart(tensor, np.ones(1))
    sixfold = affine(tensor, one, np.full(1, shift), name=f"{name}_sixfold", activation="relu6")
    outputs = keras.ops.multiply(sixfold, 1 / 6)
    folding.with_range(sixfold, Rounding(f"{name}_sixfold", 0.0, 6.0, folding.bits))
    return outputs


def _train_hard_silu(training: Training, call: LayerCall) -> Tensor | None:
    if training.bits != NARROW_BITS:
        return None
    return SettledHardSilu(name=call.node.name, dtype=call.node.operation.dtype_policy)(*call.args)


def _settle_hard_silu(neighbours: "Neighbours", node: Node) -> bool:
    taken, taker = neighbours.quantizer_of(node.inputs[0]), neighbours.graph.only_consumer(node.output)
    given = taker.operation if taker is not None else None
    if not (
        isinstance(node.operation, SettledHardSilu)
        and isinstance(taken, FakeQuantize)
        and isinstance(given, FakeQuantize)
    ):
        return False
    node.operation.settle(taken.real_range(), given.real_range())
    return True


OPERATION = Kind(covers=named(*_OPERATIONS), split=_split_operation)
SILU = Kind(covers=named("Silu"), split=_split_silu)
GELU_OPERATION = Kind(covers=named("Gelu"), split=_split_gelu)
BOUNDED_RELU = Kind(covers=_ends_at_its_range, treatment="activation", is_bounded=True, fold=_fold_bounded)
RELU = Kind(
    covers=lambda node: _is_relu(node) or activating("relu", "relu6")(node),
    treatment="activation",
    split=split_named,
    fold=_fold_relu,
)
LOOKED_UP = Kind(
    covers=activating("sigmoid", "tanh"),
    treatment="fixed",
    fixed_range=_looked_up_range,
    split=split_named,
    train=_train_looked_up,
    sums=_looked_up_sums,
    fold=_fold_settled,
    strip=strip_settled,
)
HARD_SIGMOID = Kind(
    covers=activating("hard_sigmoid"),
    treatment="fixed",
    fixed_range=lambda node, bits: _HARD_SIGMOID_RANGE,
    ties=_tied_to_half,
    split=split_named,
    train=_train_hard_sigmoid,
    settle=_settle_hard_sigmoid,
    fold=_fold_hard_sigmoid,
    strip=strip_settled,
)
HARD_SILU = Kind(
    covers=activating("hard_silu"),
    treatment="compute",
    fault=not_in_16_bits,
    split=split_named,
    train=_train_hard_silu,
    settle=_settle_hard_silu,
    fold=_fold_settled,
    strip=strip_settled,
)
GELU = Kind(covers=activating("gelu"), treatment="compute", split=split_named)
APPROXIMATE_GELU = Kind(covers=named("ApproximateGelu"), treatment="compute")
OTHER_ACTIVATION = Kind(covers=lambda node: isinstance(node.operation, keras.layers.Activation), split=split_named)
KINDS = (
    OPERATION,
    SILU,
    GELU_OPERATION,
    BOUNDED_RELU,
    RELU,
    LOOKED_UP,
    HARD_SIGMOID,
    HARD_SILU,
    GELU,
    APPROXIMATE_GELU,
    OTHER_ACTIVATION,
)
