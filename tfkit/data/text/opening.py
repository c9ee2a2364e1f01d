"""Tokenisers that exist already, by folder or name, and new ones learned from texts."""

import json
from collections.abc import Sequence
from pathlib import Path

import keras
import keras_hub
import tensorflow as tf
from tensorflow_text.tools.wordpiece_vocab.bert_vocab_from_dataset import bert_vocab_from_dataset

from tfkit.artifacts.artifact import SPECIFICATION_FILE
from tfkit.data.text.normalizing import normalize_for_word_pieces, replace_unusable, valid_utf8
from tfkit.data.text.tokenizer import LAYER_FILE, Tokenizer
from tfkit.errors import DataError, ModelError, printable
from tfkit.files import refuse_irregular

_SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def open_tokenizer(source: Path | str | keras_hub.tokenizers.Tokenizer) -> Tokenizer:
    """A tokeniser that was saved, comes with a model, or is a keras-hub layer already.

    Args:
        source: A folder that `Tokenizer.save` wrote; a Hugging Face or keras-hub model folder; the name of a
            keras-hub preset (`bert_tiny_en_uncased`) or `hf://user/model`; or a keras-hub tokeniser.

    Returns:
        The tokeniser. Of a Hugging Face folder, `strip_accents` in tokenizer_config.json decides about accents,
        and null means what it means there: uncased models drop them.

    Raises:
        ModelError: When nothing usable is there.

    Example:
        >>> open_tokenizer("bert_tiny_en_uncased").kind  # doctest: +SKIP
        'word_piece'
    """
    if not isinstance(source, (str, Path)):
        return Tokenizer(source)
    folder = Path(source).expanduser()
    is_folder = folder.is_dir()
    if is_folder:
        _refuse_pipes(folder)
    if (folder / SPECIFICATION_FILE).is_file():
        return _open_saved(folder)
    if isinstance(source, Path) and not is_folder:
        raise ModelError(f"the tokeniser's folder '{folder}' does not exist")
    try:
        layer = keras_hub.tokenizers.Tokenizer.from_preset(str(folder) if is_folder else str(source))
    except Exception as fault:  # files of others: missing keys, broken JSON, no network, an unknown preset
        reason = (str(fault).strip().splitlines() or [type(fault).__name__])[0][:300]
        raise ModelError(
            f"no tokeniser could be opened from '{source}': {reason}",
            hint="name a folder with the model's vocabulary and configuration, or a keras-hub preset",
        ) from None
    return Tokenizer(layer, strip_accents=_accents_setting(folder) if is_folder else None)


def learn_word_pieces(texts: Sequence[str], *, size: int, lowercase: bool = True) -> Tokenizer:
    """Learn a WordPiece vocabulary for a BERT that is trained from scratch (Schuster & Nakajima 2012).

    Args:
        texts: Training texts only: what the vocabulary has seen must not include the test split.
        size: Tokens at most, the five special ones included.
        lowercase: Whether texts are lower-cased and lose their accents.

    Returns:
        A BERT tokeniser; the same texts give the same vocabulary.

    Raises:
        DataError: When there is no text, or `size` is too small for the characters that occur.

    Example:
        >>> learn_word_pieces(["where is my parcel", "cancel my parcel"], size=60).tokens([2, 3])
        ['[CLS]', '[SEP]']
    """
    if not any(text.strip() for text in texts):
        raise DataError("a vocabulary cannot be learned from no text", hint="give the training split's texts")
    if size < 2 * len(_SPECIAL_TOKENS):
        raise DataError(f"a vocabulary's size must be {2 * len(_SPECIAL_TOKENS)} or more; got {size}")
    cleaned = tf.data.Dataset.from_tensor_slices([replace_unusable(text).encode() for text in texts]).batch(1024)
    cleaned = cleaned.map(
        lambda batch: normalize_for_word_pieces(valid_utf8(batch), lowercase=lowercase, strip_accents=lowercase)
    )
    try:
        vocabulary = bert_vocab_from_dataset(
            cleaned,
            size,
            list(_SPECIAL_TOKENS),
            bert_tokenizer_params={"lower_case": False},  # done above
            # Its default, 10, is for corpora of millions of words: of a few hundred texts it leaves single letters.
            learn_params={"lower_thresh": 2},
        )
    except ValueError as fault:
        raise DataError(
            f"no vocabulary of {size} word pieces could be learned: {fault}", hint="ask for a larger one"
        ) from None
    layer = keras_hub.tokenizers.BertTokenizer(vocabulary=vocabulary[:size])
    return Tokenizer(layer, lowercase=lowercase, strip_accents=lowercase)


def _refuse_pipes(folder: Path) -> None:
    """Libraries that open what lies in a folder would wait for a pipe for ever."""
    for file in folder.iterdir():
        if not file.exists() or file.is_dir():
            continue
        try:
            refuse_irregular(file)
        except OSError as fault:
            raise ModelError(
                f"no tokeniser can be opened from '{folder}': '{file.name}': {fault.strerror}",
                hint="put a regular file there, or take it away",
            ) from None


def _open_saved(folder: Path) -> Tokenizer:
    try:
        specification = json.loads((folder / SPECIFICATION_FILE).read_text(encoding="utf-8"))
        layer = keras.saving.deserialize_keras_object(json.loads((folder / LAYER_FILE).read_text(encoding="utf-8")))
        layer.load_assets(str(folder))
        tokenizer = Tokenizer(
            layer, lowercase=specification.get("lowercase"), strip_accents=specification.get("strip_accents")
        )
        agrees = tokenizer.vocabulary_size == specification["vocabulary_size"]
    except Exception as fault:  # keras-hub, TF Text and JSON raise a dozen kinds at odd files
        reason = printable((str(fault).strip().splitlines() or [type(fault).__name__])[0][:300])
        raise ModelError(
            f"the tokeniser in '{folder}' is damaged: {reason}", hint="copy or save its whole folder again"
        ) from None
    if not agrees:
        raise ModelError(
            f"the vocabulary in '{folder}' has {tokenizer.vocabulary_size} tokens; "
            f"{SPECIFICATION_FILE} says {specification['vocabulary_size']}",
            hint="copy or save its whole folder again",
        )
    return tokenizer


def _accents_setting(folder: Path) -> bool | None:
    try:
        setting = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")).get("strip_accents")
    except (OSError, ValueError):
        return None
    return setting if isinstance(setting, bool) else None
