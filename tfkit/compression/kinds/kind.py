"""What a kind of layer is to quantisation-aware training and to the integer file, as one value."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.compression.policy import Treatment
from tfkit.graph import LayerCall, Node, Value, copy_layer, give_weights
from tfkit.keras_types import Array, Tensor
from tfkit.layers import plain_class

if TYPE_CHECKING:
    from tfkit.compression.folded import Folding
    from tfkit.compression.kinds.counting import Sums
    from tfkit.compression.neighbours import ChannelAffine, MoveShift, Neighbours, Summing
    from tfkit.layers import FakeQuantize

# What a user can do about a fault; `{names}` stands for the layers that have it. In the order they are told.
SKIP = "replace these layers, or leave them in float: skip=[{names}]"
REWRITE = "write {names} with layers or keras.ops"
WEIGHTS_ALONE = (
    "leave quantization: out and export tflite_dynamic_int8, or, from Python, train the weights alone for that file: "
    "QuantizationPolicy(activation_bits=32)"
)
EIGHT_BITS = "keep their kernels at 8 bits: eight_bit=[{names}]"
REMEDIES = (SKIP, REWRITE, WEIGHTS_ALONE, EIGHT_BITS)


@dataclass(frozen=True)
class Fault:
    """Why a layer cannot be quantised.

    Attributes:
        reason: A sentence without the layer's name.
        remedy: What can be done; `{names}` stands for all the layers it helps.
        in_float: Whether leaving the layer in float does not help.
    """

    reason: str
    remedy: str = SKIP
    in_float: bool = False


@dataclass(frozen=True)
class Bits:
    """What is asked of a layer.

    Attributes:
        weights: Bits of its kernel, if it has one: 8 or 4.
        activations: 8 or 16; 32: float.
    """

    weights: int = 8
    activations: int = 8


class Ties(TypedDict, total=False):
    """How values half way between two steps are rounded: arguments of a `FakeQuantize`'s call."""

    averaged: int
    upwards: bool


class Splitting:
    """A graph being written as layers of one operator each.

    Attributes:
        shared: The `id`s of the graph's layers that are called more than once.
        separated: The halves of separable convolutions, by the layer's `id`.
        taken_from: The tensor that each channel of pixels was taken from, by the channel's `id`.
    """

    def __init__(self) -> None:
        self.shared: set[int] = set()
        self.separated: dict[int, tuple[keras.Layer, keras.Layer]] = {}
        self.taken_from: dict[int, Tensor] = {}
        self._linear: dict[int, keras.Layer] = {}

    def is_shared(self, node: Node) -> bool:
        """Whether a layer is called more than once: one set of weights for several calls must stay one."""
        return id(node.operation) in self.shared

    def without_activation(self, call: LayerCall) -> Tensor:
        """What a layer gives before its activation: by one layer for all calls of a shared one."""
        layer = call.node.operation
        known = self._linear.get(id(layer))
        if known is not None:
            return known(*call.args, **call.kwargs)
        linear = self._linear[id(layer)] = copy_layer(layer, name=call.node.name, activation="linear")
        outputs = linear(*call.args, **call.kwargs)
        give_weights(linear, layer.get_weights())
        return outputs


@dataclass(frozen=True)
class Training:
    """How a layer is trained.

    Attributes:
        bits: Of activations.
        fused: As for `FakeQuantize`.
        has_16_bits: Whether a tensor is held in 16 bits, in a model of 8.
        weight_bits: Of its kernel; None when it has none, or stays in float.
    """

    bits: int
    fused: bool
    has_16_bits: Callable[[Value], bool]
    weight_bits: int | None = None

    def changed(self, call: LayerCall, **changes: object) -> Tensor:
        """Call a layer with other settings and its weights.

        Args:
            call: Its call.
            **changes: The settings that differ.

        Returns:
            Its output.
        """
        layer = copy_layer(call.node.operation, name=call.node.name, kind=None, **changes)
        outputs = layer(*call.args, **call.kwargs)
        give_weights(layer, call.node.operation.get_weights())
        return outputs


class Stripping:
    """A compressed model being written as a plain one; remembers what shared layers became."""

    def __init__(self) -> None:
        self._made: dict[int, keras.Layer] = {}

    def plain(self, call: LayerCall, *, without: Sequence[str], weights: Sequence[Array]) -> Tensor:
        """Call the plain layer in the place of a compressed one: the same one for each call of a shared layer.

        Args:
            call: The compressed layer's call.
            without: Its settings that the plain layer has not.
            weights: The plain layer's weights.

        Returns:
            Its output.
        """
        layer = call.node.operation
        if id(layer) in self._made:
            return self._made[id(layer)](*call.args, **call.kwargs)
        config = {name: value for name, value in layer.get_config().items() if name not in without}
        made = plain_class(layer).from_config(config | {"name": call.node.name})  # type: ignore[attr-defined]
        self._made[id(layer)] = made
        outputs = made(*call.args, **call.kwargs)
        give_weights(made, weights)
        return outputs


