"""Features of a frozen backbone, computed once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np

from tfkit.artifacts import ImageSpec
from tfkit.keras_types import Logs
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

    def batches(self, batch_size: int, *, shuffle_seed: int | None = None) -> tf.data.Dataset:
        """Batches of (values, targets); four times as quick under `fit` as the arrays themselves.

        Args:
            batch_size: Features in a batch; the last may hold fewer.
            shuffle_seed: Shuffle anew in every epoch from this seed; None keeps the order.
        """
        import tensorflow as tf

        batches = tf.data.Dataset.from_tensor_slices((self.values, self.targets))
        if shuffle_seed is not None:
            batches = batches.shuffle(len(self), seed=shuffle_seed)
        return batches.batch(batch_size).prefetch(2)


def frozen_features(model: keras.Model) -> keras.Model:
    """The pooled features of a classifier's backbone, made ready for `cache_features`.

    Args:
        model: A classifier of `build_classifier`.

    Returns:
        A model from (pixels, targets) to (features, the same targets), sharing the backbone's weights. Targets ride
        along because augmentation may have mixed them.
    """
    features = feature_extractor(model)
    targets = keras.Input(model.outputs[0].shape[1:], name="targets")
    passing = keras.Model([features.inputs[0], targets], [features.outputs[0], keras.layers.Identity()(targets)])
    # XLA is much slower than oneDNN at depthwise convolutions on CPUs.
    passing.compile(jit_compile=False)
    return passing


def cache_features(
    extractor: keras.Model,
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
    """Run a frozen backbone over a set of images, once for each view.

    Args:
        extractor: What `frozen_features` gave; use one for all sets, because it is traced at its first use.
        examples: The images.
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
    )
    results = []
    for view in range(views):  # each pass over the augmented batches draws other views
        batches = (augmented if view else plain).map(lambda pixels, targets: ((pixels, targets),))
        done = _ReportImages(progress, batch_size, done=view * len(examples), total=views * len(examples))
        results.append(extractor.predict(batches, verbose=0, callbacks=[done]))
    values, targets = (np.concatenate(arrays) for arrays in zip(*results, strict=True))
    return Features(values.astype(np.float32, copy=False), targets)


class _ReportImages(keras.callbacks.Callback):
    """Tells how many images have gone through the backbone."""

    def __init__(self, progress: Progress | None, batch_size: int, *, done: int, total: int) -> None:
        super().__init__()
        self._progress, self._batch_size, self._done, self._total = progress, batch_size, done, total

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._progress is not None:
            done = min(self._done + (batch + 1) * self._batch_size, self._total)
            self._progress(done, self._total, f"features {done}/{self._total}")
