"""Whole stages of compression, training included, as recipes and the budget search run them.

What is named here is loaded when it is first asked for: stages of texts load keras-hub, which images can do without.
"""

from typing import TYPE_CHECKING

from tfkit.on_demand import names_on_demand

if TYPE_CHECKING:
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

if not TYPE_CHECKING:  # checkers of types know the names from above
    __getattr__ = names_on_demand(
        __name__,
        {
            "channel_measures": "ChannelPruning UnprunedFile measure_unpruned",
            "outcome": "CompressedStage",
            "pruning": "prune",
            "quantization": "quantize",
            "text_pruning": "prune_text",
            "text_quantization": "quantize_text",
            "text_training": "TextTeacher",
            "transformer_measures": "TransformerPruning TransformerSize",
        },
    )
