"""Find how a model scales its pixels, so that the exported file can take them raw."""

from dataclasses import dataclass

import keras
import numpy as np

from tfkit.compression.kinds import kind_of, treatment_of
from tfkit.compression.kinds.scaling import composed_scaling, holds_zero
from tfkit.compression.neighbours import Neighbours
from tfkit.errors import ModelError
from tfkit.graph import LayerGraph, Node, Value
from tfkit.keras_types import Tensor
from tfkit.layers import PixelGrid, TokenIds


@dataclass
class InputGrid:
    """The grid that an image input is held on.

    Attributes:
        name: Of the layer to make.
        scale: Real value of one grey level, where the grid is placed.
        offset: Real value of a black pixel there.
        rounds_behind: True on the last scaling layer when it treats channels differently, turns pixels round or gives
            no zero: its output then has a range of its own, and the grid lies on the raw pixels before it.
        float_layers: Layers of the model that the policy leaves in float: the layer keeps them in the saved model.
        tokens: True for an input of whole numbers, which lie on no grid: the layer only keeps the names.
    """

    name: str
    scale: float = 1.0
    offset: float = 0.0
    rounds_behind: bool = False
    float_layers: tuple[str, ...] = ()
    tokens: bool = False
    _layer: keras.Layer | None = None

    def layer_for(self, tensor: Tensor) -> Tensor:
        """The tensor on the grid; nothing is done for an output of scaling channel by channel."""
        if self.rounds_behind:
            return tensor
        if self._layer is None and self.tokens:
            self._layer = TokenIds(float_layers=self.float_layers, name=self.name)
        if self._layer is None:
            self._layer = PixelGrid(
                scale=self.scale, offset=self.offset, float_layers=self.float_layers, name=self.name
            )
        return self._layer(tensor)


def input_grids(
    graph: LayerGraph, input_range: tuple[float, float], *, float_layers: tuple[str, ...] = ()
) -> dict[int, InputGrid]:
    """Place the pixel grids of a graph.

    Where all channels are scaled alike, in their order, and some grey level becomes zero, the grid lies behind the
    scaling, and the scaling becomes the scale and zero point of the file's input. Otherwise it lies on the raw pixels,
    and the scaling is the file's first operator.

    Args:
        graph: What `split_layers` gave.
        input_range: What the model takes for the pixels 0 and 255.
        float_layers: Layers that stay in float.

    Returns:
        Grids by the `id` of the `Value` they lie on.

    Raises:
        ModelError: When no grey level is near zero in `input_range`.
    """
    low, high = input_range
    step = (high - low) / 255
    if not holds_zero(step, low):
        raise ModelError(
            f"input_range must rise and hold 0; got ({low:g}, {high:g})",
            hint="begin the model with a Rescaling layer that makes such a range of raw pixels",
        )
    grids: dict[int, InputGrid] = {}
    for number, value in enumerate(graph.inputs):
        if value.dtype.startswith("int"):
            grids[id(value)] = InputGrid(f"{value.name}_kept", float_layers=float_layers, tokens=True)
            continue
        name = "pixel_grid" if number == 0 else f"pixel_grid_{number}"
        end, chain = _leading(graph, value)
        scale, offset, order = composed_scaling([node.operation for node in chain], channels=value.shape[-1] or 1)
        alike = np.ptp(scale) == 0 and np.ptp(offset) == 0 and order == tuple(sorted(order))
        width, start = float(scale[0]) * step, float(scale[0]) * low + float(offset[0])
        if alike and holds_zero(width, start):
            grids[id(end)] = InputGrid(name, width, start, float_layers=float_layers)
        else:
            grids[id(value)] = InputGrid(name, step, low, float_layers=float_layers)
            grids[id(end)] = InputGrid(name, rounds_behind=True)
    return grids


def _leading(graph: LayerGraph, value: Value) -> tuple[Value, list[Node]]:
    """The last tensor that is only scaled pixels, and the scaling layers before it."""
    end, chain = value, []
    current: Value = value
    while (taker := graph.only_consumer(current)) is not None:
        if Neighbours(graph, kind_of).is_leading_scaling(taker):
            chain.append(taker)
            end = taker.output
        elif treatment_of(taker) != "absent":
            break
        current = taker.output
    return end, chain
