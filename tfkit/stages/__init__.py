"""Whole stages of compression, training included, as recipes and the budget search run them."""

from tfkit.stages.channel_measures import ChannelPruning, UnprunedFile, measure_unpruned
from tfkit.stages.outcome import CompressedStage
from tfkit.stages.pruning import prune
from tfkit.stages.quantization import quantize
from tfkit.stages.text_pruning import prune_text
from tfkit.stages.text_quantization import quantize_text
from tfkit.stages.text_training import TextTeacher
from tfkit.stages.transformer_measures import TransformerPruning, TransformerSize

__all__ = [
    "ChannelPruning",
    "CompressedStage",
    "TextTeacher",
    "TransformerPruning",
    "TransformerSize",
    "UnprunedFile",
    "measure_unpruned",
    "prune",
    "prune_text",
    "quantize",
    "quantize_text",
]
