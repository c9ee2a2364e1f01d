from .costs import LayerCost, MeasuredOperator, MeasuredProfile, predict_bytes, predict_latency
from .planning import ChannelPlan, PlannedGroup, plan_channel_pruning
from .rebuilding import kept_feature_maps, prune_channels
from .statistics import prune_channels_restored
from .widths import WidthRule

__all__ = [
    "ChannelPlan",
    "LayerCost",
    "MeasuredOperator",
    "MeasuredProfile",
    "PlannedGroup",
    "WidthRule",
    "kept_feature_maps",
    "plan_channel_pruning",
    "predict_bytes",
    "predict_latency",
    "prune_channels",
    "prune_channels_restored",
]
