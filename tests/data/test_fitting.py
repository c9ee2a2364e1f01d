import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfkit.artifacts import ImageSpec
from tfkit.data import fit_image


def _fitted(pixels: np.ndarray, image: ImageSpec) -> np.ndarray:
    return fit_image(tf.constant(pixels), image).numpy()


def test_an_image_of_the_right_size_is_returned_as_it_is(photo):
    pixels = np.asarray(photo(1))
    for resize in ("crop", "pad", "stretch"):
        np.testing.assert_array_equal(_fitted(pixels, ImageSpec(24, 32, 3, resize)), pixels)


def test_crop_keeps_the_middle_of_the_longer_side(photo):
    pixels = np.asarray(photo(2))
    np.testing.assert_array_equal(_fitted(pixels, ImageSpec(24, 24, 3, "crop")), pixels[:, 4:28])


def test_pad_keeps_everything_between_black_borders(photo):
    pixels = np.maximum(np.asarray(photo(3)), 1)
    fitted = _fitted(pixels, ImageSpec(32, 32, 3, "pad"))
    np.testing.assert_array_equal(fitted[4:28], pixels)
    assert not fitted[:4].any() and not fitted[28:].any()


def test_stretch_is_antialiased_as_pillow_does(photo):
    picture = photo(4, height=90, width=120)
    expected = np.asarray(picture.resize((17, 23), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(_fitted(np.asarray(picture), ImageSpec(23, 17, 3, "stretch")) - expected).max() <= 1


@pytest.mark.parametrize("resize", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (7, 5), (2, 3000)])
def test_any_size_becomes_the_size_wanted(resize, size):
    pixels = np.full((*size, 1), 200, np.uint8)
    fitted = _fitted(pixels, ImageSpec(16, 24, 1, resize))
    assert fitted.shape == (16, 24, 1)
    assert fitted.max() == 200
