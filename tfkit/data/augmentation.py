"""Random views of training images, and pairs of images mixed, as pure functions of a seed.

Both take and give whole batches, tensors by name: what belongs to the pixels moves with them.
"""

from collections.abc import Mapping
from typing import Literal

import tensorflow as tf

from tfkit.data.masks import IGNORED
from tfkit.data.rand_augment import rand_augment

Mixing = Literal["mixup", "cutmix"]

_MIXUP_ALPHA = 0.2
_CUTMIX_ALPHA = 1.0


def mix_batch(batch: Mapping[str, tf.Tensor], *, mixing: Mixing | None, seed: tf.Tensor) -> dict[str, tf.Tensor]:
    """Mix every image with another one of its batch, each by a share of its own.

    `mixup` blends whole images (Zhang et al. 2018, alpha 0.2); `cutmix` pastes a rectangle (Yun et al. 2019,
    alpha 1.0) and sets the label's share to the area that was really pasted.

    Args:
        batch: `pixels` float32 (batch, height, width, channels), `targets` one-hot float32 (batch, classes); or masks,
            uint8 (batch, height, width), which `cutmix` pastes as it pastes pixels.
        mixing: Which; None returns the batch as it is.
        seed: int (2,); the same seed gives the same mix.

    Returns:
        The batch with pixels and targets of the same shapes; every row of the targets still sums to 1.

    Raises:
        ValueError: For `mixup` of masks, which have no mean; for boxes.
    """
    if mixing is None:
        return dict(batch)
    pixels, targets = batch["pixels"], batch["targets"]
    if _is_boxes(targets):
        raise ValueError("boxes are not mixed; take no mixing")
    if mixing == "mixup" and _is_masks(targets):
        raise ValueError("mixup blends labels, and masks have no mean: take cutmix")
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
        if _is_masks(targets):
            return {**batch, "pixels": mixed, "targets": tf.where(pasted, other_targets, targets)}
    shared = targets * share[:, None] + other_targets * (1.0 - share[:, None])
    return {**batch, "pixels": mixed, "targets": shared}


def _is_masks(targets: tf.Tensor) -> bool:
    return len(targets.shape) == 3 and tf.as_dtype(targets.dtype).is_integer


def _is_boxes(targets: tf.Tensor) -> bool:
    return len(targets.shape) == 3 and tf.as_dtype(targets.dtype).is_floating


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


AugmentationPolicy = Literal["none", "light", "rand_augment"]

_SMALLEST_AREA = 0.7
_ASPECT_RATIOS = (3 / 4, 4 / 3)
_BRIGHTNESS = 0.1 * 255
_CONTRAST = (0.8, 1.2)
_LEAST_KEPT = 0.25  # of a box that a crop cuts


def augment_batch(
    batch: Mapping[str, tf.Tensor], *, policy: AugmentationPolicy, seed: tf.Tensor, flip: bool = True
) -> dict[str, tf.Tensor]:
    """Draw one random view of every image.

    `light` is a random resized crop (70 to 100 % of the area), a mirror image half the time, and a little
    brightness and contrast. `rand_augment` has the crop and the mirror image too, then RandAugment's operations.

    Args:
        batch: `pixels` uint8 (batch, height, width, channels), and what else belongs to them: `targets` that are
            masks, uint8 (batch, height, width), move with their pixels; what comes in from outside is 255, ignored.
            So do boxes, float32 (batch, most, 5), where the policy is `light`; of one that a crop leaves less than a
            quarter of, the class becomes -1.
        policy: Which policy; `none` only casts.
        seed: int (2,); the same seed gives the same views.
        flip: Whether images may be mirrored left to right.

    Returns:
        The batch with `pixels` float32 of the same shape, 0..255; all else but masks and boxes as it came.

    Raises:
        ValueError: For `rand_augment` of boxes, which it does not move.

    Example:
        >>> views = augment_batch({"pixels": pixels[:4]}, policy="light", seed=(0, 1))
        >>> views["pixels"].shape
        TensorShape([4, 16, 16, 1])
    """
    pixels = batch["pixels"]
    if policy == "none":
        return {**batch, "pixels": tf.cast(pixels, tf.float32)}
    seeds = tf.random.split(seed, 2)
    boxes = _boxes(tf.shape(pixels)[0], seed=seeds[0], flip=flip)
    # Cast first: the op reads float a quarter faster than uint8.
    views = _resampled(tf.cast(pixels, tf.float32), boxes)
    targets = batch.get("targets")
    masks = targets if targets is not None and _is_masks(targets) else None
    if masks is not None:
        masks = _nearest(masks, boxes)
    if targets is not None and _is_boxes(targets):
        if policy == "rand_augment":
            raise ValueError("rand_augment does not move boxes with their pixels; take light")
        batch = {**batch, "targets": _moved(targets, boxes)}
    if policy == "rand_augment":
        views, masks = rand_augment(views, seed=seeds[1], masks=masks)
    else:
        views = _jitter(views, seed=seeds[1])
    return {**batch, "pixels": views} | ({} if masks is None else {"targets": masks})


