"""Channel pruning: remove whole channels, so that the model is smaller and quicker everywhere."""

from tfkit.compression.channels.costs import LayerCost
from tfkit.compression.channels.feature_maps import kept_feature_maps
from tfkit.compression.channels.planning import ChannelPlan, PlannedGroup, plan_channel_pruning
from tfkit.compression.channels.prediction import MeasuredOperator, MeasuredProfile, predict_bytes, predict_latency
from tfkit.compression.channels.rebuilding import prune_channels
from tfkit.compression.channels.statistics import prune_channels_restored
from tfkit.compression.channels.widths import WidthRule

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
