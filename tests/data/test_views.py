"""A few images as training sees them, for reports."""

import numpy as np
import pytest

from tfkit.artifacts import ImageSpec
from tfkit.data import load_image_splits, some_views, training_batches


@pytest.mark.parametrize("augmentation", ["none", "light", "rand_augment"])
@pytest.mark.parametrize("mixing", [None, "mixup"])
def test_views_are_images_of_the_split_as_training_makes_them(augmentation, mixing) -> None:
    image = ImageSpec(height=16, width=16, channels=1, resize="stretch")
    train = load_image_splits(source="digits", channels=1, labels_per_class=3).train
    options = {"augmentation": augmentation, "mixing": mixing, "flip": False, "seed": 3}
    pixels, targets = some_views(train, image, count=20, **options)
    assert pixels.shape == (20, 16, 16, 1) and targets.shape == (20, 10)
    assert pixels.min() >= 0 and pixels.max() <= 255
    again, _ = some_views(train, image, count=20, **options)
    np.testing.assert_array_equal(pixels, again)
    if augmentation == "none" and mixing is None:
        plain, labels = next(iter(training_batches(train, image, batch_size=30, **options)))
        known = {picture.tobytes(): label for picture, label in zip(plain.numpy(), labels.numpy(), strict=True)}
        for picture, target in zip(pixels, targets, strict=True):
            np.testing.assert_array_equal(known[picture.tobytes()], target)
