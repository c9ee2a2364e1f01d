"""Images of two places as one source: an earlier run's beside new ones."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from tfkit.artifacts import ImageSpec
from tfkit.data.sources import ImageSource

if TYPE_CHECKING:
    import tensorflow as tf


class JoinedSource(ImageSource):
    """The images of one source, and behind them those of another.

    Args:
        first: The one.
        count: How many positions it has.
        second: The other; its position 0 becomes `count`.

    Raises:
        ValueError: When one gives grey images and the other RGB.

    Example:
        >>> grey = ArraySource(np.zeros((2, 8, 8), np.uint8), channels=1)
        >>> JoinedSource(grey, 2, grey).fitted_pixels(3, ImageSpec(8, 8, 1)).shape
        (8, 8, 1)
    """

    def __init__(self, first: ImageSource, count: int, second: ImageSource) -> None:
        if first.channels != second.channels:
            raise ValueError(f"images of {first.channels} channels cannot stand beside some of {second.channels}")
        self.channels = first.channels
        self.is_encoded = first.is_encoded or second.is_encoded
        self._first, self._count, self._second = first, count, second

    def read_pixels(self, index: "tf.Tensor") -> "tf.Tensor":
        import tensorflow as tf

        return tf.cond(
            index < self._count,
            lambda: self._first.read_pixels(index),
            lambda: self._second.read_pixels(index - self._count),
        )

    def fitted_pixels(self, index: int, image: ImageSpec) -> np.ndarray:
        source, place = self._of(index)
        return source.fitted_pixels(place, image)

    def content(self, index: int) -> bytes:
        source, place = self._of(index)
        return source.content(place)

    def file(self, index: int) -> str | None:
        source, place = self._of(index)
        return source.file(place)

    def encoded(self, indices: np.ndarray) -> Iterator[bytes]:
        for index in indices:
            source, place = self._of(int(index))
            yield from source.encoded(np.array([place]))

    def _of(self, index: int) -> tuple[ImageSource, int]:
        return (self._first, index) if index < self._count else (self._second, index - self._count)
