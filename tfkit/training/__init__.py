"""Training stages: the head on cached features, then fine-tuning; Keras `fit` is the trainer."""

from tfkit.training.features import Features, cache_features, frozen_features
from tfkit.training.fine_tune import fine_tune, train_on, uses_jit
from tfkit.training.head import train_head
from tfkit.training.optimization import Optimization, build_optimizer, class_weights
from tfkit.training.result import StageResult

__all__ = [
    "Features",
    "Optimization",
    "StageResult",
    "build_optimizer",
    "cache_features",
    "class_weights",
    "fine_tune",
    "frozen_features",
    "train_head",
    "train_on",
    "uses_jit",
]
