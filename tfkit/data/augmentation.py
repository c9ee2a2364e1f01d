"""Random views of training images, as pure functions of a seed."""

from typing import Literal

import tensorflow as tf

from tfkit.data.rand_augment import rand_augment

AugmentationPolicy = Literal["none", "light", "rand_augment"]

_SMALLEST_AREA = 0.7
_ASPECT_RATIOS = (3 / 4, 4 / 3)
_BRIGHTNESS = 0.1 * 255
_CONTRAST = (0.8, 1.2)


def augment_batch(pixels: tf.Tensor, *, policy: AugmentationPolicy, seed: tf.Tensor, flip: bool = True) -> tf.Tensor:
    """Draw one random view of every image.

    `light` is a random resized crop (70 to 100 % of the area), a mirror image half the time, and a little
    brightness and contrast. `rand_augment` has the crop and the mirror image too, then RandAugment's operations.

    Args:
        pixels: uint8 (batch, height, width, channels).
        policy: Which policy; `none` only casts.
        seed: int (2,); the same seed gives the same views.
        flip: Whether images may be mirrored left to right.

    Returns:
        float32 of the same shape, 0..255.
    """
    if policy == "none":
        return tf.cast(pixels, tf.float32)
    seeds = tf.random.split(seed, 2)
    views = _crop_and_flip(pixels, seed=seeds[0], flip=flip)
    if policy == "rand_augment":
        return rand_augment(views, seed=seeds[1])
    return _jitter(views, seed=seeds[1])


def _crop_and_flip(pixels: tf.Tensor, *, seed: tf.Tensor, flip: bool) -> tf.Tensor:
    """Random resized crop (Szegedy et al. 2015, with a milder area) and mirror image, in one resampling."""
    count = tf.shape(pixels)[0]
    draws = tf.random.stateless_uniform([5, count], seed)
    area = _between(draws[0], _SMALLEST_AREA, 1.0)
    aspect = tf.exp(_between(draws[1], *(tf.math.log(ratio) for ratio in _ASPECT_RATIOS)))
    height = tf.minimum(tf.sqrt(area / aspect), 1.0)
    width = tf.minimum(tf.sqrt(area * aspect), 1.0)
    top = draws[2] * (1.0 - height)
    left = draws[3] * (1.0 - width)
    mirrored = (draws[4] < 0.5) if flip else tf.zeros([count], tf.bool)
    # crop_and_resize mirrors a box whose sides are exchanged, so one op crops, resizes, flips and casts.
    start = tf.where(mirrored, left + width, left)
    end = tf.where(mirrored, left, left + width)
    boxes = tf.stack([top, start, top + height, end], axis=1)
    size = tf.shape(pixels)[1:3]
    # Cast first: the op reads float a quarter faster than uint8.
    views = tf.image.crop_and_resize(tf.cast(pixels, tf.float32), boxes, tf.range(count), size)
    return tf.ensure_shape(views, [None, *pixels.shape[1:]])


def _jitter(views: tf.Tensor, *, seed: tf.Tensor) -> tf.Tensor:
    """Brightness and contrast in one affine step: (x - mean) * contrast + mean + brightness."""
    draws = tf.random.stateless_uniform([2, tf.shape(views)[0], 1, 1, 1], seed)
    contrast = _between(draws[0], *_CONTRAST)
    brightness = _between(draws[1], -_BRIGHTNESS, _BRIGHTNESS)
    # One mean for all channels, so that contrast does not shift the colours.
    mean = tf.reduce_mean(tf.reshape(views, [tf.shape(views)[0], -1]), axis=1)[:, None, None, None]
    return tf.clip_by_value(views * contrast + (mean * (1.0 - contrast) + brightness), 0.0, 255.0)


def _between(draws: tf.Tensor, low: float, high: float) -> tf.Tensor:
    return low + draws * (high - low)
