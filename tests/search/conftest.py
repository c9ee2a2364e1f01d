"""Three digits and a ResNet-8 that tells them apart: trained in seconds, searched in seconds."""

import keras
import pytest

from tfkit.artifacts import ImageSpec
from tfkit.data import DatasetSplits, load_image_splits
from tfkit.models import build_backbone, build_classifier
from tfkit.training import Optimization, train_on

IMAGE = ImageSpec(16, 16, 1, "stretch")


@pytest.fixture(scope="session")
def image() -> ImageSpec:
    return IMAGE


@pytest.fixture(scope="session")
def digits() -> DatasetSplits:
    return load_image_splits(source="digits", channels=1, classes=["0", "1", "2"], labels_per_class=60)


@pytest.fixture(scope="session")
def model(digits: DatasetSplits) -> keras.Model:
    keras.utils.set_random_seed(7)
    model = build_classifier(build_backbone("resnet8", image=IMAGE), classes=3, dropout=0.1)
    steps = Optimization(epochs=3, learning_rate=3e-3)
    train_on(model, digits.train, digits.validation, IMAGE, optimization=steps, batch_size=16, flip=False)
    return model
