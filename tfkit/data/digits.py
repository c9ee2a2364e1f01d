"""The handwriting digits that come with scikit-learn: real images without any download."""

import numpy as np
from sklearn.datasets import load_digits

from tfkit.data.image_files import PartName, Reading
from tfkit.data.sources import ArraySource


def read_digits(*, channels: int) -> dict[PartName, Reading]:
    """Read the 1,797 digits of the UCI optical recognition test set, 8 x 8 pixels of 17 grey levels.

    Args:
        channels: 1 for grey, 3 for RGB.

    Returns:
        One part, `all`, with pixels stretched from 0..16 to 0..255.
    """
    digits = load_digits()
    pixels = np.round(digits.images * (255.0 / 16.0)).astype(np.uint8)
    return {
        "all": Reading(
            source=ArraySource(pixels, channels=channels),
            names=tuple(f"digits[{index}]" for index in range(len(pixels))),
            labels=tuple(str(target) for target in digits.target),
        )
    }
