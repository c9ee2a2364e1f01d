from .channel_measures import ChannelPruning, UnprunedFile, measure_unpruned
from .outcome import CompressedStage
from .pruning import prune
from .quantization import quantize
from .text_pruning import prune_text
from .text_quantization import quantize_text
from .text_training import TextTeacher
from .transformer_measures import TransformerPruning, TransformerSize

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
