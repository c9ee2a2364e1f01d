"""Training stages: the head on cached features, then fine-tuning; Keras `fit` is the trainer."""

from tfkit.training.adversarial import adversarial
from tfkit.training.features import Features, cache_features, frozen_features
from tfkit.training.fine_tune import fine_tune, train_batches, train_on, uses_jit
from tfkit.training.head import train_head
from tfkit.training.layer_rates import layer_factors, layer_rates, with_layer_rates
from tfkit.training.memory import PeakMemory
from tfkit.training.optimization import Optimization, build_optimizer, class_weights
from tfkit.training.r_drop import r_drop
from tfkit.training.result import StageResult
from tfkit.training.text_objectives import TextObjectives
from tfkit.training.weight_averaging import Soup, average_weights, greedy_soup

__all__ = [
    "Features",
    "Optimization",
    "PeakMemory",
    "Soup",
    "StageResult",
    "TextObjectives",
    "adversarial",
    "average_weights",
    "build_optimizer",
    "cache_features",
    "class_weights",
    "fine_tune",
    "frozen_features",
    "greedy_soup",
    "layer_factors",
    "layer_rates",
    "r_drop",
    "train_batches",
    "train_head",
    "train_on",
    "uses_jit",
    "with_layer_rates",
]
