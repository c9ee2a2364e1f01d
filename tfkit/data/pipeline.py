"""Examples to batches: deterministic, parallel, and never more in memory than was allowed.

The order of an epoch and every random choice are functions of (seed, epoch, batch), computed statelessly, so that
the same seed gives the same pixels whatever the threads do. Images that fit the allowance, or that a run keeps
(`kept_pixels`), are decoded once into one uint8 array; then an epoch is gathers and batched arithmetic. The others are
read again each epoch.
"""

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from tfkit.arguments import takes_text
from tfkit.artifacts import ImageSpec
from tfkit.data.augmentation import AugmentationPolicy, Mixing, augment_batch, mix_batch
from tfkit.data.examples import ImageExamples, host_pixel_batches
from tfkit.data.images import fit_image
from tfkit.data.kept_pixels import KeptPixels
from tfkit.data.shares import Share
from tfkit.data.splitting import spread_over_classes
from tfkit.data.targets import dense_targets, target_kind

_PREFETCHED_BATCHES = 2  # one being trained on, two ready; AUTOTUNE would grow without a bound
_CHUNK = 64  # images a step while an array is filled

ReadPixels = Callable[[tf.Tensor], tf.Tensor]


@takes_text
def training_batches(
    examples: ImageExamples,
    image: ImageSpec,
    *,
    batch_size: int,
    augmentation: AugmentationPolicy = "light",
    flip: bool = True,
    mixing: Mixing | None = None,
    seed: int = 0,
    cache_bytes: int = 1 << 30,
    first_epoch: int = 0,
    first_step: int = 0,
    share: Share | None = None,
) -> tf.data.Dataset:
    """Shuffled, augmented batches; each iteration over the data set is the next epoch.

    Args:
        examples: What to learn from.
        image: The model's input.
        batch_size: Examples a batch; the last, smaller batch is kept.
        augmentation: `none`, `light` or `rand_augment`.
        flip: Whether augmentation may mirror images left to right; False for digits and text.
        mixing: `mixup`, `cutmix` or None.
        seed: The same seed gives the same order and pixels, run after run.
        cache_bytes: When all fitted images take no more than this, they are decoded once, now, and kept.
        first_epoch: The number of the first epoch, to go on with a run that was interrupted.
        first_step: Batches of that epoch that are left out; the data set then does not know how many it has.
        share: What one process of several works on: of images that are not kept it reads no others, and pixels of the
            others are none of theirs. None reads all; so does `mixing`, which blends images of all processes.

    Returns:
        A data set of float32 (batch, height, width, channels) pixels 0..255 and targets float32 (batch, classes):
        one-hot rows, rows of 0 and 1, or numbers; or masks, uint8 (batch, height, width).

    Example:
        >>> batches = training_batches(splits.train, ImageSpec(height=16, width=16, channels=1), batch_size=32)
        >>> model.compile("adam", "categorical_crossentropy")
        >>> history = model.fit(batches, epochs=1, verbose=0)
    """
    read, is_stored = _reader(examples, image, cache_bytes)
    rows = target_rows(examples.labels, len(examples.class_names))

    def finish(
        epoch_seeds: tf.Tensor, steps: tf.Tensor, positions: tf.Tensor, pixels: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        seeds = tf.random.split(tf.random.fold_in(epoch_seeds[0], steps[0]))
        batch = {"pixels": pixels, "targets": rows(positions)}
        views = augment_batch(batch, policy=augmentation, seed=seeds[0], flip=flip)
        mixed = mix_batch(views, mixing=mixing, seed=seeds[1])
        return mixed["pixels"], mixed["targets"]

    order = _epoch_order(len(examples), seed=seed, first_epoch=first_epoch, left_out=first_step * batch_size)
    if is_stored:
        batches = order.batch(batch_size).map(
            lambda seeds, steps, positions: finish(seeds, steps, positions, read(positions)),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
    else:
        read_one = _of_share(read, image, None if mixing else share, len(examples), batch_size)
        read_each = order.map(
            lambda epoch_seed, step, position: (epoch_seed, step, position, read_one(step, position)),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        batches = read_each.batch(batch_size).map(finish, num_parallel_calls=tf.data.AUTOTUNE)
    return finish_batches(batches, None if first_step else len(examples), batch_size)


@takes_text
def some_views(
    examples: ImageExamples,
    image: ImageSpec,
    *,
    count: int = 16,
    augmentation: AugmentationPolicy = "light",
    flip: bool = True,
    mixing: Mixing | None = None,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """A few images as training sees them, drawn and computed without a pipeline, whose graph takes seconds to make.

    Args:
        examples: What is learned from.
        image: The model's input.
        count: How many images, drawn at random.
        augmentation, flip, mixing: As for `training_batches`.
        seed: The same seed gives the same images and views.

    Returns:
        float32 (count, height, width, channels) pixels 0..255 and targets float32 (count, classes); fewer where there
        are fewer examples.
    """
    chosen = examples.select(np.random.default_rng(seed).permutation(len(examples))[:count])
    pixels = next(host_pixel_batches(chosen, image, batch_size=count))
    seeds = tf.random.split(tf.constant([seed, 0], tf.int64))
    targets = dense_targets(chosen.labels, len(chosen.class_names))
    batch = {"pixels": tf.constant(pixels), "targets": tf.constant(targets)}
    views = augment_batch(batch, policy=augmentation, seed=seeds[0], flip=flip)
    mixed = mix_batch(views, mixing=mixing, seed=seeds[1])
    return mixed["pixels"].numpy(), mixed["targets"].numpy()


def evaluation_batches(
    examples: ImageExamples, image: ImageSpec, *, batch_size: int, cache_bytes: int = 0, share: Share | None = None
) -> tf.data.Dataset:
    """Batches in the order of the examples, unchanged.

    Args:
        examples: What to evaluate.
        image: The model's input.
        batch_size: Examples a batch; the last, smaller batch is kept.
        cache_bytes: As for `training_batches`; 0 reads the images again at each iteration.
        share: As for `training_batches`.

    Returns:
        A data set of float32 (batch, height, width, channels) pixels 0..255 and targets float32 (batch, classes):
        one-hot rows, rows of 0 and 1, or numbers; or masks, uint8 (batch, height, width).
    """
    read, is_stored = _reader(examples, image, cache_bytes)
    rows = target_rows(examples.labels, len(examples.class_names))
    positions = tf.data.Dataset.range(len(examples))
    if is_stored:
        batches = positions.batch(batch_size).map(lambda chosen: (read(chosen), chosen))
    else:
        read_one = _of_share(read, image, share, len(examples), batch_size)
        batches = positions.map(
            lambda chosen: (read_one(chosen, chosen), chosen), num_parallel_calls=tf.data.AUTOTUNE
        ).batch(batch_size)
    finished = batches.map(
        lambda pixels, chosen: (
            tf.cast(pixels, tf.float32),
            rows(chosen),
        )
    )
    return finish_batches(finished, len(examples), batch_size)


def target_rows(labels: np.ndarray, width: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function from positions to targets, float32 (batch, width); a million one-hot rows are never in memory.

    Args:
        labels: Classes, rows of labels, rows of numbers, or masks, which come as they are; see `tfkit.data.targets`.
        width: How many classes, labels or numbers there are.
    """
    held = on_host(labels)
    if target_kind(labels) == "classes":
        return lambda positions: tf.one_hot(tf.gather(held, positions), width)
    if target_kind(labels) == "masks":
        return lambda positions: tf.gather(held, positions)
    return lambda positions: tf.cast(tf.gather(held, positions), tf.float32)


def pixel_batches(examples: ImageExamples, image: ImageSpec, *, batch_size: int) -> Iterator[np.ndarray]:
    """Fitted pixels in the order of the examples, as arrays.

    Args:
        examples: Which images.
        image: The size to fit them to.
        batch_size: Images an array; the last may hold fewer.

    Yields:
        uint8 (batch, height, width, channels), raw 0..255.

    Example:
        >>> next(iter(pixel_batches(splits.test, image, batch_size=4))).shape
        (4, 16, 16, 1)
    """
    kept = examples.kept(image)
    if kept is not None and kept.have(examples.indices).all():
        for start in range(0, len(examples), batch_size):
            yield kept.pixels(examples.indices[start : start + batch_size])
        return
    positions = tf.data.Dataset.range(len(examples))
    fitted = positions.map(_direct_reader(examples, image), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    yield from fitted.batch(batch_size).prefetch(1).as_numpy_iterator()


def _reader(examples: ImageExamples, image: ImageSpec, cache_bytes: int) -> tuple[ReadPixels, bool]:
    """How to read fitted pixels by position, and whether it takes a whole batch of positions."""
    shape = (len(examples), *image.shape)
    kept = examples.kept(image)
    if kept is not None and (cache_bytes or kept.have(examples.indices).all()):
        return _kept_reader(examples, image, kept), True
    if int(np.prod(shape)) > cache_bytes:
        return _direct_reader(examples, image), False
    stored = np.empty(shape, np.uint8)
    done = 0
    for pixels in pixel_batches(examples, image, batch_size=_CHUNK):
        stored[done : done + len(pixels)] = pixels
        done += len(pixels)
    return _taking(lambda positions: stored[positions], image), True


def _direct_reader(examples: ImageExamples, image: ImageSpec) -> ReadPixels:
    indices = on_host(np.asarray(examples.indices, np.int64))
    kept = examples.kept(image)

    def read(position: tf.Tensor) -> tf.Tensor:
        index = tf.gather(indices, position)
        pixels = fit_image(examples.source.read_pixels(index), image)
        if kept is None:
            return pixels
        return tf.ensure_shape(tf.numpy_function(kept.passing, [index, pixels], tf.uint8), image.shape)

    return read


def _of_share(
    read: ReadPixels, image: ImageSpec, share: Share | None, count: int, batch_size: int
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """A function from an example's place in its epoch and its position to its pixels; of another share, to zeros."""
    if share is None:
        return lambda _, position: read(position)

    def read_own(step: tf.Tensor, position: tf.Tensor) -> tf.Tensor:
        row = step % batch_size
        together = tf.minimum(tf.constant(batch_size, tf.int64), count - (step - row))
        return tf.cond(share.holds(row, together), lambda: read(position), lambda: tf.zeros(image.shape, tf.uint8))

    return read_own


def _kept_reader(examples: ImageExamples, image: ImageSpec, kept: KeptPixels) -> ReadPixels:
    """Decode what no stage has decoded yet; then an epoch is gathers."""
    missing = examples.select(np.flatnonzero(~kept.have(examples.indices)))
    for _ in pixel_batches(missing, image, batch_size=_CHUNK):
        pass
    indices = examples.indices
    return _taking(lambda positions: kept.pixels(indices[positions]), image)


def _taking(pixels: Callable[[np.ndarray], np.ndarray], image: ImageSpec) -> ReadPixels:
    """Pixels of a batch of positions, out of an array that TensorFlow does not copy."""

    def read(positions: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(tf.numpy_function(pixels, [positions], tf.uint8, stateful=False), (None, *image.shape))

    return read


def _epoch_order(count: int, *, seed: int, first_epoch: int, left_out: int) -> tf.data.Dataset:
    """(the epoch's seed (2,), step, position) for each example of an epoch; the next iteration gives the next epoch."""
    with tf.device("CPU:0"):
        epoch_number = tf.Variable(first_epoch - 1, dtype=tf.int64, trainable=False, name="epoch")

    def positions(_: tf.Tensor) -> tf.data.Dataset:
        epoch = epoch_number.assign_add(1)
        epoch_seed = tf.random.fold_in(tf.constant([seed, 0], tf.int64), epoch)
        steps = tf.range(count, dtype=tf.int64)
        shuffled = tf.random.experimental.stateless_shuffle(steps, seed=epoch_seed)
        # The seed goes along with each example: a graph's random op for each would take a tenth of an epoch.
        rows = (tf.tile(epoch_seed[None], [count, 1]), steps, shuffled)
        return tf.data.Dataset.from_tensor_slices(
            rest_of_epoch(rows, epoch, first_epoch=first_epoch, left_out=left_out)
        )

    return tf.data.Dataset.range(1).flat_map(positions)


def rest_of_epoch(
    rows: tuple[tf.Tensor, ...], epoch: tf.Tensor, *, first_epoch: int, left_out: int
) -> tuple[tf.Tensor, ...]:
    """The rows of an epoch's examples, of the first epoch without those that a training has seen already."""
    if not left_out:
        return rows
    begin = tf.where(tf.equal(epoch, first_epoch), left_out, 0)
    return tuple(values[begin:] for values in rows)


def finish_batches(batches: tf.data.Dataset, count: int | None, batch_size: int) -> tf.data.Dataset:
    """The batches of `count` examples with their number known, in a fixed order, a few made ahead."""
    options = tf.data.Options()
    options.deterministic = True
    if count is not None:
        batches = batches.apply(tf.data.experimental.assert_cardinality(-(-count // batch_size)))
    return batches.with_options(options).prefetch(_PREFETCHED_BATCHES)


def on_host(array: np.ndarray) -> tf.Tensor:
    """An array as a tensor in the host's memory."""
    with tf.device("CPU:0"):  # a pipeline runs on the host; an accelerator's memory is for the model
        return tf.constant(array)


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
