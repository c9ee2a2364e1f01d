"""Features of a frozen backbone, computed once."""

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from tfkit.artifacts import ImageSpec
from tfkit.data import AugmentationPolicy, ImageExamples, Mixing, evaluation_batches, training_batches
from tfkit.models import feature_extractor
from tfkit.training.fitting import Progress


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

    def batches(self, batch_size: int, *, shuffle_seed: int | None = None) -> tf.data.Dataset:
        """Batches of (values, targets); four times as quick under `fit` as the arrays themselves.

        Args:
            batch_size: Features in a batch; the last may hold fewer.
            shuffle_seed: Shuffle anew in every epoch from this seed; None keeps the order.
        """
        batches = tf.data.Dataset.from_tensor_slices((self.values, self.targets))
        if shuffle_seed is not None:
            batches = batches.shuffle(len(self), seed=shuffle_seed)
        return batches.batch(batch_size).prefetch(2)


def cache_features(
    model: keras.Model,
    examples: ImageExamples,
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
    """Run the frozen backbone over a set of images, once for each view.

    Args:
        model: A classifier of `build_classifier`.
        examples: The images.
        image: The images the model takes.
        batch_size: Images in one forward pass.
        views: How often each image is seen: once as it is, then `views - 1` times augmented.
        augmentation: Policy of the further views.
        mixing: `mixup`, `cutmix` or None, in the further views.
        flip: Whether the policy may mirror images.
        seed: Seed of the augmentation.
        cache_bytes: Decoded images are kept in memory between augmented views up to this size.
        progress: Called after each batch.

    Returns:
        Features of n * views images, view after view.
    """
    extractor = feature_extractor(model)
    # XLA's depthwise convolution on CPUs is some fifteen times slower than oneDNN's.
    extractor.compile(jit_compile=False)
    plain = evaluation_batches(examples, image, batch_size=batch_size)
    augmented = (
        plain
        if views == 1
        else training_batches(
            examples,
            image,
            batch_size=batch_size,
            augmentation=augmentation,
            mixing=mixing,
            flip=flip,
            seed=seed,
            cache_bytes=cache_bytes,
        )
    )  # each pass over these draws other views
    values, targets = [], []
    total, done = views * len(examples), 0
    for view in range(views):
        for pixels, target in plain if view == 0 else augmented:
            values.append(np.asarray(extractor.predict_on_batch(pixels), dtype=np.float32))
            targets.append(np.asarray(target))
            done += len(values[-1])
            if progress is not None:
                progress(done, total, f"features {done}/{total}")
    return Features(np.concatenate(values), np.concatenate(targets))
