"""What the kinds of layers with a kernel share: training on its grid, folding, and what their sums count in."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.compression.folded import Rounding
from tfkit.compression.kinds.activations import activated
from tfkit.compression.kinds.counting import LARGEST_BIAS, Sums, weighted_sums
from tfkit.compression.kinds.kind import EIGHT_BITS, Bits, Fault, Kind, Splitting, Stripping, Training
from tfkit.compression.operators import (
    causal_padding,
    convolution,
    layer_pads_causally,
    numbers_of,
    on_output_channels,
)
from tfkit.graph import LayerCall, Node, activation_name, copy_layer, give_weights
from tfkit.keras_types import Tensor
from tfkit.layers import (
    OWN_SETTINGS,
    SHARES,
    CompressedDense,
    CompressedKernel,
    FakeQuantize,
    compressed_class,
    plain_class,
)

if TYPE_CHECKING:
    from tfkit.compression.folded import Folding
    from tfkit.compression.neighbours import Neighbours, Summing

_FOUR_BIT_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D)
_MAPS = 4  # the rank at which a Dense layer is a convolution in the file


def compressed_as(*twins: type) -> Callable[[Node], bool]:
    """Whether a call's layer is one of these compressed classes, or has one of them as its twin."""

    def covers(node: Node) -> bool:
        twin = compressed_class(node.operation)
        return twin is not None and issubclass(twin, twins)

    return covers


def no_four_bits(neighbours: "Neighbours", node: Node, bits: Bits) -> Fault | None:
    """A `fault` of kinds that LiteRT has no 4-bit kernel for."""
    if bits.weights != 4:
        return None
    return Fault(f"LiteRT has no 4-bit kernel for a {plain_class(node.operation).__name__}", EIGHT_BITS)


def split_activation(splitting: Splitting, call: LayerCall) -> Tensor | None:
    """A `split`: an activation inside the layer becomes a layer of its own."""
    if activation_name(call.node.operation) == "linear":
        return None
    return activated(call.node, splitting.without_activation(call))


def train_on_grid(training: Training, call: LayerCall) -> Tensor:
    """A `train`: the compressed twin of a layer."""
    return train_twin(training, call, compressed_class(call.node.operation))


def train_twin(training: Training, call: LayerCall, twin: type[keras.layers.Layer] | None) -> Tensor:
    """Call a compressed twin of a layer, with its weights.

    Args:
        training: How it is trained.
        call: The layer's call.
        twin: A class that takes the layer's settings, and `weight_bits`.

    Returns:
        Its output.
    """
    node = call.node
    layer = copy_layer(node.operation, name=node.name, kind=twin, weight_bits=training.weight_bits)
    outputs = layer(*call.args, **call.kwargs)
    give_weights(layer, node.operation.get_weights())
    return outputs


def strip_kernel(stripping: Stripping, call: LayerCall) -> Tensor | None:
    """A `strip`: the plain layer with the kernel that the compressed one computes with."""
    layer = call.node.operation
    if not isinstance(layer, CompressedKernel):
        return None
    biases = [layer.bias] if getattr(layer, "use_bias", False) else []  # type: ignore[attr-defined]
    weights = [np.asarray(keras.ops.convert_to_numpy(weight)) for weight in (layer.effective_kernel(), *biases)]
    return stripping.plain(call, without=OWN_SETTINGS, weights=weights)


def fold_kernel(folding: "Folding", call: LayerCall) -> Tensor:
    """A `fold`: the kernel on its grid, with the BatchNorm behind it.

    The grid is per channel, so a channel's scale moves from the weights into their step width and the whole numbers
    stay as trained.
    """
    node, layer, tensor = call.node, call.node.operation, call.args[0]
    bits = layer.weight_bits if isinstance(layer, CompressedKernel) else None
    kernel = steps = numbers_of(layer.effective_kernel() if isinstance(layer, CompressedKernel) else layer.kernel)
    if bits is not None:
        step = numbers_of(layer.kernel_scale())
        steps = np.round(kernel / step)
        kernel = steps * step
    bias = numbers_of(layer.bias) if layer.use_bias else None
    norm = folding.folded_affine(node)
    if norm is not None:
        scale, shift = folding.channel_affine(norm)
        folding.fold_away(norm)
        kernel = kernel * on_output_channels(scale, layer, kernel)
        steps = steps * on_output_channels(np.sign(scale), layer, kernel)
        bias = shift if bias is None else bias * scale + shift
    shares = _channel_ranges(folding.taker(node.output))
    if shares is not None:
        kernel = kernel / on_output_channels(shares, layer, kernel)
        bias = None if bias is None else bias / shares
    if bits is not None:
        alive = on_output_channels(_alive(layer, kernel, bias, folding.range_of(tensor)), layer, kernel)
        kernel = kernel * alive
        folding.note_kernel(node, (steps * alive).astype(np.int8), bits)
    if layer_pads_causally(layer):
        rounding = folding.range_of(tensor)
        tensor = causal_padding(layer, tensor, name=node.name)
        if rounding is not None:
            folding.with_range(tensor, rounding)
    outputs = convolution(layer, kernel, bias, tensor, name=node.name)
    if shares is not None:
        folding.with_range(outputs, Rounding(f"{node.name}_shares", *SHARES, 8))
    if bits == 4:
        folding.four_bit.append(outputs)
    return outputs


