"""A segmenter: a backbone, and a small U-Net decoder that brings its maps back to the image's size."""

import keras

from tfkit.arguments import takes_text
from tfkit.errors import ModelError
from tfkit.keras_types import Tensor
from tfkit.models.classifier import DECODER, LOGITS, SOFTMAX, HeadSpec

_MAPS = 4
_MOMENTUM = 0.9  # of BatchNorm: 0.99 leaves the running statistics of a short run far behind
_COARSEST, _FINEST = 32, 2  # strides of the backbone's maps that are used


@takes_text
def build_segmenter(
    backbone: keras.Model,
    *,
    classes: int,
    channels: int = 64,
    dropout: float = 0.0,
    l2: float = 0.0,
    head: HeadSpec = SOFTMAX,
) -> keras.Model:
    """Put a U-Net decoder (Ronneberger et al. 2015, arXiv:1505.04597) on any backbone of feature maps.

    From the backbone's last map upwards: the map is enlarged twice, the backbone's last map of that size is joined to
    it, and a separable convolution mixes both. From half the image's size on, scores are enlarged bilinearly: inside
    the model, so that its answer has the image's size whoever runs it. Every layer has an int8 kernel.

    Args:
        backbone: From raw pixels to feature maps, as `build_backbone` returns it.
        classes: Number of classes, 2 or more.
        channels: Of the decoder's maps.
        dropout: Share of the last maps dropped while training, whole channels at a time, in [0, 1).
        l2: Weight of the L2 penalty on the last kernel.
        head: What stands behind the logits.

    Returns:
        A flat model from `pixels` to `scores`, float32 (n, height, width, classes): for each pixel a probability of
        each class.

    Raises:
        ModelError: When the backbone gives no maps, or the image's sides are no multiples of what it shrinks them by.

    Example:
        >>> backbone = build_backbone("resnet8", image=ImageSpec(32, 32))
        >>> build_segmenter(backbone, classes=4).output_shape
        (None, 32, 32, 4)
    """
    skips, stride = _skips(backbone)
    x = _convolution(backbone.outputs[0], channels, kernel_size=1, name=DECODER)
    while stride > _FINEST:
        stride //= 2
        name = f"{DECODER}_{stride}"
        x = keras.layers.UpSampling2D(2, interpolation="bilinear", name=f"{name}_up")(x)
        if stride in skips:
            beside = _convolution(skips[stride], max(16, channels // 2), kernel_size=1, name=f"{name}_skip")
            x = keras.layers.Concatenate(name=f"{name}_join")([x, beside])
        x = _separable(x, channels, name=name)
    if dropout:
        x = keras.layers.SpatialDropout2D(dropout, name="head_dropout")(x)
    penalty = keras.regularizers.L2(l2) if l2 else None
    # As a Dense layer: oneDNN crashes in training convolutions of few channels, and XLA in its place is slow.
    x = keras.layers.Dense(classes, kernel_regularizer=penalty, name=LOGITS)(x)
    if stride > 1:
        x = keras.layers.UpSampling2D(stride, interpolation="bilinear", name=f"{LOGITS}_up")(x)
    return keras.Model(backbone.inputs[0], head.scores(x), name=backbone.name)


def _skips(backbone: keras.Model) -> tuple[dict[int, Tensor], int]:
    """The backbone's last map of each size, by how many times smaller than the image it is; and that of its output."""
    features, size = backbone.outputs[0], tuple(backbone.inputs[0].shape[1:3])
    if len(features.shape) != _MAPS or None in size or None in features.shape[1:]:
        raise ModelError(
            f"backbone {backbone.name} ends in a tensor of shape {tuple(features.shape)}; a segmenter needs feature "
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


def _separable(x: Tensor, channels: int, *, name: str) -> Tensor:
    x = keras.layers.DepthwiseConv2D(
        3, padding="same", use_bias=False, depthwise_initializer="he_normal", name=f"{name}_depthwise"
    )(x)
    x = keras.layers.BatchNormalization(momentum=_MOMENTUM, name=f"{name}_depthwise_bn")(x)
    return _convolution(keras.layers.ReLU(6.0, name=f"{name}_depthwise_relu")(x), channels, kernel_size=1, name=name)


def _convolution(x: Tensor, channels: int, *, kernel_size: int, name: str) -> Tensor:
    x = keras.layers.Conv2D(
        channels, kernel_size, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )(x)
    x = keras.layers.BatchNormalization(momentum=_MOMENTUM, name=f"{name}_bn")(x)
    return keras.layers.ReLU(6.0, name=f"{name}_relu")(x)
