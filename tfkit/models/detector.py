"""A detector in one stage: at each place of three maps a score for each class, and how far a box reaches from there."""

import keras
import numpy as np

from tfkit.arguments import takes_text
from tfkit.artifacts.box_grid import LEVELS, Level, levels
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
    separable convolutions). At each place stand a sigmoid for each class and the distances to the four sides of a box
    (FCOS, Tian et al. 2019, arXiv:1904.01355), which become corners inside the model: whoever runs it has nothing to
    know of maps. Every layer has an int8 kernel.

    Args:
        backbone: From raw pixels to feature maps, as `build_backbone` returns it.
        classes: Number of classes, 1 or more.
        channels: Of the pyramid's maps.
        dropout: Share of the pyramid's maps dropped while training, whole channels at a time, in [0, 1).
        l2: Weight of the L2 penalty on the kernels of the scores.

    Returns:
        A flat model from `pixels` to `scores`, float32 (n, places, classes + 4): for each place a score of each class,
        then top, left, bottom and right of a box, as shares of the image's height and width, 0 to 1.

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
    scores, distances = [], []
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
        reaching = keras.layers.Dense(4, name=f"distances_{level.stride}")(x)
        distances.append(keras.layers.Reshape((places, 4), name=f"distances_{level.stride}_rows")(reaching))
    given = keras.layers.Concatenate(axis=1, name=LOGITS)(scores)
    given = keras.layers.Activation("sigmoid", name="class_scores", dtype="float32")(given)
    corners = _corners(keras.layers.Concatenate(axis=1, name="distances")(distances), height)
    return keras.Model(
        backbone.inputs[0],
        keras.layers.Concatenate(axis=-1, name=SCORES, dtype="float32")([given, corners]),
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


def _corners(distances: Tensor, side: int) -> Tensor:
    """Top, left, bottom and right of the box at each place, (n, places, 4), from its distances' logits."""
    scale, offset = _geometry(levels(side), side)
    places = distances.shape[1]
    x = keras.layers.Activation("sigmoid", name="reach", dtype="float32")(distances)
    x = keras.layers.Reshape((places * 4,), name="reach_row")(x)
    x = keras.layers.Rescaling(scale.ravel().tolist(), offset.ravel().tolist(), name="corners_row", dtype="float32")(x)
    return keras.layers.Reshape((places, 4), name="corners")(x)


def _geometry(rows: tuple[np.ndarray, np.ndarray, list[Level]], side: int) -> tuple[np.ndarray, np.ndarray]:
    """What the four sigmoids of each place are multiplied by, and what is added: float (places, 4) each.

    A sigmoid of 1 reaches as far as boxes of the level do, and no further than the image's border.
    """
    centres, reaches, _ = rows
    before, behind = np.minimum(reaches[:, None], centres), np.minimum(reaches[:, None], 1 - centres)
    return np.concatenate([-before, behind], axis=1), np.concatenate([centres, centres], axis=1)
