import numpy as np
import pytest
import tensorflow as tf

from tfkit.data import augment_batch, mix_batch
from tfkit.data import rand_augment as rand_augment_module

_SEED = tf.constant([3, 4], tf.int64)


@pytest.fixture
def batch(photo) -> tf.Tensor:
    return tf.stack([np.asarray(photo(seed, height=32)) for seed in range(8)])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("policy", ["none", "light", "rand_augment"])
def test_views_keep_shape_and_range(batch, policy, channels):
    views = augment_batch({"pixels": batch[..., :channels]}, policy=policy, seed=_SEED)["pixels"]
    assert views.shape == (8, 32, 32, channels)
    assert views.dtype == tf.float32
    assert float(tf.reduce_min(views)) >= 0.0 and float(tf.reduce_max(views)) <= 255.0


@pytest.mark.parametrize("policy", ["light", "rand_augment"])
def test_views_are_a_function_of_the_seed(batch, policy):
    first = augment_batch({"pixels": batch}, policy=policy, seed=_SEED)["pixels"]
    again = augment_batch({"pixels": batch}, policy=policy, seed=_SEED)["pixels"]
    other = augment_batch({"pixels": batch}, policy=policy, seed=_SEED + 1)["pixels"]
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_no_augmentation_changes_nothing(batch):
    views = augment_batch({"pixels": batch}, policy="none", seed=_SEED)["pixels"]
    np.testing.assert_array_equal(views, batch)


@pytest.mark.parametrize("policy", ["none", "light", "rand_augment"])
@pytest.mark.parametrize("mixing", [None, "mixup"])
def test_what_belongs_to_the_pixels_goes_along(batch, policy, mixing):
    whole = {"pixels": batch, "targets": tf.eye(8), "weight": tf.range(8)}
    views = mix_batch(augment_batch(whole, policy=policy, seed=_SEED), mixing=mixing, seed=_SEED)
    assert set(views) == set(whole) and views["targets"].shape == (8, 8)
    np.testing.assert_array_equal(views["weight"], np.arange(8))


def test_images_are_mirrored_half_the_time_unless_forbidden():
    ramp = tf.cast(tf.tile(tf.range(0, 256, 8)[None, None, :, None], [400, 32, 1, 1]), tf.uint8)

    def mirrored(flip: bool) -> np.ndarray:
        views = augment_batch({"pixels": ramp}, policy="light", seed=_SEED, flip=flip)["pixels"].numpy()
        return views[:, :, :4].mean(axis=(1, 2, 3)) > views[:, :, -4:].mean(axis=(1, 2, 3))

    assert 150 < mirrored(True).sum() < 250
    assert mirrored(False).sum() == 0


def test_images_of_a_batch_get_different_views(batch):
    same = tf.tile(batch[:1], [8, 1, 1, 1])
    views = augment_batch({"pixels": same}, policy="light", seed=_SEED)["pixels"].numpy()
    assert len({view.tobytes() for view in views}) == 8


@pytest.mark.parametrize("number", range(len(rand_augment_module._OPERATIONS)))
def test_every_operation_of_rand_augment_does_something_and_stays_in_range(photo, number):
    image = tf.constant(np.asarray(photo(1, height=32)) * 0.6 + 40.0, tf.float32)
    view = rand_augment_module._apply(image, tf.constant(number), tf.constant(0.8))
    assert view.shape == image.shape
    assert float(tf.reduce_min(view)) >= 0.0 and float(tf.reduce_max(view)) <= 255.0
    unchanged = np.array_equal(view, image)
    assert unchanged == (number == 0)


def test_equalize_follows_pillow(photo):
    from PIL import ImageOps

    picture = photo(2, height=32)
    expected = np.asarray(ImageOps.equalize(picture)).astype(int)
    got = rand_augment_module._equalize(tf.constant(np.asarray(picture), tf.float32), tf.constant(0.0))
    assert np.abs(got.numpy() - expected).max() <= 1


@pytest.mark.parametrize("mixing", ["mixup", "cutmix"])
def test_labels_are_shared_as_the_pixels_are(mixing):
    # Image i is filled with the value i and belongs to class i, so the pixels tell how much of each class is in it.
    count = 16
    pixels = tf.tile(tf.range(count, dtype=tf.float32)[:, None, None, None], [1, 20, 20, 1])
    batch = mix_batch({"pixels": pixels, "targets": tf.eye(count)}, mixing=mixing, seed=_SEED)
    mixed, targets = batch["pixels"], batch["targets"]
    np.testing.assert_allclose(tf.reduce_sum(targets, axis=1), np.ones(count), rtol=1e-5)
    expected = tf.linalg.matvec(targets, tf.range(count, dtype=tf.float32))
    np.testing.assert_allclose(tf.reduce_mean(mixed, axis=[1, 2, 3]), expected, atol=1e-3)
    assert (tf.reduce_max(targets, axis=1).numpy() < 0.999).any()


def test_cutmix_pastes_one_rectangle_of_another_image():
    pixels = tf.tile(tf.range(6, dtype=tf.float32)[:, None, None, None], [1, 20, 24, 3])
    mixed = mix_batch({"pixels": pixels, "targets": tf.eye(6)}, mixing="cutmix", seed=_SEED)
    for number, image in enumerate(mixed["pixels"].numpy()[..., 0]):
        rows, columns = np.nonzero(image != number)
        if rows.size:
            pasted = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            assert (pasted == pasted[0, 0]).all() and pasted.size == rows.size


def test_no_mixing_returns_the_batch():
    batch = {"pixels": tf.ones([2, 4, 4, 1]), "targets": tf.eye(2)}
    assert mix_batch(batch, mixing=None, seed=_SEED) == batch


@pytest.mark.parametrize("mixing", ["mixup", "cutmix"])
def test_a_last_batch_of_one_survives_mixing(mixing):
    alone = {"pixels": tf.ones([1, 4, 4, 1]), "targets": tf.constant([[0.0, 1.0]])}
    mixed = mix_batch(alone, mixing=mixing, seed=_SEED)
    np.testing.assert_allclose(mixed["pixels"], np.ones([1, 4, 4, 1]), rtol=1e-6)
    np.testing.assert_allclose(mixed["targets"], [[0.0, 1.0]], rtol=1e-6)
