from .blocks import Block, BlockCut, cut_transformer, encoder_layers
from .planning import StudentPlan, StudentSize, check_student, plan_student
from .ranking import layers_to_keep, unit_scores

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
