"""What kinds share that scale and shift each channel, in the kernel before or as an operator of their own."""

from typing import TYPE_CHECKING

import numpy as np

from tfkit.compression.kinds.counting import Sums, weighted_sums
from tfkit.compression.kinds.kernels import sums_with_affine
from tfkit.compression.operators import affine
from tfkit.graph import LayerCall, Node
from tfkit.keras_types import Tensor
from tfkit.layers import FakeQuantize

if TYPE_CHECKING:
    from tfkit.compression.folded import Folding
    from tfkit.compression.neighbours import Neighbours, Summing


def fold_affine(folding: "Folding", call: LayerCall) -> Tensor:
    """A `fold`: a 1x1 depthwise convolution; what goes into the kernel before is not asked."""
    scale, shift = folding.channel_affine(call.node)
    tensor, taker = call.args[0], folding.taker(call.node.output)
    followed = taker is not None and folding.kind_of(taker).treatment == "activation" and folding.runs_inside(taker)
    return affine(tensor, folding.told_apart(tensor, scale), shift, name=call.node.name, followed=followed)


def settle_shift(neighbours: "Neighbours", node: Node, input_step: float | None = None) -> bool:
    """A `settle`: the shift of an operator of its own, whose one weight for each channel is 127 steps.

    Args:
        neighbours: What is around it.
        node: Its call.
        input_step: Of what it scales; default that of its input's grid.

    Returns:
        Whether there was a shift to settle.
    """
    input_step = neighbours.step_of(node.inputs[0]) if input_step is None else input_step
    if input_step is None:
        return False
    scale, shift = neighbours.channel_affine(node)
    step = np.abs(scale) * input_step / 127
    rounded = np.where(step > 0, np.round(shift / np.where(step > 0, step, 1)) * step, shift)
    return neighbours.move_shift(node, rounded - shift)


def affine_sums(summing: "Summing", node: Node, quantizer: FakeQuantize) -> Sums | None:
    """A `sums` of kinds treated as `affine`: of the kernel they are folded into, or of an operator of their own."""
    scale, shift = summing.channel_affine(node)
    before = summing.source(node.inputs[0])
    if before is not None and summing.treatment(before) == "kernel":
        return sums_with_affine(summing, before, scale, shift)
    return weighted_sums(scale, summing.narrow_step_of(node.inputs[0]))
