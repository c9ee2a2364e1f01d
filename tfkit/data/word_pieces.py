"""WordPiece by Python's own library alone: this file is copied into bundles too, and imports nothing of tfkit.

Only what was shown to be equal to TF Text's graph is done here: letters whose case, accents and class are the same in
every version of Unicode that TensorFlow, RE2 or Python may know, and which do not depend on their neighbours.
"""

import io
import json
import re
import unicodedata
from collections.abc import Callable
from typing import Any

# ASCII without NUL, Latin with its accents, Cyrillic, dashes and quotation marks, currencies, ideographs. Not Greek,
# whose sigma depends on what follows, nor any mark that stands on the letter before it.
_KNOWN = "\x01-\x7e\xa0-\u017f\u0400-\u0482\u048a-\u04ff\u2010-\u2027\u2030-\u203a\u20a0-\u20b5\u4e00-\u9fa5"
_UNKNOWN = re.compile(f"[^{_KNOWN}]")
_IDEOGRAPHS = re.compile("[\u4e00-\u9fa5]")
_SUFFIX = "##"
_MAX_BYTES_PER_WORD = 100
_PLAIN = {"kind": "word_piece", "suffix_indicator": _SUFFIX, "max_bytes_per_word": _MAX_BYTES_PER_WORD}


def unknown_letter(text: str) -> str | None:
    """The first letter of a text that only TF Text may read as training did; None where there is none.

    Example:
        >>> unknown_letter("where is my parcel?")
        >>> unknown_letter("50 \N{GREEK SMALL LETTER ALPHA}")
        '\N{GREEK SMALL LETTER ALPHA}'
    """
    found = _UNKNOWN.search(text)
    return found[0] if found else None


class WordPieces:
    """Greedy longest pieces of the words of a text (Schuster & Nakajima 2012).

    Args:
        read: The content of each file that `text.Tokenizer.save` wrote, by its name.

    Attributes:
        start: The id before a text.
        end: The id behind it.
        padding: The id after that.

    Raises:
        ValueError: When it is no plain WordPiece tokeniser, or its files do not agree; KeyError, TypeError and others
            when they are not what `save` writes.

    Example:
        >>> WordPieces(lambda name: (folder / name).read_bytes()).row("my parcel", 6)  # doctest: +SKIP
        ([2, 61, 97, 3, 0, 0], [1, 1, 1, 1, 0, 0])
    """

    def __init__(self, read: Callable[[str], bytes]) -> None:
        said: Any = json.loads(read("specification.json").decode())
        if any(said[key] != value for key, value in _PLAIN.items()) or said["vocabulary_files"] != ["vocabulary.txt"]:
            raise ValueError("no plain WordPiece")
        layer: Any = json.loads(read("keras_layer.json").decode())
        if layer["class_name"] != said["keras_hub_class"]:
            raise ValueError("the layer is another one")
        lines = io.StringIO(read("vocabulary.txt").decode(), newline=None)
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

    def row(self, text: str, length: int) -> tuple[list[int], list[int]]:
        """The ids of a text with its start and end, cut or padded to a length of 3 or more, and their mask.

        Args:
            text: Letters of which none is an `unknown_letter`.
            length: Tokens of the row.

        Returns:
            The ids, and 1 for each token, 0 for padding.
        """
        found = [self.start, *self.cut(text)[: length - 2], self.end]
        behind = length - len(found)
        return found + [self.padding] * behind, [1] * len(found) + [0] * behind

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
