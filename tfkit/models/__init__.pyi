from .backbones import backbone_names, build_backbone
from .classifier import (
    HeadSpec,
    backbone_layers,
    build_classifier,
    feature_extractor,
    gives_boxes,
    head_on_features,
    is_of_numbers,
    logits_model,
    named_outputs,
    with_more_classes,
)
from .custom_objects import register_custom_objects
from .detector import build_detector
from .freezing import Unfrozen, free_everything, freeze_backbone, statistics_that_follow, unfreeze
from .low_rank import low_rank_layers, merge_low_rank, with_low_rank
from .model_files import load_model_file, save_model_file
from .precision import weight_that_is_no_number, with_dtype_policy, with_float_pixels
from .preprocessing import preprocessor_scaling, scales_its_pixels, taking_raw_pixels
from .recommender import build_recommender
from .segmenter import build_segmenter

__all__ = [
    "HeadSpec",
    "Unfrozen",
    "backbone_layers",
    "backbone_names",
    "build_backbone",
    "build_classifier",
    "build_detector",
    "build_recommender",
    "build_segmenter",
    "feature_extractor",
    "free_everything",
    "freeze_backbone",
    "gives_boxes",
    "head_on_features",
    "is_of_numbers",
    "load_model_file",
    "logits_model",
    "low_rank_layers",
    "merge_low_rank",
    "named_outputs",
    "preprocessor_scaling",
    "register_custom_objects",
    "save_model_file",
    "scales_its_pixels",
    "statistics_that_follow",
    "taking_raw_pixels",
    "unfreeze",
    "weight_that_is_no_number",
    "with_dtype_policy",
    "with_float_pixels",
    "with_low_rank",
    "with_more_classes",
]
