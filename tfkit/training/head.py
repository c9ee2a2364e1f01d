"""The first stage: the backbone is frozen and only the head learns, on features computed once."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np

from tfkit.arguments import takes_text
from tfkit.artifacts import ImageSpec
from tfkit.inputs import named_batches
from tfkit.keras_types import Logs
from tfkit.models import feature_extractor, freeze_backbone, head_on_features
from tfkit.training.fitting import Progress, fit, kept_on_failure
from tfkit.training.optimization import Optimization, aim_of
from tfkit.training.result import StageResult, count_trainable

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
        A model from (its inputs, targets) to (features, the same targets), sharing the backbone's weights. Targets ride
        along because augmentation may have mixed them.
    """
    features = feature_extractor(model)
    targets = keras.Input(model.outputs[0].shape[1:], name="targets")
    passing = keras.Model([*features.inputs, targets], [features.outputs[0], keras.layers.Identity()(targets)])
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

    plain = named_batches(evaluation_batches(examples, image, batch_size=batch_size), image)
    augmented = (
        plain
        if views == 1
        else named_batches(
            training_batches(
                examples,
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
    results = []
    for view in range(views):  # each pass over the augmented batches draws other views
        batches = (augmented if view else plain).map(lambda inputs, targets: ((*inputs.values(), targets),))
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


@takes_text
def train_head(
    model: keras.Model,
    train: ImageExamples,
    validation: ImageExamples,
    image: ImageSpec,
    *,
    optimization: Optimization,
    batch_size: int = 32,
    cached_views: int = 1,
    augmentation: AugmentationPolicy = "none",
    mixing: Mixing | None = None,
    flip: bool = True,
    seed: int = 0,
    cache_bytes: int = 1 << 30,
    log_directory: Path | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
    callbacks: tuple[keras.callbacks.Callback, ...] = (),
) -> StageResult:
    """Train a classifier's head on a frozen backbone.

    A frozen backbone gives the same features in every epoch, so they are computed once for each cached view and the
    head is trained on them; the result is that of training through the backbone, at a fraction of the time.

    Args:
        model: A classifier of `build_classifier`; its head is trained in place.
        train: Training images.
        validation: Validation images; may be empty.
        image: The images the model takes.
        optimization: How to step.
        batch_size: Images in a batch.
        cached_views: How often each training image is seen: once as it is, the other times augmented.
        augmentation: Policy of the augmented views: `none`, `light` or `rand_augment`.
        mixing: `mixup`, `cutmix` or None, in the augmented views.
        flip: Whether augmentation may mirror images.
        seed: Seed of shuffling, dropout and augmentation.
        cache_bytes: Decoded images are kept in memory between views up to this size.
        log_directory: Where TensorBoard's scalars go.
        checkpoint: Where the model is kept when training is interrupted (`.keras`).
        progress: Called after each batch with batches done, batches in all, and a text.
        callbacks: Further callbacks of the training on features.

    Returns:
        The course of the stage.

    Example:
        >>> plan = Optimization(epochs=20, learning_rate=1e-2)
        >>> result = train_head(model, splits.train, splits.validation, image, optimization=plan)
        >>> len(result.history["loss"])
        20
    """
    began = time.perf_counter()
    keras.utils.set_random_seed(seed)
    freeze_backbone(model)
    with kept_on_failure(model, checkpoint):
        extractor = frozen_features(model)
        seen = cache_features(
            extractor,
            train,
            image,
            batch_size=batch_size,
            views=cached_views,
            augmentation=augmentation,
            mixing=mixing,
            flip=flip,
            seed=seed,
            cache_bytes=cache_bytes,
            progress=progress,
        )
        held_out = cache_features(extractor, validation, image, batch_size=batch_size) if len(validation) else None
        cached = time.perf_counter() - began
        history = fit(
            head_on_features(model),
            seen.batches(batch_size, shuffle_seed=seed),
            held_out.batches(len(held_out)).cache() if held_out else None,
            optimization=optimization,
            steps_per_epoch=-(-len(seen) // batch_size),
            jit_compile=False,
            aim=aim_of(optimization, train),
            log_directory=log_directory,
            progress=progress,
            callbacks=callbacks,
        )
    views = f"{cached_views} views of each image" if cached_views > 1 else "each image once"
    return StageResult(
        name="head",
        seconds=time.perf_counter() - began,
        history=history,
        notes=(f"backbone frozen; its features were computed once in {cached:.1f} s ({views})",),
        trainable_parameters=count_trainable(model),
    )
