"""The layers that quantisation-aware training puts between others: roundings, and the grid of the pixels."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tfkit.compression.folded import Rounding, rounding_of
from tfkit.compression.kinds.counting import NARROW_BITS, Sums
from tfkit.compression.kinds.kind import Kind, left_out, named
from tfkit.compression.operators import affine
from tfkit.graph import LayerCall, Node
from tfkit.keras_types import Tensor
from tfkit.layers import FakeQuantize, PixelGrid, step_width

if TYPE_CHECKING:
    from tfkit.compression.folded import Folding
    from tfkit.compression.neighbours import Summing


def _noted(folding: "Folding", call: LayerCall) -> Tensor:
    """A rounding is a range of the tensor; one for each channel is a scale for each, too."""
    quantizer, tensor = call.node.operation, call.args[0]
    if quantizer.per_channel:
        ranges = quantizer.channel_ranges().astype(np.float64)
        tensor = affine(tensor, ranges, np.zeros(1), name=f"{quantizer.name}_scale")
    rounding = rounding_of(quantizer)
    source = call.node.inputs[0].node
    if source is not None and folding.treatment(source) == "same_rounded":
        rounding = replace(rounding, name=folding.name_of_means(source))
    return folding.rounded(tensor, rounding)


def _raw_pixels(folding: "Folding", call: LayerCall) -> Tensor:
    grid: PixelGrid = call.node.operation
    tensor = call.args[0]
    if folding.bits == NARROW_BITS:
        folding.input = Rounding(grid.name, *grid.real_range, NARROW_BITS)
        return folding.with_range(tensor, folding.input)
    # LiteRT converts no uint8 into int16: the file takes raw pixels as float32, and scales them itself.
    folding.input = Rounding(f"{grid.name}_raw", 0.0, 255.0, 16)
    folding.with_range(tensor, folding.input)
    scale, zero_point = np.full(1, grid.scale), grid.zero_point
    scaled = affine(tensor, scale, -scale * zero_point, name=grid.name)
    return folding.with_range(scaled, Rounding(grid.name, *grid.real_range, 16))


def _narrowed_sums(summing: "Summing", node: Node, quantizer: FakeQuantize) -> Sums | None:
    """What had 16 bits gets 8."""
    wide = node.operation
    width = step_width(*quantizer.real_range(), bits=wide.result_bits)
    return Sums(np.float32(width), kernel="away") if wide.result_bits != NARROW_BITS else None


ROUNDING = Kind(covers=named("FakeQuantize"), sums=_narrowed_sums, fold=_noted, strip=left_out)
PIXELS = Kind(covers=named("PixelGrid"), fold=_raw_pixels, strip=left_out)
KINDS = (ROUNDING, PIXELS)
