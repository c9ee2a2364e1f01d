"""RandAugment (Cubuk et al. 2020) as a pure function of a seed.

Keras's own layer keeps its random state in a variable, so its views depend on the order in which threads reach it;
here the same seed always gives the same view. Operations and ranges are those of the paper's appendix.
"""

from collections.abc import Callable

import tensorflow as tf

_OPERATIONS_PER_IMAGE = 2
_MAGNITUDE = 9 / 30
_FILL = 128.0
_LUMA = (0.299, 0.587, 0.114)

Operation = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def rand_augment(pixels: tf.Tensor, *, seed: tf.Tensor) -> tf.Tensor:
    """Apply two random operations, of magnitude 9 of 30, to every image.

    Args:
        pixels: float32 (batch, height, width, channels), 0..255.
        seed: int (2,); the same seed gives the same views.

    Returns:
        float32 of the same shape, 0..255.
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
    return tf.ensure_shape(views, pixels.shape)


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


def _rotate(image: tf.Tensor, magnitude: tf.Tensor) -> tf.Tensor:
    angle = magnitude * (30.0 * 3.14159265 / 180.0)
    return _transform(image, tf.cos(angle), -tf.sin(angle), tf.sin(angle), tf.cos(angle))


def _shear_x(image: tf.Tensor, magnitude: tf.Tensor) -> tf.Tensor:
    return _transform(image, 1.0, 0.3 * magnitude, 0.0, 1.0)


def _shear_y(image: tf.Tensor, magnitude: tf.Tensor) -> tf.Tensor:
    return _transform(image, 1.0, 0.0, 0.3 * magnitude, 1.0)


def _translate_x(image: tf.Tensor, magnitude: tf.Tensor) -> tf.Tensor:
    return _transform(image, 1.0, 0.0, 0.0, 1.0, right=0.45 * magnitude)


def _translate_y(image: tf.Tensor, magnitude: tf.Tensor) -> tf.Tensor:
    return _transform(image, 1.0, 0.0, 0.0, 1.0, down=0.45 * magnitude)


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
    _rotate,
    _shear_x,
    _shear_y,
    _translate_x,
    _translate_y,
)


def _grey(image: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(image * _LUMA, axis=-1, keepdims=True) if image.shape[-1] == 3 else image


def _blend(base: tf.Tensor, image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """`base` at factor 0, `image` at 1, beyond it above."""
    return base + (image - base) * factor


def _transform(
    image: tf.Tensor,
    xx: tf.Tensor | float,
    xy: tf.Tensor | float,
    yx: tf.Tensor | float,
    yy: tf.Tensor | float,
    *,
    right: tf.Tensor | float = 0.0,
    down: tf.Tensor | float = 0.0,
) -> tf.Tensor:
    """Resample about the centre: the output at (x, y) is the input at (xx x + xy y + right, yx x + yy y + down)."""
    size = tf.cast(tf.shape(image)[:2], tf.float32)
    center_y, center_x = (size[0] - 1.0) / 2.0, (size[1] - 1.0) / 2.0
    offset_x = center_x - xx * center_x - xy * center_y + right * size[1]
    offset_y = center_y - yx * center_x - yy * center_y + down * size[0]
    row = [tf.cast(value, tf.float32) for value in (xx, xy, offset_x, yx, yy, offset_y, 0.0, 0.0)]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=image[None],
        transforms=tf.stack(row)[None],
        output_shape=tf.shape(image)[:2],
        fill_value=_FILL,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )[0]
