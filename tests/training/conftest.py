from collections.abc import Callable

import keras
import pytest

from tfkit.artifacts import ImageSpec
from tfkit.data import DatasetSplits, load_image_splits
from tfkit.models import build_backbone, build_classifier

IMAGE = ImageSpec(16, 16, 1, "stretch")


@pytest.fixture(scope="session")
def image() -> ImageSpec:
    return IMAGE


@pytest.fixture(scope="session")
def digits() -> DatasetSplits:
    """The digits 0, 1 and 2, forty of each to learn from."""
    return load_image_splits(source="digits", channels=1, classes=["0", "1", "2"], labels_per_class=40)


def new_model() -> keras.Model:
    """A ResNet-8 for three digits, the same weights and random state every time."""
    keras.utils.set_random_seed(7)
    return build_classifier(build_backbone("resnet8", image=IMAGE), classes=3, dropout=0.1)


@pytest.fixture
def model() -> keras.Model:
    return new_model()


@pytest.fixture
def another_model() -> Callable[[], keras.Model]:
    return new_model