def _covers_nothing(node: Node) -> bool:
    return False


def _no_fault(neighbours: "Neighbours", node: Node, bits: Bits) -> Fault | None:
    return None


def _no_ties(node: Node) -> Ties:
    return {}


def _no_shift(layer: keras.Layer, by: NDArray[np.float64]) -> bool:
    return False


@dataclass(frozen=True)
class Kind:
    """A kind of layer: what it becomes, what is wrong with it, and how it is written in each form of a model.

    `None` for a function means that the layer is copied as it is, or that there is nothing to do. A layer class that
    is not tfkit's carries its kind in the attribute `quantization_kind`; see `tfkit.compression.kinds.kind_of`.

    Attributes:
        covers: Which calls are of this kind, for the kinds in `tfkit.compression.kinds.KINDS`.
        treatment: What the layer is to a quantised model; None: it cannot be quantised.
        reason: What becomes of it, in words, for the coverage table; default what its treatment says.
        fault: Why this call cannot be quantised: `fault(neighbours, node, bits)`.
        runs_activation: Whether its operator can run a ReLU or ReLU6 behind it (TFLite's fused activation).
        is_bounded: Whether the end of its 8-bit range is an upper bound that no operator has.
        scales_pixels: Whether it only scales or orders channels: before all that learns, it belongs to the input.
        fixed_range: The range of a layer treated as `fixed`: `fixed_range(node, bits)`.
        ties: How what it gives is rounded half way between two steps.
        channel_affine: Of a layer treated as `affine`, float64 scale and shift for each channel.
        move_shift: Adds to that shift, `move_shift(layer, by)`; whether there is one to add to.
        split: Writes it as layers of one operator each: `split(splitting, call)` gives tensors, or None.
        train: Writes the layer that is trained in its place: `train(training, call)` gives a tensor, or None.
        settle: Puts its constants on the file's steps after training: `settle(neighbours, node)`; whether it did.
        sums: What the sums of its integer kernel count in: `sums(summing, node, quantizer)`.
        wide_sums: Whether they are known where its result has 16 bits too.
        round_result: Lets it round its result itself, for the one quantiser that hears it; whether it does.
        fold: Writes what the file holds: `fold(folding, call)` gives a tensor.
        strip: Writes the plain Keras layer: `strip(stripping, call)` gives a tensor, or None.
        first_axes: Which axes of a kernel may come first in the file; None: it may lie there as in Keras.

    Example:
        >>> Kind(treatment="compute", reason="rounded").treatment
        'compute'
    """

    covers: Callable[[Node], bool] = _covers_nothing
    treatment: Treatment | None = None
    reason: str = ""
    fault: Callable[["Neighbours", Node, Bits], Fault | None] = _no_fault
    runs_activation: bool = False
    is_bounded: bool = False
    scales_pixels: bool = False
    fixed_range: Callable[[Node, int], tuple[float, float]] | None = None
    ties: Callable[[Node], Ties] = _no_ties
    channel_affine: "ChannelAffine | None" = None
    move_shift: "MoveShift" = _no_shift
    split: Callable[[Splitting, LayerCall], Tensor | Sequence[Tensor] | None] | None = None
    train: Callable[[Training, LayerCall], Tensor | None] | None = None
    settle: Callable[["Neighbours", Node], bool] | None = None
    sums: Callable[["Summing", Node, "FakeQuantize"], "Sums | None"] | None = None
    wide_sums: bool = False
    round_result: Callable[["Neighbours", Node, "FakeQuantize"], bool] | None = None
    fold: Callable[["Folding", LayerCall], Tensor] | None = None
    strip: Callable[[Stripping, LayerCall], Tensor | None] | None = None
    first_axes: tuple[int | None, ...] = (-1,)


def named(*kinds: str) -> Callable[[Node], bool]:
    """Whether a call's layer or operation has one of these class names.

    Example:
        >>> named("Dense", "Softmax")(graph.nodes[-1])
        True
    """
    return lambda node: node.kind in kinds


def left_out(stripping: Stripping, call: LayerCall) -> Tensor:
    """Leave a layer out of the plain model: a `strip` of a `Kind`."""
    return call.args[0]


def handed_on(folding: "Folding", call: LayerCall) -> Tensor:
    """Copy a layer that hands its input's values on, on its input's grid: a `fold` of a `Kind`."""
    return folding.hand_on(call, call.copied())
