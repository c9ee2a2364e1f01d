"""Sums, differences, products, quotients and extremes of tensors, and of a tensor and numbers."""

from typing import TYPE_CHECKING

import keras
import numpy as np

from tfkit.compression.folded import rounding_of
from tfkit.compression.kinds.activations import strip_settled
from tfkit.compression.kinds.counting import NARROW_BITS, Sums
from tfkit.compression.kinds.kind import Bits, Fault, Kind, Splitting, Training, named
from tfkit.graph import LayerCall, Node, Value
from tfkit.keras_types import Tensor
from tfkit.layers import Add, FakeQuantize, Subtract, plain_class

if TYPE_CHECKING:
    from tfkit.compression.folded import Folding
    from tfkit.compression.neighbours import Neighbours, Summing

# Scale and offset: of all channels, or of each.
Scaling = tuple[float | list[float], float | list[float]]
_EXTREMES = {"Maximum": keras.layers.Maximum, "Minimum": keras.layers.Minimum}
_SETTLED: dict[str, type[keras.layers.Layer]] = {"Add": Add, "Subtract": Subtract}
# Each step of these is an operator of its own in the file, and rounds.
_CHAINED = {
    keras.layers.Add: keras.layers.Add,
    keras.layers.Multiply: keras.layers.Multiply,
    keras.layers.Maximum: keras.layers.Maximum,
    keras.layers.Minimum: keras.layers.Minimum,
    keras.layers.Average: keras.layers.Add,
}
_RATIOS = 2.0**-10, 2.0**8  # of an addend's step to the sum's: others XNNPACK leaves to another kernel


def scaling_of(node: Node) -> Scaling | None:
    """Scale and offset of arithmetic with a number, or with one for each channel; None for any other call.

    The converter folds such arithmetic into the kernel before it, or rounds its numbers to eight bits: as a scaling
    it is rounded where the file rounds it. On pixels it is what a Rescaling layer there is.
    """
    if node.kind not in _ARITHMETIC or len(node.inputs) != 1 or not node.args:
        return None
    value = node.inputs[0]
    constants = [argument for argument in node.args if not isinstance(argument, Value)]
    if len(constants) + 1 != len(node.args) or node.kwargs or node.output.shape != value.shape:
        return None
    if not node.output.dtype.startswith(("float", "bfloat")) or value.dtype != node.output.dtype:
        return None
    numbers = [np.asarray(keras.ops.convert_to_numpy(constant), np.float64) for constant in constants]
    if any(constant.size not in (1, constant.shape[-1] if constant.ndim else 1) for constant in numbers):
        return None
    number = (numbers[0].item() if numbers[0].size == 1 else numbers[0].ravel().tolist()) if numbers else 0.0
    reversed_, negated = not isinstance(node.args[0], Value), np.negative(number).tolist()
    if node.kind in ("Divide", "TrueDivide"):
        return None if reversed_ or not np.all(number) else (np.divide(1.0, number).tolist(), 0.0)
    return {
        "Add": (1.0, number),
        "Subtract": (-1.0, number) if reversed_ else (1.0, negated),
        "Multiply": (number, 0.0),
        "Negative": (-1.0, 0.0),
    }[node.kind]


def as_rescaling(call: LayerCall) -> Tensor | None:
    """Call arithmetic with numbers as a `Rescaling` layer; None for any other call."""
    scaling = scaling_of(call.node)
    if scaling is None:
        return None
    tensor = next(argument for argument in call.args if isinstance(argument, keras.KerasTensor))
    return keras.layers.Rescaling(*scaling, name=call.node.name, dtype=call.node.output.dtype)(tensor)


_ARITHMETIC = ("Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Negative")


def _split(splitting: Splitting, call: LayerCall) -> Tensor | None:
    kind, args = type(call.node.operation), call.args
    if kind in _CHAINED and (kind is keras.layers.Average or len(args[0]) > 2):
        return _chained(call.node, args[0])
    return as_rescaling(call)


def _chained(node: Node, tensors: list[Tensor]) -> Tensor:
    """A merge of many tensors as merges of two, in the order Keras goes through them."""
    averages = isinstance(node.operation, keras.layers.Average)
    merged = tensors[0]
    for number, tensor in enumerate(tensors[1:], start=2):
        last = number == len(tensors) and not averages
        name = node.name if last else f"{node.name}_{'sum' if averages else 'first'}{number}"
        merged = _CHAINED[type(node.operation)](name=name)([merged, tensor])
    # As a division the converter would draw it into a kernel behind it, and round nothing.
    return keras.layers.Rescaling(1 / len(tensors), name=node.name, dtype=merged.dtype)(merged) if averages else merged


