"""Convolutions: plain, depthwise, transposed and separable."""

from collections.abc import Callable
from dataclasses import replace

import keras

from tfkit.compression.kinds.activations import activated
from tfkit.compression.kinds.kernels import KERNEL, compressed_as, no_four_bits
from tfkit.compression.kinds.kind import Kind, Splitting
from tfkit.graph import LayerCall, Node, give_weights
from tfkit.keras_types import Tensor
from tfkit.layers import (
    CompressedConv1D,
    CompressedConv1DTranspose,
    CompressedConv2D,
    CompressedConv2DTranspose,
    CompressedDepthwiseConv1D,
    CompressedDepthwiseConv2D,
)

_SEPARABLE = {
    keras.layers.SeparableConv1D: (keras.layers.DepthwiseConv1D, keras.layers.Conv1D),
    keras.layers.SeparableConv2D: (keras.layers.DepthwiseConv2D, keras.layers.Conv2D),
}
_SHARED_SETTINGS = ("strides", "padding", "data_format", "dilation_rate")


def separated(
    node: Node,
    tensor: Tensor,
    *,
    activation: str | Callable[[Tensor], Tensor] | None = None,
    made: dict[int, tuple[keras.Layer, keras.Layer]] | None = None,
) -> Tensor:
    """Call a separable convolution as the two convolutions it is made of, with its weights.

    Args:
        node: The call of a `SeparableConv1D` or `SeparableConv2D`.
        tensor: Its new input.
        activation: Of the pointwise half; default none, whatever the layer has.
        made: The halves of layers that were called before, by the layer's `id`; added to.

    Returns:
        The output tensor, of layers called NAME_depthwise and NAME_pointwise.
    """
    layer = node.operation
    if made is not None and id(layer) in made:
        depthwise, pointwise = made[id(layer)]
        return pointwise(depthwise(tensor))
    depthwise_class, pointwise_class = _SEPARABLE[type(layer)]
    settings = {name: getattr(layer, name) for name in _SHARED_SETTINGS}
    depthwise = depthwise_class(
        layer.kernel_size,
        depth_multiplier=layer.depth_multiplier,
        use_bias=False,
        name=f"{node.name}_depthwise",
        dtype=layer.dtype_policy,
        trainable=layer.trainable,
        **settings,
    )
    pointwise = pointwise_class(
        layer.filters,
        1,
        activation=activation,
        use_bias=layer.use_bias,
        data_format=layer.data_format,
        name=f"{node.name}_pointwise",
        dtype=layer.dtype_policy,
        trainable=layer.trainable,
    )
    outputs = pointwise(depthwise(tensor))
    kernels = [keras.ops.convert_to_numpy(weight) for weight in layer.weights]
    give_weights(depthwise, kernels[:1])
    give_weights(pointwise, kernels[1:])
    if made is not None:
        made[id(layer)] = (depthwise, pointwise)
    return outputs


def _split_separable(splitting: Splitting, call: LayerCall) -> Tensor:
    return activated(call.node, separated(call.node, call.args[0], made=splitting.separated))


CONVOLUTION = replace(
    KERNEL,
    covers=compressed_as(CompressedConv1D, CompressedConv2D),
    # Output channels first; with as many groups as channels the file's convolution is a depthwise one.
    first_axes=(-1, None),
)
DEPTHWISE = replace(
    KERNEL,
    covers=compressed_as(CompressedDepthwiseConv1D, CompressedDepthwiseConv2D),
    fault=no_four_bits,
    # Of one channel, the converter makes a plain convolution.
    first_axes=(None, -1),
)
TRANSPOSED = replace(
    KERNEL,
    covers=compressed_as(CompressedConv1DTranspose, CompressedConv2DTranspose),
    fault=no_four_bits,
    first_axes=(-2,),
)
SEPARABLE = Kind(covers=lambda node: type(node.operation) in _SEPARABLE, split=_split_separable)
KINDS = (CONVOLUTION, DEPTHWISE, TRANSPOSED, SEPARABLE)
