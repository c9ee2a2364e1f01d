"""The token ids of `text.Tokenizer`, to the number, from Python alone: for commands without TensorFlow.

Starting TensorFlow takes seconds, running one text through a `.tflite` file a hundredth of that. Only what was shown
to be equal is done here: WordPiece, on letters whose case, accents and class are the same in every version of Unicode
that TensorFlow, RE2 or Python may know, and which do not depend on their neighbours. Any other text is left to TF Text.
"""

import io
import json
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfkit.artifacts import TextSpec
from tfkit.files import read_regular_file

# ASCII without NUL, Latin with its accents, Cyrillic, dashes and quotation marks, currencies, ideographs. Not Greek,
# whose sigma depends on what follows, nor any mark that stands on the letter before it.
_KNOWN = "\x01-\x7e\xa0-\u017f\u0400-\u0482\u048a-\u04ff\u2010-\u2027\u2030-\u203a\u20a0-\u20b5\u4e00-\u9fa5"
_UNKNOWN = re.compile(f"[^{_KNOWN}]")
_IDEOGRAPHS = re.compile("[\u4e00-\u9fa5]")
_SUFFIX = "##"
_MAX_BYTES_PER_WORD = 100
_PLAIN = {"kind": "word_piece", "suffix_indicator": _SUFFIX, "max_bytes_per_word": _MAX_BYTES_PER_WORD}


def token_ids_on_host(texts: Sequence[str], text: TextSpec) -> dict[str, np.ndarray] | None:
    """Token ids of texts as `text.Tokenizer` gives them.

    Args:
        texts: n strings.
        text: Length and tokeniser.

    Returns:
        `token_ids` and `padding_mask` (1 token, 0 padding), each int32 (n, sequence_length); None when only TF Text can
        tell: another kind of tokeniser, a letter of another script, or anything wrong with the tokeniser's files.

    Example:
        >>> ids = token_ids_on_host(["where is my parcel?"], artifact.input)  # doctest: +SKIP
    """
    if text.sequence_length < 3 or any(_UNKNOWN.search(one) for one in texts):
        return None
    try:
        pieces = _WordPieces(text.tokenizer)
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
    ):  # `open_tokenizer` has the words for it
        return None
    ids = np.full((len(texts), text.sequence_length), pieces.padding, np.int32)
    mask = np.zeros_like(ids)
    for row, one in enumerate(texts):
        found = [pieces.start, *pieces.cut(one)[: text.sequence_length - 2], pieces.end]
        ids[row, : len(found)], mask[row, : len(found)] = found, 1
    return {"token_ids": ids, "padding_mask": mask}


class _WordPieces:
    """Greedy longest pieces of the words of a text (Schuster & Nakajima 2012).

    Args:
        folder: What `text.Tokenizer.save` wrote.

    Raises:
        ValueError: When it is no plain WordPiece tokeniser, or its files do not agree; other kinds when they cannot be
            read.
    """

    def __init__(self, folder: Path) -> None:
        said: Any = json.loads(read_regular_file(folder / "specification.json").decode())
        if any(said[key] != value for key, value in _PLAIN.items()) or said["vocabulary_files"] != ["vocabulary.txt"]:
            raise ValueError("no plain WordPiece")
        layer: Any = json.loads(read_regular_file(folder / "keras_layer.json").decode())
        if layer["class_name"] != said["keras_hub_class"]:
            raise ValueError("the layer is another one")
        lines = io.StringIO(read_regular_file(folder / "vocabulary.txt").decode(), newline=None)
        vocabulary = [line.rstrip() for line in lines]  # as keras-hub reads it
        self._ids = {token: number for number, token in enumerate(vocabulary)}
        if len(self._ids) != len(vocabulary) or said["vocabulary_size"] != len(vocabulary) or "" in self._ids:
            raise ValueError("a token that stands there twice or is empty, or another number of them")
        special = {role: said["special_tokens"][role] for role in ("start", "end", "padding", "unknown")}
        if any(self._ids[token["token"]] != token["id"] for token in special.values()):
            raise ValueError("a special token has another place in the vocabulary")
        self.start, self.end, self.padding, self._unknown = (int(token["id"]) for token in special.values())
        self._longest = max(map(len, vocabulary))
        self._steps = {key: said[key] is True for key in ("lowercase", "strip_accents")}
        self._words: dict[str, list[int]] = {}

    def cut(self, text: str) -> list[int]:
        """The ids of a text's pieces, without start and end."""
        letters = "".join(map(_apart, self._normalized(text)))
        return [number for word in letters.split(" ") if word for number in self._pieces(word)]

    def _normalized(self, text: str) -> str:
        text = "".join(map(_cleaned, text))
        if self._steps["strip_accents"]:
            apart = unicodedata.normalize("NFD", text)
            text = "".join(letter for letter in apart if unicodedata.category(letter) != "Mn")
        return text.lower() if self._steps["lowercase"] else text

    def _pieces(self, word: str) -> list[int]:
        if word not in self._words:
            self._words[word] = self._longest_pieces(word)
        return self._words[word]

    def _longest_pieces(self, word: str) -> list[int]:
        if len(word.encode()) > _MAX_BYTES_PER_WORD:
            return [self._unknown]
        found: list[int] = []
        start = 0
        while start < len(word):
            indicator = _SUFFIX if start else ""
            ends = range(min(len(word), start + self._longest), start, -1)
            end = next((end for end in ends if indicator + word[start:end] in self._ids), None)
            if end is None:
                return [self._unknown]
            found.append(self._ids[indicator + word[start:end]])
            start = end
        return found


def _cleaned(letter: str) -> str:
    category = unicodedata.category(letter)
    if letter in "\t\n\r" or category[0] == "Z":
        return " "
    return "" if category[0] == "C" else letter


def _apart(letter: str) -> str:
    """Punctuation and ideographs are words of their own."""
    ascii_symbol = letter.isascii() and not letter.isalnum() and letter != " "
    alone = ascii_symbol or unicodedata.category(letter)[0] == "P" or _IDEOGRAPHS.match(letter)
    return f" {letter} " if alone else letter
