"""What is asked of a keras-hub tokeniser layer, whichever family it is of."""

from typing import Literal

import keras_hub

from tfkit.errors import ModelError

TokenizerKind = Literal["word_piece", "byte_pair", "sentence_piece"]

_ROLES = {"start": "start_token", "end": "end_token", "padding": "pad_token"}


def kind_of(layer: keras_hub.tokenizers.Tokenizer) -> TokenizerKind:
    """The algorithm of a keras-hub tokeniser.

    Raises:
        ModelError: When it is another layer, or pads by itself.
    """
    kinds: dict[TokenizerKind, type[keras_hub.tokenizers.Tokenizer]] = {
        "word_piece": keras_hub.tokenizers.WordPieceTokenizer,
        "byte_pair": keras_hub.tokenizers.BytePairTokenizer,
        "sentence_piece": keras_hub.tokenizers.SentencePieceTokenizer,
    }
    kind = next((name for name, family in kinds.items() if isinstance(layer, family)), None)
    if kind is None:
        raise ModelError(
            f"expected a keras-hub WordPiece, byte-pair or SentencePiece tokeniser; got {type(layer).__name__}",
            hint="for example keras_hub.tokenizers.BertTokenizer",
        )
    if layer.sequence_length is not None:
        raise ModelError(
            f"the {type(layer).__name__} cuts to {layer.sequence_length} tokens by itself",
            hint="make it with sequence_length=None: tfkit adds start and end tokens before it cuts",
        )
    return kind


def plain_word_pieces(layer: keras_hub.tokenizers.Tokenizer) -> keras_hub.tokenizers.WordPieceTokenizer:
    """The same vocabulary without any change of case or accents: tfkit does that before."""
    return type(layer)(
        vocabulary=list(layer.get_vocabulary()),
        lowercase=False,
        strip_accents=False,
        oov_token=layer.oov_token,
        suffix_indicator=layer.suffix_indicator,
    )


def special_tokens(layer: keras_hub.tokenizers.Tokenizer) -> dict[str, tuple[str, int]]:
    """Token and id of `start`, `end` and `padding`.

    Raises:
        ModelError: When the layer knows none of one role.
    """
    missing = [role for role, name in _ROLES.items() if getattr(layer, f"{name}_id", None) is None]
    if missing:
        raise ModelError(
            f"the {type(layer).__name__} has no {' and no '.join(missing)} token",
            hint="use the tokeniser of an encoder: BERT, DistilBERT, RoBERTa, ALBERT, ELECTRA or DeBERTa",
        )
    return {role: (getattr(layer, name), int(getattr(layer, f"{name}_id"))) for role, name in _ROLES.items()}


def vocabulary_of(layer: keras_hub.tokenizers.Tokenizer) -> tuple[str, ...]:
    """The tokens in the order of their ids."""
    vocabulary = layer.get_vocabulary()
    if isinstance(layer, keras_hub.tokenizers.BytePairTokenizer):
        return tuple(sorted(vocabulary, key=layer.vocabulary.__getitem__))
    return tuple(vocabulary)
