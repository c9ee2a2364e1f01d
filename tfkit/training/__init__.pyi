from .adversarial import adversarial
from .features import Features, cache_features, frozen_features
from .fine_tune import fine_tune, train_batches, train_on, uses_jit
from .head import train_head
from .layer_rates import layer_factors, layer_rates, with_layer_rates
from .memory import PeakMemory
from .optimization import Optimization, build_optimizer, class_weights
from .r_drop import r_drop
from .result import StageResult
from .text_objectives import TextObjectives
from .weight_averaging import Soup, average_weights, greedy_soup

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
