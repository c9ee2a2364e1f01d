"""Labelled texts: tokenisers shared with serving, readers, checks, splits, augmentation, batches by length."""

from typing import TYPE_CHECKING

from tfkit.on_demand import names_on_demand

if TYPE_CHECKING:
    from tfkit.data.text.augmentation import TextAugmentation
    from tfkit.data.text.examples import TextExamples
    from tfkit.data.text.lengths import LengthReport, measure_lengths
    from tfkit.data.text.loading import TextSourceName, load_text_examples, load_text_splits
    from tfkit.data.text.normalizing import replace_unusable
    from tfkit.data.text.opening import learn_word_pieces, open_tokenizer
    from tfkit.data.text.pairs import label_texts, pair_batches
    from tfkit.data.text.pipeline import (
        evaluation_text_batches,
        first_tokens,
        length_classes,
        token_arrays,
        training_text_batches,
    )
    from tfkit.data.text.tokenizer import Tokenizer

__all__ = [
    "LengthReport",
    "TextAugmentation",
    "TextExamples",
    "TextSourceName",
    "Tokenizer",
    "evaluation_text_batches",
    "first_tokens",
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

if not TYPE_CHECKING:  # checkers of types know the names from above
    __getattr__ = names_on_demand(
        __name__,
        {
            "augmentation": "TextAugmentation",
            "examples": "TextExamples",
            "lengths": "LengthReport measure_lengths",
            "loading": "TextSourceName load_text_examples load_text_splits",
            "normalizing": "replace_unusable",
            "opening": "learn_word_pieces open_tokenizer",
            "pairs": "label_texts pair_batches",
            "pipeline": "evaluation_text_batches first_tokens length_classes token_arrays training_text_batches",
            "tokenizer": "Tokenizer",
        },
    )
