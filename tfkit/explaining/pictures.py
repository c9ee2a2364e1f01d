"""Where in a picture a classifier looked: heat maps from a model's answers alone or its gradients, and a test of them.

All heat maps are float32 (height, width): above zero what spoke for the class, below zero what spoke against it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfkit.errors import ModelError
from tfkit.explaining.text_explainer import integrate_gradients
from tfkit.models import logits_model
from tfkit.models.classifier import POOLING

# uint8 (n, height, width, channels) -> scores, float32 (n, k): any model, exported or not.
Scores = Callable[[NDArray[np.uint8]], NDArray[np.floating]]

_BATCH = 32
_TILES = 8  # of a side
_BLUR = 6  # parts of a side that a blurred picture still tells apart
_RANDOM = 5  # orders that a heat map is compared with


def occlusion(
    scores: Scores, pixels: NDArray[np.uint8], class_index: int, *, tiles: int = _TILES
) -> NDArray[np.float32]:
    """Cover one part of a picture after the other, and see what the score loses: for any model.

    A part is covered by the same picture, blurred: grey would be a thing of its own. Parts overlap by half. Source:
    Zeiler and Fergus 2014, Visualizing and Understanding Convolutional Networks (arXiv:1311.2901), section 4.2.

    Args:
        scores: The model.
        pixels: uint8 (height, width, channels).
        class_index: The class whose score is looked at.
        tiles: Parts of a side, 2 or more.

    Example:
        >>> bright = lambda batch: batch[:, :4, :4].mean((1, 2, 3))[:, None] / 255
        >>> pixels = np.zeros((8, 8, 1), np.uint8)
        >>> pixels[:4, :4] = 255
        >>> heat = occlusion(bright, pixels, 0, tiles=4)
        >>> bool(heat[:4, :4].mean() > heat[4:, 4:].mean())
        True
    """
    blurred, whole = blur(pixels), float(scores(pixels[None])[0, class_index])
    places = list(_overlapping(pixels.shape[:2], tiles))
    heat, covered = np.zeros(pixels.shape[:2]), np.zeros(pixels.shape[:2])
    for start in range(0, len(places), _BATCH):
        batch = np.repeat(pixels[None], len(places[start : start + _BATCH]), axis=0)
        for picture, place in zip(batch, places[start:], strict=False):
            picture[place] = blurred[place]
        for place, score in zip(places[start:], scores(batch)[:, class_index], strict=False):
            heat[place] += whole - float(score)
            covered[place] += 1
    return np.asarray(heat / covered, np.float32)


def grad_cam(model: keras.Model, pixels: NDArray[np.uint8], class_index: int) -> NDArray[np.float32]:
    """What the last feature maps say for a class, each weighed by its mean gradient.

    Source: Selvaraju et al. 2017, Grad-CAM (arXiv:1610.02391). What speaks against the class is kept, below zero.

    Args:
        model: A Keras classifier of `build_classifier`, plain or quantisation-aware, on TensorFlow.
        pixels: uint8 (height, width, channels).
        class_index: The class.

    Raises:
        ModelError: When it has no feature maps that lie like the picture.

    Example:
        >>> grad_cam(model, pixels[0], 1).shape == pixels[0].shape[:2]
        True
    """
    maps = next((layer.input for layer in model.layers if layer.name == POOLING), None)
    if maps is None or len(maps.shape) != 4:
        raise ModelError(
            f"model '{model.name}' has no feature maps in front of its head", hint="explain it by occlusion instead"
        )
    parts = keras.Model(model.inputs, [maps, logits_model(model).outputs[0]])
    with tf.GradientTape() as tape:
        found, logits = parts(tf.constant(pixels[None], tf.float32), training=False)
        # A softmax knows differences alone: what raises all logits alike says nothing.
        slope = tape.gradient(logits[:, class_index] - tf.reduce_mean(logits, axis=1), found)
    weights = tf.reduce_mean(slope, axis=(1, 2), keepdims=True)
    heat = tf.reduce_sum(weights * found, axis=-1, keepdims=True)
    return np.asarray(tf.image.resize(heat, pixels.shape[:2])[0, ..., 0], np.float32)


def integrated_gradients(model: keras.Model, pixels: NDArray[np.uint8], class_index: int) -> NDArray[np.float32]:
    """What each pixel added to a class's logit on the way from the blurred picture to the picture.

    Source: Sundararajan, Taly and Yan 2017 (arXiv:1703.01365).

    Args:
        model: As for `grad_cam`; so are the others.
        pixels: uint8 (height, width, channels).
        class_index: The class.

    Example:
        >>> integrated_gradients(model, pixels[0], 1).shape == pixels[0].shape[:2]
        True
    """
    logits = logits_model(model)

    def slope(batch: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        answers, slopes = [], []
        for start in range(0, len(batch), _BATCH):
            given = tf.constant(batch[start : start + _BATCH], tf.float32)
            with tf.GradientTape() as tape:
                tape.watch(given)
                answer = logits(given, training=False)[:, class_index]
            answers.append(answer.numpy())
            slopes.append(tape.gradient(answer, given).numpy())
        return np.concatenate(answers).astype(np.float64), np.concatenate(slopes).astype(np.float64)

    way = integrate_gradients(slope, pixels.astype(np.float32), blur(pixels).astype(np.float32))
    return np.asarray(way.contributions.sum(axis=-1), np.float32)


@dataclass(frozen=True)
class Faithfulness:
    """Whether a heat map shows what a model looked at, told by the model itself.

    Attributes:
        deletion: Mean score of the class while its hottest places are blurred first: low is good.
        insertion: Mean score while these come first into the blurred picture: high is good.
        random_deletion: The same in random orders of equal parts, lowest to highest.
        random_insertion: Likewise.
        deletion_curve: Scores on the way, from the picture to its blur.
        insertion_curve: From the blur to the picture.
    """

    deletion: float
    insertion: float
    random_deletion: tuple[float, float]
    random_insertion: tuple[float, float]
    deletion_curve: tuple[float, ...]
    insertion_curve: tuple[float, ...]

    @property
    def means_something(self) -> bool:
        """Whether the heat map beats every random order, both ways."""
        return self.deletion < self.random_deletion[0] and self.insertion > self.random_insertion[1]


def faithfulness(
    scores: Scores,
    pixels: NDArray[np.uint8],
    heat: NDArray[np.float32],
    class_index: int,
    *,
    steps: int = 16,
    seed: int = 0,
) -> Faithfulness:
    """Blur a picture's hottest places first, and bring them back first: does the score follow?

    Source: deletion and insertion of Petsiuk, Das and Saenko 2018, RISE (arXiv:1806.07421), with a blur in both.
    Random orders are of square parts, so that they destroy no more than a heat map does.

    Args:
        scores: The model.
        pixels: uint8 (height, width, channels).
        heat: float32 (height, width).
        class_index: The class.
        steps: Parts of the way.
        seed: Of the random orders.

    Example:
        >>> bright = lambda batch: batch[:, :4, :4].mean((1, 2, 3))[:, None] / 255
        >>> pixels = np.zeros((8, 8, 1), np.uint8)
        >>> pixels[:4, :4] = 255
        >>> faithfulness(bright, pixels, pixels[..., 0].astype(np.float32), 0).means_something
        True
    """
    random = np.random.default_rng(seed)
    orders = [np.argsort(-heat, axis=None, kind="stable")]
    orders += [_random_order(pixels.shape[:2], random) for _ in range(_RANDOM)]
    curves = [_curves(scores, pixels, order, class_index, steps) for order in orders]
    means = np.array([[float(np.mean(curve)) for curve in pair] for pair in curves])
    others = means[1:]
    return Faithfulness(
        deletion=float(means[0, 0]),
        insertion=float(means[0, 1]),
        random_deletion=(float(others[:, 0].min()), float(others[:, 0].max())),
        random_insertion=(float(others[:, 1].min()), float(others[:, 1].max())),
        deletion_curve=curves[0][0],
        insertion_curve=curves[0][1],
    )


def blur(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same picture so blurred that its colours stay and its things do not.

    Args:
        pixels: uint8 (height, width, channels).
    """
    from scipy.ndimage import gaussian_filter

    spread = max(pixels.shape[:2]) / _BLUR
    return np.asarray(gaussian_filter(pixels.astype(np.float32), (spread, spread, 0)).round(), np.uint8)


