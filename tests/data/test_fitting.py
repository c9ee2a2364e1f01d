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


def _area_means(count: int, size: int) -> np.ndarray:
    """(count, size): how much of each old pixel lies in each new one."""
    edges = np.linspace(0, size, count + 1)[:, None]
    overlap = np.minimum(edges[1:], np.arange(1, size + 1)) - np.maximum(edges[:-1], np.arange(size))
    return np.clip(overlap, 0, None) * count / size


@pytest.mark.parametrize(("height", "width"), [(90, 120), (24, 29), (23, 17), (200, 18)])
def test_a_larger_image_is_averaged_over_the_area_of_each_new_pixel(photo, height, width):
    pixels = np.asarray(photo(4, height=height, width=width))
    expected = np.einsum("yh,xw,hwc->yxc", _area_means(23, height), _area_means(17, width), pixels)
    np.testing.assert_allclose(_fitted(pixels, ImageSpec(23, 17, 3, "stretch")), expected, atol=0.51)


def test_a_smaller_image_is_enlarged_as_pillow_does(photo):
    picture = photo(5, height=20, width=31)
    expected = np.asarray(picture.resize((45, 50), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(_fitted(np.asarray(picture), ImageSpec(50, 45, 3, "stretch")) - expected).max() <= 1


def test_a_side_that_grows_stays_smooth_while_the_other_shrinks(photo):
    picture = photo(6, height=90, width=9)
    expected = np.asarray(picture.resize((40, 20), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(_fitted(np.asarray(picture), ImageSpec(20, 40, 3, "stretch")) - expected).max() <= 1


def test_a_fine_pattern_fades_to_grey_instead_of_a_false_one():
    stripes = np.broadcast_to(np.arange(300)[None, :, None] % 2 * 255, (300, 300, 3)).astype(np.uint8)
    assert _fitted(stripes, ImageSpec(50, 50)).std() == 0


@pytest.mark.parametrize("resize", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (7, 5), (2, 3000)])
def test_any_size_becomes_the_size_wanted(resize, size):
    pixels = np.full((*size, 1), 200, np.uint8)
    fitted = _fitted(pixels, ImageSpec(16, 24, 1, resize))
    assert fitted.shape == (16, 24, 1)
    assert fitted.max() == 200