def _boxes(count: tf.Tensor, *, seed: tf.Tensor, flip: bool) -> tf.Tensor:
    """Random resized crops (Szegedy et al. 2015, with a milder area) and mirror images, as `crop_and_resize` has them.

    It mirrors a box whose sides are exchanged, so one op crops, resizes, flips and casts.
    """
    draws = tf.random.stateless_uniform([5, count], seed)
    area = _between(draws[0], _SMALLEST_AREA, 1.0)
    aspect = tf.exp(_between(draws[1], *(tf.math.log(ratio) for ratio in _ASPECT_RATIOS)))
    height = tf.minimum(tf.sqrt(area / aspect), 1.0)
    width = tf.minimum(tf.sqrt(area * aspect), 1.0)
    top = draws[2] * (1.0 - height)
    left = draws[3] * (1.0 - width)
    mirrored = (draws[4] < 0.5) if flip else tf.zeros([count], tf.bool)
    start = tf.where(mirrored, left + width, left)
    end = tf.where(mirrored, left, left + width)
    return tf.stack([top, start, top + height, end], axis=1)


def _resampled(pixels: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    views = tf.image.crop_and_resize(pixels, boxes, tf.range(tf.shape(pixels)[0]), tf.shape(pixels)[1:3])
    return tf.ensure_shape(views, [None, *pixels.shape[1:]])


def _nearest(masks: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """The nearest value at the places where `_resampled` takes pixels from; masks of any integer type."""
    moved = tf.image.crop_and_resize(
        tf.cast(masks, tf.float32)[..., None],
        boxes,
        tf.range(tf.shape(masks)[0]),
        tf.shape(masks)[1:3],
        method="nearest",
        extrapolation_value=IGNORED,
    )
    return tf.ensure_shape(tf.cast(moved[..., 0], masks.dtype), [None, *masks.shape[1:]])


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


def _moved(targets: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """Boxes of objects where `_resampled` takes their pixels to; the class of those that are nearly gone is -1."""
    top, start, bottom, end = (boxes[:, None, side] for side in range(4))
    height, width = bottom - top, end - start  # of a mirror image the width is negative
    rows = [tf.clip_by_value((targets[..., side] - top) / height, 0.0, 1.0) for side in (1, 3)]
    columns = [tf.clip_by_value((targets[..., side] - start) / width, 0.0, 1.0) for side in (2, 4)]
    left, right = tf.minimum(*columns), tf.maximum(*columns)
    whole = (targets[..., 3] - targets[..., 1]) * (targets[..., 4] - targets[..., 2]) / tf.abs(height * width)
    kept = (rows[1] - rows[0]) * (right - left) >= _LEAST_KEPT * whole
    there = kept & (targets[..., 0] >= 0.0)
    return tf.stack([tf.where(there, targets[..., 0], -1.0), rows[0], left, rows[1], right], axis=-1)