def _overlapping(shape: tuple[int, ...], tiles: int) -> Iterator[tuple[slice, slice]]:
    """Parts of a picture that overlap by half and cover all of it."""
    sides = [max(2, -(-size // tiles)) for size in shape]
    starts = [[*range(0, size - side, max(1, side // 2)), size - side] for size, side in zip(shape, sides, strict=True)]
    for top in starts[0]:
        for left in starts[1]:
            yield slice(top, top + sides[0]), slice(left, left + sides[1])


def _random_order(shape: tuple[int, ...], random: np.random.Generator) -> NDArray[np.intp]:
    """All pixels, square part by square part."""
    sides = [max(1, -(-size // _TILES)) for size in shape]
    rows, columns = (np.arange(size) // side for size, side in zip(shape, sides, strict=True))
    part = rows[:, None] * (columns[-1] + 1) + columns
    return np.argsort(random.permutation(int(part.max()) + 1)[part], axis=None, kind="stable")


def _curves(
    scores: Scores, pixels: NDArray[np.uint8], order: NDArray[np.intp], class_index: int, steps: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Scores while pixels are blurred in an order, and while they come back in it."""
    height, width, channels = pixels.shape
    flat, blurred = pixels.reshape(-1, channels), blur(pixels).reshape(-1, channels)
    counts = np.linspace(0, len(flat), steps + 1).round().astype(int)
    found = []
    for first, second in ((flat, blurred), (blurred, flat)):
        batch = np.repeat(first[None], len(counts), axis=0)
        for picture, count in zip(batch, counts, strict=True):
            picture[order[:count]] = second[order[:count]]
        found.append(scores(batch.reshape(-1, height, width, channels))[:, class_index])
    deletion, insertion = (tuple(map(float, curve)) for curve in found)
    return deletion, insertion
