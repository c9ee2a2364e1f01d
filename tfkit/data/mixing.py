"""Mixing images of a batch with one another, labels included."""

from typing import Literal

import tensorflow as tf

Mixing = Literal["mixup", "cutmix"]

_MIXUP_ALPHA = 0.2
_CUTMIX_ALPHA = 1.0


def mix_batch(
    pixels: tf.Tensor, targets: tf.Tensor, *, mixing: Mixing | None, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mix every image with another one of its batch, each by a share of its own.

    `mixup` blends whole images (Zhang et al. 2018, alpha 0.2); `cutmix` pastes a rectangle (Yun et al. 2019,
    alpha 1.0) and sets the label's share to the area that was really pasted.

    Args:
        pixels: float32 (batch, height, width, channels).
        targets: one-hot float32 (batch, classes).
        mixing: Which; None returns the batch as it is.
        seed: int (2,); the same seed gives the same mix.

    Returns:
        Pixels and targets of the same shapes; every row of the targets still sums to 1.
    """
    if mixing is None:
        return pixels, targets
    seeds = tf.random.split(seed, 3)
    count = tf.shape(pixels)[0]
    partners = tf.random.experimental.stateless_shuffle(tf.range(count), seed=seeds[0])
    other_pixels, other_targets = tf.gather(pixels, partners), tf.gather(targets, partners)
    if mixing == "mixup":
        share = _beta([count], _MIXUP_ALPHA, seeds[1])
        weight = share[:, None, None, None]
        mixed = pixels * weight + other_pixels * (1.0 - weight)
    else:
        pasted = _rectangles(pixels, _beta([count], _CUTMIX_ALPHA, seeds[1]), seeds[2])
        share = 1.0 - tf.reduce_mean(tf.cast(pasted, tf.float32), axis=[1, 2])
        mixed = tf.where(pasted[..., None], other_pixels, pixels)
    return mixed, targets * share[:, None] + other_targets * (1.0 - share[:, None])


def _beta(shape: list[tf.Tensor], alpha: float, seed: tf.Tensor) -> tf.Tensor:
    """Beta(alpha, alpha) from two gamma draws."""
    seeds = tf.random.split(seed, 2)
    first = tf.random.stateless_gamma(shape, seeds[0], alpha=alpha)
    second = tf.random.stateless_gamma(shape, seeds[1], alpha=alpha)
    # Both can underflow to zero at a small alpha: then neither image is favoured.
    return tf.where(first + second > 0.0, tf.math.divide_no_nan(first, first + second), 0.5)


def _rectangles(pixels: tf.Tensor, share: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Boolean (batch, height, width): a rectangle of area 1 - share about a random centre, cut at the border."""
    shape = tf.shape(pixels)
    centres = tf.random.stateless_uniform([2, shape[0], 1], seed)
    half_side = (tf.sqrt(1.0 - share) / 2.0)[:, None]
    rows = (tf.range(shape[1], dtype=tf.float32)[None, :] + 0.5) / tf.cast(shape[1], tf.float32)
    columns = (tf.range(shape[2], dtype=tf.float32)[None, :] + 0.5) / tf.cast(shape[2], tf.float32)
    in_rows = tf.abs(rows - centres[0]) < half_side
    in_columns = tf.abs(columns - centres[1]) < half_side
    return in_rows[:, :, None] & in_columns[:, None, :]
