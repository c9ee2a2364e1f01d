from .distribution import training_devices
from .features import Features, cache_features, frozen_features
from .fine_tune import fine_tune, train_batches, train_on, uses_jit
from .head import train_head
from .item_weights import ItemWeights, fit_item_weights
from .label_probe import find_suspicious_labels
from .layer_rates import layer_factors, layer_rates, with_layer_rates
from .linear_head import LinearHead, LinearTask, fit_linear_head
from .memory import StepMemory, free_memory, may_not_fit, refuse_too_large_batches
from .objectives import adversarial, r_drop
from .optimization import Optimization, build_optimizer, class_weights
from .processes import join_processes
from .result import PeakMemory, StageResult
from .text_objectives import TextObjectives
from .weight_averaging import Soup, average_weights, greedy_soup

__all__ = [
    "Features",
    "ItemWeights",
    "LinearHead",
    "LinearTask",
    "Optimization",
    "PeakMemory",
    "Soup",
    "StageResult",
    "StepMemory",
    "TextObjectives",
    "adversarial",
    "average_weights",
    "build_optimizer",
    "cache_features",
    "class_weights",
    "find_suspicious_labels",
    "fine_tune",
    "fit_item_weights",
    "fit_linear_head",
    "free_memory",
    "frozen_features",
    "greedy_soup",
    "join_processes",
    "layer_factors",
    "layer_rates",
    "may_not_fit",
    "r_drop",
    "refuse_too_large_batches",
    "train_batches",
    "train_head",
    "train_on",
    "training_devices",
    "uses_jit",
    "with_layer_rates",
]
