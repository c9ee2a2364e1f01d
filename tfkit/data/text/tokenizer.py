"""Texts to token ids: one graph for training, for serving and for whoever asks, so that the ids are the same."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import keras
import keras_hub
import numpy as np
import tensorflow as tf
from tensorflow_text.python.ops import sentencepiece_tokenizer

from tfkit.artifacts.artifact import SPECIFICATION_FILE
from tfkit.data.text.normalizing import (
    BYTE_PAIR_STEPS,
    VALID_STEP,
    normalize_for_byte_pairs,
    normalize_for_word_pieces,
    replace_unusable,
    valid_utf8,
    word_piece_steps,
)
from tfkit.errors import ModelError, RunError

TokenizerKind = Literal["word_piece", "byte_pair", "sentence_piece"]


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


class _LastingPieces(tf.saved_model.experimental.TrackableResource):
    """The table of a SentencePiece tokeniser, which lives as long as the process.

    TF Text 2.21's own belongs to the kernel that made it, and setting a seed (`keras.utils.set_random_seed`) makes
    TensorFlow forget its kernels: whatever was traced before then fails. With a name it belongs to no kernel; one
    that is made of its content is the same for the same pieces, and the same in every run.
    """

    def __init__(self, proto: bytes) -> None:
        super().__init__()
        self._proto = proto
        _ = self.resource_handle  # asking for it makes it

    def _create_resource(self) -> tf.Tensor:
        name = f"tfkit_pieces_{hashlib.sha256(self._proto).hexdigest()}"
        return sentencepiece_tokenizer.gen_sentencepiece_tokenizer.sentencepiece_op(model=self._proto, shared_name=name)


LAYER_FILE = "keras_layer.json"

_CHUNK = 4096  # texts tokenised at a time: bounds the memory of one call
_ROLES = {"start": "start_token", "end": "end_token", "padding": "pad_token"}
# tf_text.FastWordpieceTokenizer's own limit, which keras-hub does not let one change.
_MAX_BYTES_PER_WORD = 100


class Tokenizer:
    """A tokeniser with start and end tokens: text -> ids and mask, by the same TensorFlow ops everywhere.

    keras-hub 0.32 tokenises in Python when it is called eagerly and by TF Text inside a graph, and the two do not
    always agree (RoBERTa's digits; a text that holds NUL). Here every call runs the graph, so that what a model is
    trained on is what an exported model computes. Ops: those of `BertTokenizer` and `StartEndPacker`, not
    `RoundRobinTrim`, which TF Serving has only since 2.20.

    Args:
        layer: A keras-hub WordPiece, byte-pair or SentencePiece tokeniser with start, end and padding tokens.
        lowercase: For WordPiece: whether texts are lower-cased; None takes the layer's own setting.
        strip_accents: For WordPiece: whether accents are removed; None removes them when texts are lower-cased,
            as all published uncased BERT models were trained.

    Attributes:
        layer: The keras-hub layer that cuts words into pieces; an export must track it (lookup tables).
        kind: `word_piece`, `byte_pair` or `sentence_piece`.
        lowercase: Whether texts are lower-cased here.
        strip_accents: Whether accents are removed here.
        vocabulary_size: Ids are in [0, vocabulary_size).

    Raises:
        ModelError: When the layer is of another kind or lacks a special token.

    Example:
        >>> tokenizer = learn_word_pieces(["where is my parcel", "cancel my parcel"], size=60)
        >>> tokenizer(["my parcel"], sequence_length=8)["token_ids"].shape
        (1, 8)
    """

    def __init__(
        self, layer: keras_hub.tokenizers.Tokenizer, *, lowercase: bool | None = None, strip_accents: bool | None = None
    ) -> None:
        self.kind = kind_of(layer)
        self.lowercase = False
        self.strip_accents = False
        if self.kind == "word_piece":
            self.lowercase = layer.lowercase if lowercase is None else lowercase
            self.strip_accents = (layer.strip_accents or self.lowercase) if strip_accents is None else strip_accents
            layer = plain_word_pieces(layer)
        elif self.kind == "sentence_piece":
            layer._sentence_piece._model_resource = _LastingPieces(layer.proto)
        self.layer = layer
        self._special = special_tokens(layer)
        self._packer = keras_hub.layers.StartEndPacker(
            sequence_length=None,
            start_value=self._special["start"][1],
            end_value=self._special["end"][1],
            pad_value=self._special["padding"][1],
            return_padding_mask=True,
        )
        self._vocabulary = vocabulary_of(layer)
        self.vocabulary_size = len(self._vocabulary)
        self._pieces = tf.function(self._cut).get_concrete_function(tf.TensorSpec([None], tf.string))
        self._packed: dict[int, Callable[[tf.Tensor], dict[str, tf.Tensor]]] = {}

    def __call__(self, texts: Sequence[str], *, sequence_length: int) -> dict[str, np.ndarray]:
        """Token ids of texts, cut or padded to one length.

        Args:
            texts: n strings; lone surrogates and NUL become U+FFFD.
            sequence_length: Tokens a text, start and end included; longer texts lose their end.

        Returns:
            `token_ids` and `padding_mask` (1 token, 0 padding), each int32 (n, sequence_length).

        Raises:
            ModelError: When `sequence_length` is below 3.
        """
        rows = [self.in_graph(chunk, sequence_length=sequence_length) for chunk in _chunks(texts)]
        return {
            key: np.concatenate([np.zeros((0, sequence_length), np.int32), *(row[key].numpy() for row in rows)])
            for key in ("token_ids", "padding_mask")
        }

    def in_graph(self, texts: tf.Tensor, *, sequence_length: int) -> dict[str, tf.Tensor]:
        """The same ids as TensorFlow ops, for a tf.data pipeline or an exported signature.

        Args:
            texts: tf.string (n,), UTF-8; invalid bytes and NUL become U+FFFD.
            sequence_length: As for a call.

        Returns:
            `token_ids` and `padding_mask`, each int32 (n, sequence_length).

        Raises:
            ModelError: When `sequence_length` is below 3.
        """
        if sequence_length < 3:
            raise ModelError(
                f"sequence_length must be 3 or more; got {sequence_length}", hint="start and end take two tokens"
            )
        if tf.executing_eagerly():  # keras-hub would run Python code of its own instead
            if sequence_length not in self._packed:
                packed = tf.function(lambda batch: self.in_graph(batch, sequence_length=sequence_length))
                self._packed[sequence_length] = packed.get_concrete_function(tf.TensorSpec([None], tf.string))
            return dict(self._packed[sequence_length](tf.convert_to_tensor(texts, tf.string)))
        ids, mask = self._packer(self._pieces(texts), sequence_length=sequence_length)
        shape = [texts.shape[0], sequence_length]
        return {
            "token_ids": tf.ensure_shape(tf.cast(ids, tf.int32), shape),
            "padding_mask": tf.ensure_shape(tf.cast(mask, tf.int32), shape),
        }

    def lengths(self, texts: Sequence[str]) -> np.ndarray:
        """int32 (n,): tokens of each text before anything is cut, start and end included.

        Example:
            >>> tokenizer.lengths(["", "my parcel"]).tolist()[0]
            2
        """
        counts = [self._pieces(chunk).row_lengths().numpy() + 2 for chunk in _chunks(texts)]
        return np.concatenate([np.zeros(0, np.int32), *counts]).astype(np.int32)

    def tokens(self, ids: Sequence[int] | np.ndarray) -> list[str]:
        """The vocabulary's own strings of token ids (m,), special tokens included.

        Raises:
            ModelError: When an id is not in the vocabulary.

        Example:
            >>> tokenizer.tokens([2, 3])
            ['[CLS]', '[SEP]']
        """
        wrong = [int(number) for number in ids if not 0 <= number < self.vocabulary_size]
        if wrong:
            raise ModelError(f"ids must be in [0, {self.vocabulary_size}); got {', '.join(map(str, wrong[:10]))}")
        return [self._vocabulary[int(number)] for number in ids]

    def specification(self) -> dict[str, object]:
        """All that is needed to write this tokeniser again on a device, as plain values for `json.dump`."""
        specials = {role: {"token": token, "id": number} for role, (token, number) in self._special.items()}
        common = {
            "kind": self.kind,
            "keras_hub_class": type(self.layer).__name__,
            "vocabulary_files": list(self.layer.file_assets),
            "vocabulary_size": self.vocabulary_size,
            "special_tokens": specials,
            "packing": "start, then the first sequence_length - 2 tokens, then end; padding on the right",
            "encoding": "UTF-8",
        }
        if self.kind != "word_piece":
            return {**common, "normalization": list(BYTE_PAIR_STEPS if self.kind == "byte_pair" else (VALID_STEP,))}
        unknown = self.layer.oov_token
        specials["unknown"] = {"token": unknown, "id": int(self.layer.token_to_id(unknown))}
        return {
            **common,
            "lowercase": self.lowercase,
            "strip_accents": self.strip_accents,
            "normalization": word_piece_steps(lowercase=self.lowercase, strip_accents=self.strip_accents),
            "splitting": "words end at spaces; every punctuation character (ASCII symbols and Unicode P) and every "
            "CJK ideograph is a word of its own; special tokens written in a text are plain text",
            "pieces": "the longest piece of the vocabulary from the left, then again from there with the suffix "
            "indicator before it; a word that cannot be finished, or is too long, is one unknown token",
            "suffix_indicator": self.layer.suffix_indicator,
            "max_bytes_per_word": _MAX_BYTES_PER_WORD,
        }

    def _cut(self, texts: tf.Tensor) -> tf.RaggedTensor:
        texts = valid_utf8(texts)
        if self.kind == "word_piece":
            texts = normalize_for_word_pieces(texts, lowercase=self.lowercase, strip_accents=self.strip_accents)
        elif self.kind == "byte_pair":
            texts = normalize_for_byte_pairs(texts)
        return tf.cast(self.layer(texts), tf.int32)

    def save(self, folder: Path) -> None:
        """Write the vocabulary and the specification into `folder`, for `open_tokenizer` and for devices.

        Raises:
            RunError: When it cannot be written there.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.layer.save_assets(str(folder))
            for name, content in (
                (SPECIFICATION_FILE, self.specification()),
                (LAYER_FILE, keras.saving.serialize_keras_object(self.layer)),
            ):
                (folder / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        except OSError as fault:
            raise RunError(f"the tokeniser cannot be written to '{folder}': {fault.strerror}") from None


def _chunks(texts: Sequence[str]) -> Iterator[tf.Tensor]:
    for start in range(0, len(texts), _CHUNK):
        chunk = [replace_unusable(text).encode() for text in texts[start : start + _CHUNK]]
        yield tf.constant(chunk, tf.string)
