"""The first stage: the backbone is frozen and only the head learns, on features computed once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import keras

from tfkit.artifacts import ImageSpec
from tfkit.models import freeze_backbone, head_on_features
from tfkit.training.aim import aim_of
from tfkit.training.features import cache_features, frozen_features
from tfkit.training.fitting import Progress, fit, kept_on_failure
from tfkit.training.optimization import Optimization
from tfkit.training.result import StageResult

if TYPE_CHECKING:
    from tfkit.data import AugmentationPolicy, ImageExamples, Mixing


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
        )
    views = f"{cached_views} views of each image" if cached_views > 1 else "each image once"
    return StageResult(
        name="head",
        seconds=time.perf_counter() - began,
        history=history,
        notes=(f"backbone frozen; its features were computed once in {cached:.1f} s ({views})",),
    )
