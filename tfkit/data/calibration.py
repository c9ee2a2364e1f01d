"""Real images for a quantiser to learn ranges from."""

import numpy as np

from tfkit.artifacts import ImageSpec
from tfkit.data.examples import ImageExamples
from tfkit.data.pipeline import pixel_batches
from tfkit.data.splitting import spread_over_classes


def calibration_pixels(examples: ImageExamples, image: ImageSpec, *, count: int = 200, seed: int = 0) -> np.ndarray:
    """Random images, as many from each class as there are.

    Args:
        examples: Where to take them from: the training split, never the one that is judged on.
        image: The model's input.
        count: How many; all of them when there are fewer.
        seed: The same seed gives the same images.

    Returns:
        uint8 (n, height, width, channels), raw 0..255.

    Example:
        >>> splits = load_image_splits(source="digits")
        >>> calibration_pixels(splits.train, ImageSpec(height=32, width=32, channels=1), count=100).shape
        (100, 32, 32, 1)
    """
    chosen = spread_over_classes(examples.labels, count=count, seed=seed)
    return np.concatenate(list(pixel_batches(examples.select(chosen), image, batch_size=64)))
