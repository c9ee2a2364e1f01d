from .measures import ChannelPruning, TransformerPruning, TransformerSize, UnprunedFile, measure_unpruned
from .outcome import CompressedStage
from .pruning import prune
from .quantization import quantize
from .texts import TextTeacher, prune_text, quantize_text

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
