"""A detector: its shape, its boxes, what it refuses, and an int8 file that answers as it does."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tfkit.artifacts import ImageSpec
from tfkit.artifacts.box_grid import geometry, levels
from tfkit.compression import quantization_coverage
from tfkit.errors import ModelError
from tfkit.models import build_backbone, build_detector, gives_boxes, logits_model


def detector(side: int = 64, classes: int = 2) -> keras.Model:
    return build_detector(build_backbone("resnet8", image=ImageSpec(side, side)), classes=classes, channels=16)


def test_each_place_has_scores_and_a_box_around_it() -> None:
    model = detector()
    answers = model.predict(np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.float32), verbose=0)
    assert answers.shape == (2, 84, 6) and gives_boxes(model) and logits_model(model) is model
    assert (answers[..., :2] < 0.2).all(), "at the first step most places see nothing"
    lowest, span = geometry(64)
    assert (answers[..., -4:] >= lowest - 1e-6).all() and (answers[..., -4:] <= lowest + span + 1e-6).all()
    centres, of = levels(64)
    away = np.array([[2 * level.stride / 64] for level in of])
    assert (np.abs(answers[..., -4:-2] - centres) <= away + 1e-6).all(), "a box's middle lies near its place"


def test_all_of_it_has_a_place_in_an_integer_file() -> None:
    rows = quantization_coverage(detector())
    assert rows and not [row.name for row in rows if row.precision == "float32"]


@pytest.mark.parametrize(("height", "width"), [(64, 96), (80, 80)])
def test_images_that_fit_no_map_are_refused(height: int, width: int) -> None:
    with pytest.raises(ModelError, match="square images whose side is a multiple of 32"):
        build_detector(build_backbone("resnet8", image=ImageSpec(height, width)), classes=2)


def test_it_is_loaded_as_it_was_saved(tmp_path: Path) -> None:
    model = detector()
    model.save(tmp_path / "model.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3)).astype(np.float32)
    again = keras.models.load_model(tmp_path / "model.keras")
    assert np.array_equal(again.predict(pixels, verbose=0), model.predict(pixels, verbose=0))
