"""Fitted pixels, decoded once and kept."""

import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import ImageSpec


class KeptPixels:
    """The fitted pixels of one source's images; each is kept when it is decoded first.

    Args:
        image: The size they are fitted to.
        indices: int64 (n,), which images of the source have a place.
        array: uint8 (n, height, width, channels), where they go.

    Example:
        >>> kept = KeptPixels(ImageSpec(1, 1), np.array([7]), np.empty((1, 1, 1, 3), np.uint8))
        >>> kept.keep(np.array([7]), np.full((1, 1, 1, 3), 9, np.uint8))
        >>> kept.have(np.array([7])).all(), kept.pixels(np.array([7])).max()
        (np.True_, np.uint8(9))
    """

    def __init__(self, image: ImageSpec, indices: np.ndarray, array: NDArray[np.uint8]) -> None:
        self.image = image
        self._array, self._is_whole = array, np.zeros(len(array), bool)
        self._row = np.full(int(indices.max(initial=-1)) + 1, -1, np.int64)
        self._row[indices] = np.arange(len(indices))

    def has_place(self, image: ImageSpec, indices: np.ndarray) -> bool:
        """Whether some images, int64 (m,), fitted to a size, are or will be kept here."""
        known = indices.max(initial=-1) < len(self._row)
        return self.image == image and bool(known) and bool((self._row[indices] >= 0).all())

    def have(self, indices: np.ndarray) -> NDArray[np.bool_]:
        """Which of some images are kept: bool (m,)."""
        whole: NDArray[np.bool_] = self._is_whole[self._row[indices]]
        return whole

    def pixels(self, indices: np.ndarray) -> NDArray[np.uint8]:
        """A copy of the pixels of images that are kept: uint8 (m, height, width, channels)."""
        taken: NDArray[np.uint8] = np.take(self._array, self._row[indices], axis=0)
        return taken

    def keep(self, indices: np.ndarray, pixels: np.ndarray) -> None:
        """Keep some images' pixels, uint8 (m, height, width, channels)."""
        rows = self._row[indices]
        self._array[rows] = pixels
        self._is_whole[rows] = True  # last: another thread may ask meanwhile

    def passing(self, index: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        """Keep one image on its way through a pipeline, and give it back."""
        self.keep(index[None], pixels[None])
        return pixels
