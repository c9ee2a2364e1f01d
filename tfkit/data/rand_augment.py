"""RandAugment (Cubuk et al. 2020) as a pure function of a seed.

Keras's own layer keeps its random state in a variable, so its views depend on the order in which threads reach it;
here the same seed always gives the same view. Operations and ranges are those of the paper's appendix.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from tfkit.data.masks import IGNORED

_OPERATIONS_PER_IMAGE = 2
_MAGNITUDE = 9 / 30
_FILL = 128.0
_LUMA = (0.299, 0.587, 0.114)

Operation = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


class Transform(NamedTuple):
    """The output at (x, y) is the input at (xx x + xy y + right, yx x + yy y + down), shares of the image's size."""

    xx: tf.Tensor | float = 1.0
    xy: tf.Tensor | float = 0.0
    yx: tf.Tensor | float = 0.0
    yy: tf.Tensor | float = 1.0
    right: tf.Tensor | float = 0.0
    down: tf.Tensor | float = 0.0


def rand_augment(
    pixels: tf.Tensor, *, seed: tf.Tensor, masks: tf.Tensor | None = None
) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Apply two random operations, of magnitude 9 of 30, to every image.

    Args:
        pixels: float32 (batch, height, width, channels), 0..255.
        seed: int (2,); the same seed gives the same views.
        masks: uint8 (batch, height, width), which move where their pixels move; None for none.

    Returns:
        float32 of the same shape, 0..255, and the masks, 255 where nothing was.
    """
    count = tf.shape(pixels)[0]
    seeds = tf.random.split(seed, 2)
    shape = [count, _OPERATIONS_PER_IMAGE]
    choices = tf.random.stateless_uniform(shape, seeds[0], 0, len(_OPERATIONS), dtype=tf.int32)
    signs = tf.where(tf.random.stateless_uniform(shape, seeds[1]) < 0.5, -1.0, 1.0)

    def view(arguments: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
        image, image_choices, image_signs = arguments
        for step in range(_OPERATIONS_PER_IMAGE):
            image = _apply(image, image_choices[step], image_signs[step] * _MAGNITUDE)
        return image

    views = tf.map_fn(view, (pixels, choices, signs), fn_output_signature=tf.TensorSpec(pixels.shape[1:], tf.float32))
    if masks is None:
        return tf.ensure_shape(views, pixels.shape), None

    def moved(arguments: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
        mask, mask_choices, mask_signs = arguments
        for step in range(_OPERATIONS_PER_IMAGE):
            mask = _move(mask, mask_choices[step], mask_signs[step] * _MAGNITUDE)
        return mask[..., 0]

    layers = tf.cast(masks, tf.float32)[..., None]
    places = tf.map_fn(moved, (layers, choices, signs), fn_output_signature=tf.TensorSpec(masks.shape[1:], tf.float32))
    return tf.ensure_shape(views, pixels.shape), tf.ensure_shape(tf.cast(places, masks.dtype), masks.shape)


def _move(mask: tf.Tensor, choice: tf.Tensor, magnitude: tf.Tensor) -> tf.Tensor:
    """A mask (height, width, 1) under an operation: it stays where pixels stay."""

    def branch(operation: Operation) -> Callable[[], tf.Tensor]:
        turn = _MOVES.get(operation)
        return lambda: mask if turn is None else _transform(mask, turn(magnitude), fill=IGNORED, how="NEAREST")

    return tf.ensure_shape(tf.switch_case(choice, [branch(operation) for operation in _OPERATIONS]), mask.shape)


def _apply(image: tf.Tensor, choice: tf.Tensor, magnitude: tf.Tensor) -> tf.Tensor:
    # Each branch is bound at once: a plain lambda would see the last operation only.
    branches = [lambda operation=operation: operation(image, magnitude) for operation in _OPERATIONS]
    return tf.clip_by_value(tf.ensure_shape(tf.switch_case(choice, branches), image.shape), 0.0, 255.0)


def _identity(image: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
    return image


def _auto_contrast(image: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
    low = tf.reduce_min(image, axis=[0, 1])
    spread = tf.reduce_max(image, axis=[0, 1]) - low
    return tf.where(spread > 0.0, tf.math.divide_no_nan((image - low) * 255.0, spread), image)


def _equalize(image: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
    """Spread each channel's histogram evenly, by PIL's rule."""
    levels = tf.cast(image, tf.int32)
    count = tf.size(levels[..., 0])

    def equalized(channel: tf.Tensor) -> tf.Tensor:
        histogram = tf.math.bincount(tf.reshape(channel, [-1]), minlength=256, maxlength=256)
        step = (count - histogram[tf.reduce_max(channel)]) // 255
        table = (tf.cumsum(histogram, exclusive=True) + step // 2) // tf.maximum(step, 1)
        table = tf.where(step > 0, tf.clip_by_value(table, 0, 255), tf.range(256))
        return tf.gather(table, channel)

    return tf.cast(tf.stack([equalized(levels[..., c]) for c in range(image.shape[-1])], axis=-1), tf.float32)


def _solarize(image: tf.Tensor, magnitude: tf.Tensor) -> tf.Tensor:
    return tf.where(image < 255.0 * (1.0 - tf.abs(magnitude)), image, 255.0 - image)


def _posterize(image: tf.Tensor, magnitude: tf.Tensor) -> tf.Tensor:
    step = tf.pow(2.0, tf.round(4.0 * tf.abs(magnitude)))  # 8 bits kept at no magnitude, 4 at full
    return tf.floor(image / step) * step


def _color(image: tf.Tensor, magnitude: tf.Tensor) -> tf.Tensor:
    return _blend(_grey(image), image, 1.0 + 0.9 * magnitude)


def _brightness(image: tf.Tensor, magnitude: tf.Tensor) -> tf.Tensor:
    return image * (1.0 + 0.9 * magnitude)


def _contrast(image: tf.Tensor, magnitude: tf.Tensor) -> tf.Tensor:
    return _blend(tf.reduce_mean(_grey(image)), image, 1.0 + 0.9 * magnitude)


def _sharpness(image: tf.Tensor, magnitude: tf.Tensor) -> tf.Tensor:
    kernel = tf.constant([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]])[:, :, None, None] / 13.0
    kernel = tf.tile(kernel, [1, 1, image.shape[-1], 1])
    padded = tf.pad(image, [[1, 1], [1, 1], [0, 0]], mode="SYMMETRIC")
    smooth = tf.nn.depthwise_conv2d(padded[None], kernel, [1, 1, 1, 1], "VALID")[0]
    return _blend(smooth, image, 1.0 + 0.9 * magnitude)


def _rotation(magnitude: tf.Tensor) -> Transform:
    angle = magnitude * (30.0 * 3.14159265 / 180.0)
    return Transform(tf.cos(angle), -tf.sin(angle), tf.sin(angle), tf.cos(angle))


def _moving(transform: Callable[[tf.Tensor], Transform]) -> Operation:
    return lambda image, magnitude: _transform(image, transform(magnitude))


# The operations that move pixels, and with them masks.
_MOVES: dict[Operation, Callable[[tf.Tensor], Transform]] = {
    _moving(transform): transform
    for transform in (
        _rotation,
        lambda magnitude: Transform(xy=0.3 * magnitude),
        lambda magnitude: Transform(yx=0.3 * magnitude),
        lambda magnitude: Transform(right=0.45 * magnitude),
        lambda magnitude: Transform(down=0.45 * magnitude),
    )
}

_OPERATIONS: tuple[Operation, ...] = (
    _identity,
    _auto_contrast,
    _equalize,
    _solarize,
    _posterize,
    _color,
    _brightness,
    _contrast,
    _sharpness,
    *_MOVES,
)


def _grey(image: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(image * _LUMA, axis=-1, keepdims=True) if image.shape[-1] == 3 else image


def _blend(base: tf.Tensor, image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """`base` at factor 0, `image` at 1, beyond it above."""
    return base + (image - base) * factor


def _transform(image: tf.Tensor, by: Transform, *, fill: float = _FILL, how: str = "BILINEAR") -> tf.Tensor:
    """Resample about the centre, as a `Transform` says."""
    size = tf.cast(tf.shape(image)[:2], tf.float32)
    center_y, center_x = (size[0] - 1.0) / 2.0, (size[1] - 1.0) / 2.0
    offset_x = center_x - by.xx * center_x - by.xy * center_y + by.right * size[1]
    offset_y = center_y - by.yx * center_x - by.yy * center_y + by.down * size[0]
    row = [tf.cast(value, tf.float32) for value in (by.xx, by.xy, offset_x, by.yx, by.yy, offset_y, 0.0, 0.0)]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=image[None],
        transforms=tf.stack(row)[None],
        output_shape=tf.shape(image)[:2],
        fill_value=fill,
        interpolation=how,
        fill_mode="CONSTANT",
    )[0]
