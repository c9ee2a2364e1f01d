"""Smaller students of transformer encoders: whole layers, attention heads and feed-forward neurons removed."""

from tfkit.compression.transformers.blocks import Block, BlockCut, cut_transformer, encoder_layers
from tfkit.compression.transformers.planning import StudentPlan, StudentSize, check_student, plan_student
from tfkit.compression.transformers.ranking import layers_to_keep, unit_scores

__all__ = [
    "Block",
    "BlockCut",
    "StudentPlan",
    "StudentSize",
    "check_student",
    "cut_transformer",
    "encoder_layers",
    "layers_to_keep",
    "plan_student",
    "unit_scores",
]
