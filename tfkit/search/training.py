"""The two trainings of a search: after channels are cut, and quantisation-aware; both taught by the float model."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypedDict

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import ImageSpec
from tfkit.compression import QuantizationPolicy
from tfkit.compression.channels import kept_feature_maps, plan_channel_pruning, prune_channels_restored
from tfkit.compression.distillation import FeaturePair, distiller
from tfkit.data import AugmentationPolicy, DatasetSplits, ImageExamples, pixel_batches
from tfkit.data.splitting import spread_over_classes
from tfkit.errors import ModelError
from tfkit.models import logits_model
from tfkit.runtimes import Feed
from tfkit.stages import quantize
from tfkit.training import Optimization, train_on
from tfkit.training.options import FineTuneOptions

Progress = Callable[[int, int, str], None]


class Limit(TypedDict, total=False):
    """How much of a cut model stays; one of them, as for `pruned`."""

    keep: float
    max_parameters: int
    max_multiply_adds: int


class _Training(FineTuneOptions):
    optimization: Optimization


_SCORING_BATCH = 25


@dataclass(frozen=True, kw_only=True)
class SearchTraining:
    """How candidates are trained.

    Attributes:
        qat_epochs: Epochs of quantisation-aware training.
        qat_learning_rate: Its peak learning rate (Adam, cosine).
        recovery_epochs: Epochs in float after channels were cut, before quantisation-aware training.
        recovery_learning_rate: Their peak learning rate.
        temperature: How much the float model's answers are softened where they teach (Hinton et al. 2015), more than 0.
        batch_size: Images in a batch.
        augmentation: Policy of the training images.
        flip: Whether augmentation may mirror images.
        calibration_images: Training images that set ranges, and that channels are scored on.
        seed: Of everything random.

    Raises:
        ModelError: Tells every value that is out of range.
    """

    qat_epochs: int = 3
    qat_learning_rate: float = 1e-4
    recovery_epochs: int = 6
    recovery_learning_rate: float = 1e-3
    temperature: float = 4.0
    batch_size: int = 32
    augmentation: AugmentationPolicy = "light"
    flip: bool = True
    calibration_images: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        counts = ("qat_epochs", "recovery_epochs", "batch_size", "calibration_images")
        faults = [f"{name} must be 1 or more" for name in counts if getattr(self, name) < 1]
        positive = ("qat_learning_rate", "recovery_learning_rate", "temperature")
        faults += [f"{name} must be more than 0" for name in positive if getattr(self, name) <= 0]
        if faults:
            raise ModelError("; ".join(faults))


@dataclass(frozen=True, eq=False)
class Classroom:
    """What every training of a search shares.

    Attributes:
        teacher: The float model, what `searchable_classifier` gave.
        splits: The images.
        image: How they are fitted.
        calibration: Some hundred training images, `pixels` uint8.
        settings: How to train.
    """

    teacher: keras.Model
    splits: DatasetSplits
    image: ImageSpec
    calibration: Feed
    settings: SearchTraining

    def quantized(
        self,
        model: keras.Model,
        *,
        policy: QuantizationPolicy,
        distillation: float = 0.0,
        progress: Progress | None = None,
    ) -> keras.Model:
        """Train a float model quantisation-aware; the last third of the epochs has its ranges held still.

        Args:
            model: What `searchable_classifier` or `pruned` gave; not changed.
            policy: How it is quantised.
            distillation: Share of the float model's answers in the loss, in [0, 1].
            progress: As for `train_on`.

        Returns:
            The quantisation-aware model, ready to export.
        """
        epochs = self.settings.qat_epochs
        stage = quantize(
            model,
            self.splits.train,
            self.splits.validation,
            self.image,
            policy=policy,
            moving_epochs=epochs - max(1, epochs // 3),
            calibration_examples=self.settings.calibration_images,
            **self._options(epochs, self.settings.qat_learning_rate, distillation, progress),
        )
        student: keras.Model = stage.model
        return student

    def pruned(
        self,
        *,
        keep: float | None = None,
        max_parameters: int | None = None,
        max_multiply_adds: int | None = None,
        distillation: float = 0.0,
        progress: Progress | None = None,
    ) -> keras.Model:
        """Cut channels of the float model, those that matter least for the loss, and train what is left.

        Args:
            keep: The share of channels that each group keeps. Exactly one of this and the next two.
            max_parameters: How many parameters may be left in the whole model.
            max_multiply_adds: How many multiply-adds may be left in the whole model.
            distillation: Share of the float model's answers in the loss, in [0, 1].
            progress: As for `train_on`.

        Returns:
            The smaller float model.

        Raises:
            ModelError: When the model cannot be cut so.
        """
        plan = plan_channel_pruning(
            self.teacher,
            criterion="loss",
            keep=keep,
            max_parameters=max_parameters,
            max_multiply_adds=max_multiply_adds,
            batches=self._scored_images(),
        )
        student = prune_channels_restored(self.teacher, plan, self.calibration)
        settings = self.settings
        features = kept_feature_maps(self.teacher, plan) if distillation else ()
        options = self._options(
            settings.recovery_epochs, settings.recovery_learning_rate, distillation, progress, features
        )
        train_on(student, self.splits.train, self.splits.validation, self.image, **options)
        return student

    def _options(
        self,
        epochs: int,
        rate: float,
        distillation: float,
        progress: Progress | None,
        features: tuple[FeaturePair, ...] = (),
    ) -> _Training:
        settings = self.settings
        return {
            "optimization": Optimization(epochs=epochs, learning_rate=rate, schedule="cosine", warmup=0.05),
            "batch_size": settings.batch_size,
            "augmentation": settings.augmentation,
            "flip": settings.flip,
            "seed": settings.seed,
            "progress": progress,
            "objective": self._teaching(distillation, features) if distillation else None,
        }

    def _teaching(self, distillation: float, features: tuple[FeaturePair, ...]) -> Callable[[keras.Model], keras.Model]:
        teacher = logits_model(self.teacher)
        return partial(
            distiller,
            teacher=teacher,
            temperature=self.settings.temperature,
            alpha=distillation,
            features=features,
        )

    def _scored_images(self) -> list[tuple[NDArray[np.float32], NDArray[np.int32]]]:
        pixels, labels = some_images(self.splits.train, self.image, self.settings.calibration_images)
        return [
            (pixels[start : start + _SCORING_BATCH].astype(np.float32), labels[start : start + _SCORING_BATCH])
            for start in range(0, len(pixels), _SCORING_BATCH)
        ]


def some_images(
    examples: ImageExamples, image: ImageSpec, count: int, *, seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Random images with their labels, as many from each class as there are.

    Args:
        examples: Where to take them from.
        image: How they are fitted.
        count: How many; all of them when there are fewer.
        seed: The same seed gives the same images.

    Returns:
        uint8 (n, height, width, channels) and int32 (n,).
    """
    places = spread_over_classes(examples.labels, count=count, seed=seed)
    chosen = examples.select(places)
    return np.concatenate(list(pixel_batches(chosen, image, batch_size=64))), np.asarray(chosen.labels, np.int32)
