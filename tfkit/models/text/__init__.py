"""Text encoders and classifiers, and which of their parameters learn."""

from typing import TYPE_CHECKING

from tfkit.on_demand import names_on_demand

if TYPE_CHECKING:
    from tfkit.models.text.adaptation import Adaptation, adapt, merge_adaptation
    from tfkit.models.text.backbones import build_text_backbone, text_backbone_names
    from tfkit.models.text.classifier import build_text_classifier
    from tfkit.models.text.embedder import build_text_embedder, is_embedder
    from tfkit.models.text.encoder import encoder_blocks, token_embedding
    from tfkit.models.text.features import pooled_features
    from tfkit.models.text.plain_transformer import open_transformer, opened_if_possible, with_sequence_length

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

if not TYPE_CHECKING:  # checkers of types know the names from above
    __getattr__ = names_on_demand(
        __name__,
        {
            "adaptation": "Adaptation adapt merge_adaptation",
            "backbones": "build_text_backbone text_backbone_names",
            "classifier": "build_text_classifier",
            "embedder": "build_text_embedder is_embedder",
            "encoder": "encoder_blocks token_embedding",
            "features": "pooled_features",
            "plain_transformer": "open_transformer opened_if_possible with_sequence_length",
        },
    )
