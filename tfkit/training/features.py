"""What a frozen backbone sees in images: computed once, in one array that is made beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np

from tfkit.artifacts import ImageSpec
from tfkit.inputs import named_batches
from tfkit.models import feature_extractor
from tfkit.training.fitting import Progress

if TYPE_CHECKING:
    import tensorflow as tf

    from tfkit.data import AugmentationPolicy, ImageExamples, Mixing


@dataclass(frozen=True, eq=False)
class Features:
    """What a frozen backbone sees in a set of images.

    Attributes:
        values: float32 (n, d), pooled features.
        targets: float32 (n, classes), one-hot (or mixed) labels.
    """

    values: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, begin: int, end: int) -> Features:
        """Some of them, in the same memory."""
        return Features(self.values[begin:end], self.targets[begin:end])

    def batches(self, batch_size: int, *, shuffle_seed: int | None = None) -> tf.data.Dataset:
        """Batches of (values, targets); four times as quick under `fit` as the arrays themselves.

        Args:
            batch_size: Features in a batch; the last may hold fewer.
            shuffle_seed: Shuffle anew in every epoch from this seed; None keeps the order.
        """
        import tensorflow as tf

        def taken(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return self.values[rows], self.targets[rows]

        def batch(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # Asked for from Python: as a tensor of TensorFlow's all features would be in memory three times.
            values, targets = tf.numpy_function(taken, [rows], (tf.float32, tf.float32))
            values = tf.ensure_shape(values, (None, self.values.shape[1]))
            return values, tf.ensure_shape(targets, (None, self.targets.shape[1]))

        positions = tf.data.Dataset.range(len(self))
        if shuffle_seed is not None:
            positions = positions.shuffle(len(self), seed=shuffle_seed)
        return positions.batch(batch_size).map(batch).prefetch(2)


def frozen_features(model: keras.Model) -> keras.Model:
    """The pooled features of a classifier's backbone, made ready for `cache_features`.

    Args:
        model: A classifier of `build_classifier`.

    Returns:
        A model from its inputs to features, float32 (n, d), sharing the backbone's weights.

    Example:
        >>> frozen_features(model).output_shape
        (None, 32)
    """
    features = feature_extractor(model)
    # XLA is much slower than oneDNN at depthwise convolutions on CPUs.
    features.compile(jit_compile=False)
    return features


def cache_features(
    extractor: keras.Model,
    examples: ImageExamples | Sequence[ImageExamples],
    image: ImageSpec,
    *,
    batch_size: int,
    views: int = 1,
    augmentation: AugmentationPolicy = "none",
    mixing: Mixing | None = None,
    flip: bool = True,
    seed: int = 0,
    cache_bytes: int = 1 << 30,
    progress: Progress | None = None,
) -> Features:
    """Run a frozen backbone over a set of images, once for each view.

    Args:
        extractor: What `frozen_features` gave; use one for all sets, because it is traced at its first use.
        examples: The images; or several sets, which stay apart: one after the other, each with all of its views.
        image: The images the model takes.
        batch_size: Images in one forward pass.
        views: How often each image is seen: once as it is, then `views - 1` times augmented.
        augmentation: Policy of the further views.
        mixing: `mixup`, `cutmix` or None, in the further views.
        flip: Whether the policy may mirror images.
        seed: Seed of the augmentation.
        cache_bytes: Decoded images are kept in memory between augmented views up to this size.
        progress: Called after each batch with images done, images in all, and a text.

    Returns:
        Features of n * views images, view after view.
    """
    from tfkit.data import evaluation_batches, training_batches  # they start TensorFlow

    sets = tuple(examples) if isinstance(examples, Sequence) else (examples,)
    total = views * sum(len(one) for one in sets)
    width, outputs = extractor.outputs[0].shape[-1], _width_of_targets(sets[0])
    found = Features(np.empty((total, width), np.float32), np.empty((total, outputs), np.float32))
    done = 0
    for one in sets:
        plain = named_batches(evaluation_batches(one, image, batch_size=batch_size), image)
        augmented = (
            plain
            if views == 1
            else named_batches(
                training_batches(
                    one,
                    image,
                    batch_size=batch_size,
                    augmentation=augmentation,
                    mixing=mixing,
                    flip=flip,
                    seed=seed,
                    cache_bytes=cache_bytes,
                ),
                image,
            )
        )
        for view in range(views):  # each pass over the augmented batches draws other views
            for inputs, targets in augmented if view else plain:
                end = done + len(targets)
                found.values[done:end] = _seen(extractor, inputs, batch_size)[: len(targets)]
                found.targets[done:end] = targets
                done = end
                if progress is not None:
                    progress(done, total, f"features {done}/{total}")
    return found


def _width_of_targets(examples: ImageExamples) -> int:
    return len(examples.class_names) if examples.labels.ndim == 1 else int(examples.labels.shape[1])


def _seen(extractor: keras.Model, inputs: dict[str, tf.Tensor], batch_size: int) -> np.ndarray:
    """Features of a batch that is filled up with zeros: one shape is traced, whatever the last batch holds."""
    arrays = {name: np.asarray(tensor) for name, tensor in inputs.items()}
    missing = batch_size - len(next(iter(arrays.values())))
    if missing:
        filling = {name: np.zeros((missing, *array.shape[1:]), array.dtype) for name, array in arrays.items()}
        arrays = {name: np.concatenate([array, filling[name]]) for name, array in arrays.items()}
    only = len(arrays) == 1  # a model's only input may have any name
    return np.asarray(extractor.predict_on_batch(next(iter(arrays.values())) if only else arrays))
