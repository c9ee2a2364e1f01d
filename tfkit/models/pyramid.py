"""A backbone's maps by how much smaller than the image they are, and the layers that bring small ones back to size."""

import keras

from tfkit.errors import ModelError
from tfkit.keras_types import Tensor

_MAPS = 4
_MOMENTUM = 0.9  # of BatchNorm: 0.99 leaves the running statistics of a short run far behind
_COARSEST = 32  # the largest stride of a map that is used


def maps_by_stride(backbone: keras.Model) -> tuple[dict[int, Tensor], int]:
    """The backbone's last map of each size, by how many times smaller than the image it is; and that of its output.

    Raises:
        ModelError: When the backbone gives no maps, or the image's sides are no multiples of what it shrinks them by.
    """
    features, size = backbone.outputs[0], tuple(backbone.inputs[0].shape[1:3])
    if len(features.shape) != _MAPS or None in size or None in features.shape[1:]:
        raise ModelError(
            f"backbone {backbone.name} ends in a tensor of shape {tuple(features.shape)}; a decoder needs feature "
            "maps (n, height, width, channels) of a known size",
            hint="name a convolutional backbone, such as mobilenet_v2 or resnet50",
        )
    stride = max(1, round(size[0] / features.shape[1]))
    if stride & (stride - 1) or stride > _COARSEST:
        raise ModelError(
            f"backbone {backbone.name} shrinks images {stride} times; a decoder doubles maps, up to {_COARSEST} times",
            hint="name another backbone",
        )
    if any(side % stride for side in size) or tuple(features.shape[1:3]) != tuple(side // stride for side in size):
        fitting = [max(stride, round(side / stride) * stride) for side in size]
        raise ModelError(
            f"backbone {backbone.name} shrinks images {stride} times, and {size[0]} x {size[1]} are no multiples of "
            "that: maps brought back to size would not fit each other",
            hint=f"set data.image_size to multiples of {stride}, such as {fitting}",
        )
    skips: dict[int, Tensor] = {}
    for layer in backbone.layers[1:]:
        if len(layer._inbound_nodes) != 1:  # called twice: no one output is its
            continue
        shape = tuple(layer.output.shape)
        if len(shape) != _MAPS or not shape[1]:
            continue
        shrunk = size[0] // int(shape[1])
        if shrunk in (2, 4, 8, 16) and tuple(shape[1:3]) == tuple(side // shrunk for side in size):
            skips[shrunk] = layer.output
    return {shrunk: tensor for shrunk, tensor in skips.items() if shrunk < stride}, stride


def separable(x: Tensor, channels: int, *, name: str) -> Tensor:
    """A depthwise convolution of 3 x 3 and one of 1 x 1, each with batch normalisation and ReLU6."""
    x = keras.layers.DepthwiseConv2D(
        3, padding="same", use_bias=False, depthwise_initializer="he_normal", name=f"{name}_depthwise"
    )(x)
    x = keras.layers.BatchNormalization(momentum=_MOMENTUM, name=f"{name}_depthwise_bn")(x)
    return convolution(keras.layers.ReLU(6.0, name=f"{name}_depthwise_relu")(x), channels, kernel_size=1, name=name)


def convolution(x: Tensor, channels: int, *, kernel_size: int, name: str) -> Tensor:
    """A convolution with batch normalisation and ReLU6."""
    x = keras.layers.Conv2D(
        channels, kernel_size, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )(x)
    x = keras.layers.BatchNormalization(momentum=_MOMENTUM, name=f"{name}_bn")(x)
    return keras.layers.ReLU(6.0, name=f"{name}_relu")(x)