def _train_sum(training: Training, call: LayerCall) -> Tensor | None:
    """Two tensors of 8 bits, or of 16, are added as the file adds them."""
    node = call.node
    alike = len(node.inputs) == 2 and node.inputs[0].shape == node.inputs[1].shape
    wide = training.has_16_bits(node.output)
    narrowed = not wide and any(training.has_16_bits(value) for value in node.inputs)
    if not alike or narrowed or training.bits != NARROW_BITS or node.output.dtype != "float32":
        return None
    made = _SETTLED[node.kind](name=node.name, dtype=node.output.dtype, wide=wide)
    return made(keras.tree.flatten(call.args))


def _round_sum(neighbours: "Neighbours", node: Node, quantizer: FakeQuantize) -> bool:
    if node.operation.wide:
        first, second = (neighbours.wide_step_of(value) for value in node.inputs)
        if first is None or second is None or quantizer.result_bits == NARROW_BITS:
            return False
        node.operation.settle(first, second, quantizer.step())
        return True
    first, second = (neighbours.narrow_step_of(value) for value in node.inputs)
    if first is None or second is None:
        return False
    low, high = _RATIOS
    if not low <= max(first, second) / quantizer.step() < high:
        return False
    node.operation.settle(first, second, quantizer.step())
    return True


def _fold_sum(folding: "Folding", call: LayerCall) -> Tensor:
    return plain_class(call.node.operation)(name=call.node.name)(*call.args)


def _difference_fault(neighbours: "Neighbours", node: Node, bits: Bits) -> Fault | None:
    if len({id(neighbours.original(value)) for value in node.inputs}) == len(node.inputs):
        return None
    return Fault("it subtracts a tensor from itself, which leaves zeros: there is nothing to learn behind it")


def _quotient_fault(neighbours: "Neighbours", node: Node, bits: Bits) -> Fault | None:
    if len(node.inputs) == 1:
        return None
    return Fault("LiteRT has no integer kernel for the division of two tensors")


def _product_sums(summing: "Summing", node: Node, quantizer: FakeQuantize) -> Sums | None:
    if len(node.inputs) != 2:
        return None
    first, second = (summing.narrow_step_of(value) for value in node.inputs)
    return None if first is None or second is None else Sums(np.float32(first) * np.float32(second))


def _split_extreme(splitting: Splitting, call: LayerCall) -> Tensor | None:
    node, is_layer = call.node, isinstance(call.node.operation, keras.layers.Layer)
    if is_layer:
        return _split(splitting, call)
    two = len(node.inputs) == len(call.args) == 2 and not call.kwargs
    return _EXTREMES[node.kind](name=node.name)(list(call.args)) if two else None


def _extreme_fault(neighbours: "Neighbours", node: Node, bits: Bits) -> Fault | None:
    if len(node.inputs) == 2:
        return None
    return Fault("it compares a tensor with numbers of another shape, for which there is no rule")


def _fold_larger(folding: "Folding", call: LayerCall) -> Tensor:
    tensors = folding.on_one_grid(call.node, call.args[0])
    return call.copy()(tensors, *call.args[1:], **call.kwargs)


def _fold_smaller(folding: "Folding", call: LayerCall) -> Tensor:
    """The larger one in its place: the file's exporter turns the operator."""
    outputs = keras.ops.maximum(*folding.on_one_grid(call.node, call.args[0]))
    taker = folding.taker(call.node.output)
    folding.smaller.append(rounding_of(taker.operation).name)  # type: ignore[union-attr]
    return outputs


# What sums and differences are trained as.
SETTLED_SUM = Kind(
    covers=lambda node: isinstance(node.operation, Add | Subtract),
    treatment="compute",
    runs_activation=True,
    round_result=_round_sum,
    fold=_fold_sum,
    strip=strip_settled,
)
SUM = Kind(covers=named("Add"), treatment="compute", runs_activation=True, split=_split, train=_train_sum)
DIFFERENCE = Kind(
    covers=named("Subtract"),
    treatment="compute",
    fault=_difference_fault,
    runs_activation=True,
    split=_split,
    train=_train_sum,
)
PRODUCT = Kind(covers=named("Multiply"), treatment="compute", runs_activation=True, split=_split, sums=_product_sums)
QUOTIENT = Kind(
    covers=named("Divide", "TrueDivide"),
    treatment="compute",
    fault=_quotient_fault,
    runs_activation=True,
    split=_split,
)
SPLIT_UP = Kind(covers=named("Average", "Negative"), split=_split)
LARGER = Kind(
    covers=named("Maximum"), treatment="compute", fault=_extreme_fault, split=_split_extreme, fold=_fold_larger
)
SMALLER = Kind(
    covers=named("Minimum"), treatment="compute", fault=_extreme_fault, split=_split_extreme, fold=_fold_smaller
)
KINDS = (SETTLED_SUM, SUM, DIFFERENCE, PRODUCT, QUOTIENT, SPLIT_UP, LARGER, SMALLER)
