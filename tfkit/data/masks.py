"""Masks: which class each pixel of an image is of, read from files that say it in numbers or colours."""

import io
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tfkit.cores import usable_cores
from tfkit.data.host_images import fit_nearest, is_png, png_fault
from tfkit.errors import DataError
from tfkit.files import read_regular_file

if TYPE_CHECKING:
    from tfkit.artifacts import ImageSpec

IGNORED = 255  # of a fitted mask: pixels that no class is asked of
MOST_CLASSES = 255

Colour = tuple[int, int, int]
MaskValue = int | Colour

_FORMATS = ("PNG", "BMP", "GIF", "TIFF")  # lose nothing: a JPEG's values are no classes any more
_SHOWN = 5


class MaskSource(Protocol):
    """Masks by position: those of an `ImageSource`'s images."""

    def values(self, index: int) -> NDArray[np.generic]:
        """One mask as it is stored: whole numbers (height, width), or colours uint8 (height, width, 3).

        Raises:
            DataError: Why it cannot be used, as part of a sentence.
        """


@dataclass(frozen=True, eq=False)
class MaskFiles(MaskSource):
    """Mask files, read when they are asked for.

    Attributes:
        files: Their paths.
        coloured: Whether colours say the classes; else numbers, of a palette's picture the places in it.
    """

    files: Sequence[str]
    coloured: bool

    def values(self, index: int) -> NDArray[np.generic]:
        """One mask; see `MaskSource.values`."""
        name = Path(self.files[index]).name
        try:
            content = read_regular_file(Path(self.files[index]))
        except OSError as fault:
            raise DataError(f"its mask {name} cannot be read ({fault.strerror})") from None
        if reason := png_fault(content) if is_png(content) else None:
            raise DataError(f"its mask {name} cannot be used: {reason}")
        try:
            with Image.open(io.BytesIO(content), formats=_FORMATS) as picture:
                return _as_said(picture, name, coloured=self.coloured)
        except DataError:
            raise
        except Exception:  # Pillow raises a dozen kinds for what is no picture
            lossless = ", ".join(_FORMATS)
            raise DataError(f"its mask {name} is none of {lossless}, which keep each value as it is") from None


def _as_said(picture: Image.Image, name: str, *, coloured: bool) -> NDArray[np.generic]:
    if coloured:
        return np.asarray(picture.convert("RGB"))
    if picture.mode == "1":
        return np.asarray(picture).astype(np.uint8)
    if picture.mode in ("L", "P", "I", "I;16"):
        return np.asarray(picture)
    values = np.asarray(picture.convert("RGB"))
    if (values[..., :1] != values).any():
        raise DataError(f"its mask {name} is coloured, and task.classes names numbers: say [red, green, blue] there")
    return values[..., 0]


@dataclass(frozen=True)
class DrawnMasks(MaskSource):
    """Masks in an array.

    Attributes:
        array: uint8 (n, height, width).
    """

    array: NDArray[np.uint8] = field(repr=False)

    def values(self, index: int) -> NDArray[np.generic]:
        """One mask; see `MaskSource.values`."""
        return np.asarray(self.array[index])


