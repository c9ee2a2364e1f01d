"""A segmenter: a backbone, and a small U-Net decoder that brings its maps back to the image's size."""

import keras

from tfkit.arguments import takes_text
from tfkit.keras_types import Tensor
from tfkit.models.classifier import DECODED, DECODER, LOGITS, SOFTMAX, HeadSpec
from tfkit.models.pyramid import convolution, maps_by_stride, separable

_FINEST = 2  # stride of the last of the decoder's maps


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

    keras-hub's DeepLabV3 (Chen et al. 2018, arXiv:1802.02611) and SegFormer (arXiv:2105.15203) have decoders of their
    own: these get scores alone.

    Args:
        backbone: From raw pixels to feature maps, as `build_backbone` returns it.
        classes: Number of classes, 2 or more.
        channels: Of the U-Net decoder's maps.
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
    x, stride = _own_decoder(backbone) if backbone.layers[-1].name == DECODED else _u_net(backbone, channels)
    if dropout:
        x = keras.layers.SpatialDropout2D(dropout, name="head_dropout")(x)
    penalty = keras.regularizers.L2(l2) if l2 else None
    # As a Dense layer: oneDNN crashes in training convolutions of few channels, and XLA in its place is slow.
    x = keras.layers.Dense(classes, kernel_regularizer=penalty, name=LOGITS)(x)
    if stride > 1:
        x = keras.layers.UpSampling2D(stride, interpolation="bilinear", name=f"{LOGITS}_up")(x)
    return keras.Model(backbone.inputs[0], head.scores(x), name=backbone.name)


def _own_decoder(backbone: keras.Model) -> tuple[Tensor, int]:
    """The maps of a backbone that has a decoder already, and by how much they are smaller than the image."""
    maps = backbone.outputs[0]
    return keras.layers.Identity(name=DECODER)(maps), int(backbone.inputs[0].shape[1]) // int(maps.shape[1])


def _u_net(backbone: keras.Model, channels: int) -> tuple[Tensor, int]:
    """The decoder's finest maps, and by how much they are smaller than the image."""
    skips, stride = maps_by_stride(backbone)
    x = convolution(backbone.outputs[0], channels, kernel_size=1, name=DECODER)
    while stride > _FINEST:
        stride //= 2
        name = f"{DECODER}_{stride}"
        x = keras.layers.UpSampling2D(2, interpolation="bilinear", name=f"{name}_up")(x)
        if stride in skips:
            beside = convolution(skips[stride], max(16, channels // 2), kernel_size=1, name=f"{name}_skip")
            x = keras.layers.Concatenate(name=f"{name}_join")([x, beside])
        x = separable(x, channels, name=name)
    return x, stride
