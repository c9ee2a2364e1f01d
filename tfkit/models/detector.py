"""A detector in one stage: at each place of three maps a score for each class, and a box."""

import keras
import numpy as np

from tfkit.arguments import takes_text
from tfkit.artifacts.box_grid import BOX_NUMBERS, LEVELS, geometry
from tfkit.errors import ModelError
from tfkit.keras_types import Tensor
from tfkit.models.classifier import DECODER, LOGITS, SCORES
from tfkit.models.pyramid import convolution, maps_by_stride, separable

_PRIOR = 0.01  # of a class at the first step: most places are background (Lin et al. 2017, arXiv:1708.02002)


@takes_text
def build_detector(
    backbone: keras.Model, *, classes: int, channels: int = 64, dropout: float = 0.0, l2: float = 0.0
) -> keras.Model:
    """Put a feature pyramid and heads without anchors on any backbone of feature maps.

    The pyramid has maps that are 8, 16 and 32 times smaller than the image (Lin et al. 2017, arXiv:1612.03144, of
    separable convolutions). At each place stand a sigmoid for each class (FCOS, Tian et al. 2019, arXiv:1904.01355),
    and where the middle of a box lies and how large it is (CenterNet, Zhou et al. 2019, arXiv:1904.07850), as shares of
    the image: whoever runs the model has nothing to know of maps. Every layer has an int8 kernel.

    Args:
        backbone: From raw pixels to feature maps, as `build_backbone` returns it.
        classes: Number of classes, 1 or more.
        channels: Of the pyramid's maps.
        dropout: Share of the pyramid's maps dropped while training, whole channels at a time, in [0, 1).
        l2: Weight of the L2 penalty on the kernels of the scores.

    Returns:
        A flat model from `pixels` to `scores`, float32 (n, places, classes + 4): for each place a score of each class,
        then middle row, middle column, height and width of a box, as shares of the image's.

    Raises:
        ModelError: When the backbone gives no maps 8 times smaller than the image or more, or the image is no square
            whose side is a multiple of 32.

    Example:
        >>> backbone = build_backbone("resnet8", image=ImageSpec(64, 64))
        >>> build_detector(backbone, classes=2).output_shape
        (None, 84, 6)
    """
    height, width = backbone.inputs[0].shape[1:3]
    if height != width or height is None or height % LEVELS[-1].stride:
        raise ModelError(
            f"a detector takes square images whose side is a multiple of {LEVELS[-1].stride}; got {height} x {width}",
            hint="set data.image_size to such a number, such as 320, and data.resize to stretch",
        )
    maps = _pyramid(backbone, channels)
    scores, boxes = [], []
    for level in LEVELS:
        x, name = maps[level.stride], f"head_{level.stride}"
        if dropout:
            x = keras.layers.SpatialDropout2D(dropout, name=f"{name}_dropout")(x)
        x = separable(x, channels, name=name)
        penalty = keras.regularizers.L2(l2) if l2 else None
        prior = keras.initializers.Constant(float(np.log(_PRIOR / (1 - _PRIOR))))
        given = keras.layers.Dense(
            classes, kernel_regularizer=penalty, bias_initializer=prior, name=f"{LOGITS}_{level.stride}"
        )(x)
        places = (height // level.stride) ** 2
        scores.append(keras.layers.Reshape((places, classes), name=f"{LOGITS}_{level.stride}_rows")(given))
        box = keras.layers.Dense(BOX_NUMBERS, name=f"box_{level.stride}")(x)
        boxes.append(keras.layers.Reshape((places, BOX_NUMBERS), name=f"box_{level.stride}_rows")(box))
    given = keras.layers.Concatenate(axis=1, name=LOGITS)(scores)
    given = keras.layers.Activation("sigmoid", name="class_scores", dtype="float32")(given)
    located = _located(keras.layers.Concatenate(axis=1, name="boxes")(boxes), height)
    return keras.Model(
        backbone.inputs[0],
        keras.layers.Concatenate(axis=-1, name=SCORES, dtype="float32")([given, located]),
        name=backbone.name,
    )


def _pyramid(backbone: keras.Model, channels: int) -> dict[int, Tensor]:
    """A map of each level, by its stride: the deepest enlarged step by step, joined to the backbone's of that size."""
    skips, stride = maps_by_stride(backbone)
    x = convolution(backbone.outputs[0], channels, kernel_size=1, name=DECODER)
    maps = {stride: x}
    while stride < LEVELS[-1].stride:  # a backbone of few stages
        stride *= 2
        x = keras.layers.MaxPooling2D(2, name=f"{DECODER}_{stride}_pool")(x)
        x = maps[stride] = separable(x, channels, name=f"{DECODER}_{stride}")
    while stride > LEVELS[0].stride:
        stride //= 2
        name = f"{DECODER}_{stride}"
        x = keras.layers.UpSampling2D(2, interpolation="bilinear", name=f"{name}_up")(x)
        beside = maps.get(stride, skips.get(stride))
        if beside is not None:
            thin = convolution(beside, max(16, channels // 2), kernel_size=1, name=f"{name}_skip")
            x = keras.layers.Concatenate(name=f"{name}_join")([x, thin])
        x = maps[stride] = separable(x, channels, name=f"{name}_out")
    return maps


def _located(boxes: Tensor, side: int) -> Tensor:
    """The box of each place as shares of the image, (n, places, 4), from its logits."""
    lowest, span = geometry(side)
    places = boxes.shape[1]
    x = keras.layers.Activation("sigmoid", name="box_shares", dtype="float32")(boxes)
    x = keras.layers.Reshape((places * BOX_NUMBERS,), name="box_row")(x)
    x = keras.layers.Rescaling(span.ravel().tolist(), lowest.ravel().tolist(), name="location_row", dtype="float32")(x)
    return keras.layers.Reshape((places, BOX_NUMBERS), name="location")(x)
