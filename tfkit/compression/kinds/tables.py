"""Functions of one number that LiteRT has no quick integer kernel for: the file holds their answers to 256 inputs."""

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import keras
import numpy as np

from tfkit.compression.folded import AnswerTable
from tfkit.compression.kinds.activations import activating, not_in_16_bits, split_named
from tfkit.compression.kinds.kind import Kind
from tfkit.compression.kinds.slopes import negative_slope_of
from tfkit.errors import ModelError
from tfkit.graph import LayerCall, Node
from tfkit.graph.layer_graph import replace_values
from tfkit.keras_types import Tensor
from tfkit.layers import FakeQuantize

if TYPE_CHECKING:
    from tfkit.compression.folded import Folding

_ACTIVATIONS = (
    "celu",
    "elu",
    "exponential",
    "hard_shrink",
    "hard_tanh",
    "log_sigmoid",
    "mish",
    "selu",
    "soft_shrink",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "squareplus",
    "tanh_shrink",
    "threshold",
)
_OPERATIONS = (
    "Absolute",
    "Celu",
    "Clip",
    "Elu",
    "Exp",
    "Expm1",
    "HardTanh",
    "Log1p",
    "LogSigmoid",
    "Power",
    "Selu",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Square",
    "Maximum",  # of a tensor and numbers
    "Minimum",
)
_INPUTS = 256


def _is_tabulated(node: Node) -> bool:
    layer = node.operation
    if len(node.inputs) != 1:
        return False
    if isinstance(layer, keras.layers.ReLU):
        return negative_slope_of(layer) is None and bool(layer.threshold or layer.negative_slope)
    if isinstance(layer, keras.layers.LeakyReLU):
        return negative_slope_of(layer) is None
    if isinstance(layer, keras.layers.Layer):
        return isinstance(layer, keras.layers.ELU) or activating(*_ACTIVATIONS)(node)
    return node.output.shape == node.inputs[0].shape and node.kind in _OPERATIONS


def fold_to_table(folding: "Folding", call: LayerCall) -> Tensor:
    """A `fold`: a stand-in of one operator that has a range of its own; the file's exporter puts the table there."""
    node = call.node
    tensor = next(argument for argument in call.args if isinstance(argument, keras.KerasTensor))
    own, follower = folding.range_of(tensor), folding.taker(node.output)
    if own is None or follower is None or not isinstance(follower.operation, FakeQuantize):
        raise ModelError(
            f"layer '{node.name}': a table of its answers needs an input and an output of 8 bits",
            hint=f"leave it in float: skip=['{node.name}']",
        )
    folding.tables.append(answer_table(node, own.range, follower.operation))
    takers = folding.graph.consumers(node.inputs[0])
    if len(takers) > 1:  # the converter makes one operator of two that are alike
        moved = folding.moved(tensor, name=f"{node.name}_input")
        tensor = folding.with_range(moved, replace(own, name=f"{node.name}_input"))
    return keras.ops.gelu(tensor, approximate=False)


def answer_table(node: Node, taken: tuple[float, float], quantizer: FakeQuantize) -> AnswerTable:
    """Ask a layer for its answers.

    Args:
        node: Its call; each output depends on one input alone.
        taken: Range of the 8-bit input, which holds 0.
        quantizer: What rounds the output, to 8 bits.

    Returns:
        The table, equal to the bit to what the Keras model computes.
    """
    step, zero = _grid(*taken)
    numbers = keras.ops.convert_to_tensor(((np.arange(_INPUTS) - zero) * step).astype(np.float32)[np.newaxis])
    args, kwargs = replace_values((node.args, node.kwargs), lambda _: numbers)
    answers = keras.ops.convert_to_numpy(quantizer(node.operation(*args, **kwargs)))[0]
    given_step, given_zero = _grid(*quantizer.real_range())
    steps = np.clip(np.round(answers / given_step) + given_zero, 0, _INPUTS - 1) - _INPUTS // 2
    return AnswerTable(quantizer.name, steps.astype(np.int8))


def _grid(low: float, high: float) -> tuple[float, int]:
    """Width of a step, and which of the 256 is zero."""
    step = (high - low) / (_INPUTS - 1)
    return step, min(_INPUTS - 1, max(0, math.floor(0.5 - low / step)))


TABULATED = Kind(
    covers=_is_tabulated,
    treatment="compute",
    reason="its answers for 256 inputs in a table",
    fault=not_in_16_bits,
    split=split_named,
    fold=fold_to_table,
)
KINDS = (TABULATED,)
