"""Which word pieces a word of a text became."""

import re
import unicodedata
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfkit.data.text import Tokenizer

_CHUNK = 64  # prefixes tokenised at a time
# Over a text's letters as `_kind` tells them: a word, parted by one mark at most (don't, 3.50), marks in a row, or one
# ideograph, for which scripts without spaces have no word to show.
_WORDS = re.compile("l+(?:ml+)*|m+|i")
_IDEOGRAPHS = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2FA1F))


@dataclass(frozen=True)
class Word:
    """A word as it stands in a text, and its pieces.

    Attributes:
        start: Its first character's place in the text.
        end: The place behind its last character.
        first: The row of its first piece among the tokens, of which the start token is row 0.
        last: The row behind its last piece.

    Example:
        >>> words_of("my parcel", tokenizer, sequence_length=8)[1].start
        3
    """

    start: int
    end: int
    first: int
    last: int


def words_of(text: str, tokenizer: Tokenizer, *, sequence_length: int) -> tuple[Word, ...]:
    """Find the words of a text and the tokens that each became.

    Tokenisers do not say where a piece came from: they clean, lower-case and decompose first. So the text is
    tokenised again up to the end of each word; a word owns the tokens that came with it. Where tokens do not end with
    a word, as SentencePiece's may not, it is joined with the next.

    Args:
        text: Any text.
        tokenizer: The model's tokeniser.
        sequence_length: Tokens of a text at most, start and end included.

    Returns:
        The words that the model reads, in order; what was cut off is in none of them.

    Example:
        >>> [(word.start, word.end) for word in words_of("it's late!", tokenizer, sequence_length=8)]
        [(0, 4), (5, 9), (9, 10)]
    """
    whole, total = _pieces([text], tokenizer, sequence_length)[0]
    spans = _spans(text)
    words: list[Word] = []
    start: int | None = None
    done = 0
    for chunk in (spans[at : at + _CHUNK] for at in range(0, len(spans), _CHUNK)):
        if done == total:
            break
        prefixes = _pieces([text[:end] for _, end in chunk], tokenizer, sequence_length)
        for (begins, end), (ids, count) in zip(chunk, prefixes, strict=True):
            start = begins if start is None else start
            if done < count <= total and np.array_equal(ids[:count], whole[:count]):
                words.append(Word(start, end, 1 + done, 1 + count))
                start, done = None, count
            elif count == done:  # nothing of it is left after cleaning
                start = None
    return tuple(words)


def _pieces(texts: list[str], tokenizer: Tokenizer, sequence_length: int) -> list[tuple[NDArray[np.int32], int]]:
    """The ids of each text without start and end, and how many they are."""
    tokens = tokenizer(texts, sequence_length=sequence_length)
    counts = tokens["padding_mask"].sum(axis=1) - 2
    return [(ids[1:-1], int(count)) for ids, count in zip(tokens["token_ids"], counts, strict=True)]


def _spans(text: str) -> list[tuple[int, int]]:
    return [found.span() for found in _WORDS.finditer("".join(map(_kind, text)))]


def _kind(character: str) -> str:
    if character.isspace():
        return "s"
    if any(low <= ord(character) <= high for low, high in _IDEOGRAPHS):
        return "i"
    return "m" if unicodedata.category(character)[0] in "PS" else "l"