@dataclass(frozen=True)
class MaskCoding:
    """What the values of masks mean, and the size that a model answers in.

    Attributes:
        image: The images that the model takes: masks are fitted as they are, each pixel the nearest one's value.
        values: The number or colour of each class, by its name, in the order of the model's scores; empty for data
            that say it themselves.
        ignored: Numbers or colours of pixels that no class is asked of: they are neither learned nor judged.

    Example:
        >>> from tfkit.artifacts import ImageSpec
        >>> MaskCoding(ImageSpec(4, 4), {"sky": 0, "road": 7}).names
        ('sky', 'road')
    """

    image: "ImageSpec"
    values: Mapping[str, MaskValue] = field(default_factory=dict)
    ignored: tuple[MaskValue, ...] = (IGNORED,)

    @property
    def names(self) -> tuple[str, ...]:
        """The classes, in the order of the model's scores."""
        return tuple(self.values)

    @property
    def coloured(self) -> bool:
        """Whether colours say the classes."""
        return any(not isinstance(value, int) for value in self.values.values())

    def fitted(self, values: NDArray[np.generic]) -> NDArray[np.uint8]:
        """A stored mask as a model's answer is compared with it.

        Args:
            values: Whole numbers (height, width), or colours uint8 (height, width, 3).

        Returns:
            uint8 (`image.height`, `image.width`): positions of classes, and 255 where nothing is asked.

        Raises:
            DataError: When it holds values that are no class and not ignored, as part of a sentence.
        """
        numbers = values.astype(np.int64)
        if numbers.ndim == 3:
            numbers = numbers[..., 0] << 16 | numbers[..., 1] << 8 | numbers[..., 2]
        classes = np.full(numbers.shape, -1, np.int16)
        for place, value in enumerate(self.values.values()):
            classes[numbers == _number(value)] = place
        for value in self.ignored:
            classes[(numbers == _number(value)) & (classes < 0)] = IGNORED
        if (classes < 0).any():
            odd, counts = np.unique(numbers[classes < 0], return_counts=True)
            told = ", ".join(_told(int(value), self.coloured) for value in odd[:_SHOWN])
            more = ", …" if len(odd) > _SHOWN else ""
            raise DataError(
                f"its mask holds {told}{more} on {int(counts.sum())} pixels, which task.classes does not name "
                "and task.ignored does not leave out"
            )
        return fit_nearest(classes.astype(np.uint8), self.image, filled_with=IGNORED)


def _number(value: MaskValue) -> int:
    return value if isinstance(value, int) else value[0] << 16 | value[1] << 8 | value[2]


def _told(number: int, coloured: bool) -> str:
    return str([number >> 16, number >> 8 & 255, number & 255]) if coloured else str(number)


def fitted_masks(
    source: MaskSource, positions: NDArray[np.int64], coding: MaskCoding, sizes: Sequence[tuple[int, int]]
) -> tuple[NDArray[np.uint8], list[str | None]]:
    """The masks of some images as a model's answers are compared with them.

    Args:
        source: Where they are.
        positions: int (n,), which of them.
        coding: What their values mean.
        sizes: Height and width of each image, upright; (0, 0) where it is not known.

    Returns:
        uint8 (n, height, width), and why each cannot be used, as part of a sentence; None for a good one.
    """
    masks = np.full((len(positions), coding.image.height, coding.image.width), IGNORED, np.uint8)
    reasons: list[str | None] = [None] * len(positions)

    def read(place: int) -> None:
        try:
            values = source.values(int(positions[place]))
            if any(sizes[place]) and values.shape[:2] != sizes[place]:
                height, width = sizes[place]
                raise DataError(
                    f"its mask is of {values.shape[1]} x {values.shape[0]} pixels, the upright image of "
                    f"{width} x {height}"
                )
            masks[place] = coding.fitted(values)
            if (masks[place] == IGNORED).all():
                raise DataError("its mask leaves out every pixel")
        except DataError as fault:
            reasons[place] = str(fault)

    with ThreadPoolExecutor(usable_cores()) as pool:
        for _ in pool.map(read, range(len(positions))):
            pass
    return masks, reasons


def classes_present(masks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Which classes occur in each of n fitted masks: uint8 (n, k), k one more than the highest that occurs.

    Example:
        >>> classes_present(np.array([[[0, 2]], [[1, 255]]], np.uint8)).tolist()
        [[1, 0, 1], [0, 1, 0]]
    """
    held = [np.bincount(mask.ravel(), minlength=IGNORED + 1)[:IGNORED] > 0 for mask in masks]
    present = np.array(held, np.uint8).reshape(len(masks), IGNORED)
    occurring = np.flatnonzero(present.any(axis=0))
    return present[:, : int(occurring[-1]) + 1 if len(occurring) else 1]
