from .augmentation import TextAugmentation
from .examples import TextExamples
from .lengths import LengthReport, measure_lengths
from .loading import TextSourceName, load_text_examples, load_text_splits
from .normalizing import replace_unusable
from .opening import learn_word_pieces, open_tokenizer
from .pipeline import (
    calibration_tokens,
    evaluation_text_batches,
    label_texts,
    length_classes,
    pair_batches,
    token_arrays,
    training_text_batches,
)
from .tokenizer import Tokenizer

__all__ = [
    "LengthReport",
    "TextAugmentation",
    "TextExamples",
    "TextSourceName",
    "Tokenizer",
    "calibration_tokens",
    "evaluation_text_batches",
    "label_texts",
    "learn_word_pieces",
    "length_classes",
    "load_text_examples",
    "load_text_splits",
    "measure_lengths",
    "open_tokenizer",
    "pair_batches",
    "replace_unusable",
    "token_arrays",
    "training_text_batches",
]
