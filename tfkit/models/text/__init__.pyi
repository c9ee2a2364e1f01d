from .adaptation import Adaptation, adapt, merge_adaptation
from .backbones import build_text_backbone, encoder_blocks, text_backbone_names, token_embedding
from .classifier import build_text_classifier, build_text_embedder, is_embedder, pooled_features
from .plain_transformer import open_transformer, opened_if_possible, with_sequence_length

__all__ = [
    "Adaptation",
    "adapt",
    "build_text_backbone",
    "build_text_classifier",
    "build_text_embedder",
    "encoder_blocks",
    "is_embedder",
    "merge_adaptation",
    "open_transformer",
    "opened_if_possible",
    "pooled_features",
    "text_backbone_names",
    "token_embedding",
    "with_sequence_length",
]