def _channel_ranges(follower: Node | None) -> NDArray[np.float64] | None:
    """The ranges of a layer's channels where each is rounded by its own: the file holds shares of them."""
    quantizer = follower.operation if follower is not None else None
    if isinstance(quantizer, FakeQuantize) and quantizer.per_channel:
        return quantizer.channel_ranges().astype(np.float64)
    return None


def _alive(
    layer: keras.Layer, kernel: NDArray[np.float64], bias: NDArray[np.float64] | None, taken: Rounding | None
) -> NDArray[np.float64]:
    """1 for each channel, 0 for a dead one, whose weights are lost beside its bias.

    An int32 bias counts in steps of input times weights: weights a hundred-millionth of the bias leave it no
    room, and change nothing. Zeros do as well, on a wider grid.
    """
    largest = np.abs(kernel).max(axis=layer.reduced_axes).ravel()
    if bias is None or taken is None:
        return np.ones(largest.shape)
    input_step = max(taken.maximum - taken.minimum, 1e-9) / 255
    return np.asarray(largest >= 127 * np.abs(bias) / (input_step * LARGEST_BIAS), np.float64)


def settle_kernel(neighbours: "Neighbours", node: Node) -> bool:
    """A `settle`: kernel and bias, or the shift of the BatchNorm behind, on the steps of the file."""
    layer = node.operation
    if not isinstance(layer, CompressedKernel) or layer.weight_bits is None:
        return False
    layer.hold_steps()
    input_step = neighbours.step_of(node.inputs[0])
    return input_step is not None and _settle_bias(neighbours, node, input_step)


def _settle_bias(neighbours: "Neighbours", node: Node, input_step: float) -> bool:
    layer: keras.Layer = node.operation
    step = np.ravel(numbers_of(layer.kernel_scale())) * input_step
    bias = numbers_of(layer.bias) if layer.use_bias else np.zeros(step.shape)
    norm = neighbours.folded_affine(node)
    if norm is None:
        if layer.use_bias:
            layer.bias.assign(np.round(bias / step) * step)
        return bool(layer.use_bias)
    scale, shift = neighbours.channel_affine(norm)
    total = bias * scale + shift
    folded_step = np.abs(scale) * step
    rounded = np.where(
        folded_step > 0, np.round(total / np.where(folded_step > 0, folded_step, 1)) * folded_step, total
    )
    if neighbours.move_shift(norm, rounded - total):
        return True
    if layer.use_bias:
        layer.bias.assign(bias + np.where(scale != 0, (rounded - total) / np.where(scale != 0, scale, 1), 0))
    return bool(layer.use_bias)


def kernel_sums(summing: "Summing", node: Node, quantizer: FakeQuantize) -> Sums | None:
    """A `sums`: of the kernel alone, or of each channel's share of its range."""
    if quantizer.per_channel:
        return sums_with_affine(summing, node, 1 / quantizer.channel_ranges().astype(np.float64), np.zeros(1))
    return sums_with_affine(summing, node, np.ones(1), np.zeros(1))


def sums_with_affine(
    summing: "Summing", node: Node, scale: NDArray[np.float64], shift: NDArray[np.float64]
) -> Sums | None:
    """What a kernel's sums count in, with the normalisation that is folded into it.

    Args:
        summing: The graph's sums.
        node: The call of a layer with a kernel.
        scale, shift: Of the normalisation, for each channel or all.

    Returns:
        The sums; None where the input is on no grid of 8 bits.
    """
    layer = node.operation
    step = summing.narrow_step_of(node.inputs[0])
    bits = getattr(layer, "weight_bits", None)
    if bits is None or step is None:
        return None
    width, kernel = numbers_of(layer.kernel_scale()), numbers_of(layer.effective_kernel())
    largest = (np.abs(np.round(kernel / width)).max(axis=layer.reduced_axes, keepdims=True) * width).ravel()
    weights = largest * np.abs(scale)
    bias = numbers_of(layer.bias) if layer.use_bias else np.zeros(1)
    kept = weights >= 127 * np.abs(bias * scale + shift) / (step * LARGEST_BIAS)
    convolves = isinstance(layer, _FOUR_BIT_CONVOLUTIONS) or len(node.output.shape) == _MAPS
    return weighted_sums(
        np.where(kept, weights, 0), step, bits=bits, kernel="up" if bits == 4 and convolves else "once"
    )


# What all kernels have in common; each kind says which layers it covers.
KERNEL = Kind(
    treatment="kernel",
    runs_activation=True,
    split=split_activation,
    train=train_on_grid,
    settle=settle_kernel,
    sums=kernel_sums,
    fold=fold_kernel,
    strip=strip_kernel,
)
DENSE = replace(KERNEL, covers=compressed_as(CompressedDense))
KINDS = (DENSE,)
