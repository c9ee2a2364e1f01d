from .costs import LayerCost
from .feature_maps import kept_feature_maps
from .planning import ChannelPlan, PlannedGroup, plan_channel_pruning
from .prediction import MeasuredOperator, MeasuredProfile, predict_bytes, predict_latency
from .rebuilding import prune_channels
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
