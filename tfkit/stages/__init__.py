"""Whole stages of compression, training included, as recipes and the budget search run them."""

from tfkit.stages.channel_measures import ChannelPruning, UnprunedFile, measure_unpruned
from tfkit.stages.outcome import CompressedStage
from tfkit.stages.pruning import prune
from tfkit.stages.quantization import quantize

__all__ = ["ChannelPruning", "CompressedStage", "UnprunedFile", "measure_unpruned", "prune", "quantize"]
