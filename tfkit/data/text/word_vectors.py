"""Word vectors from a text file, and the words near others."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfkit.errors import DataError
from tfkit.files import refuse_irregular

_NEAREST = 5
_LEAST_SIMILARITY = 0.7
_BLOCK = 256  # words compared with all others at a time: bounds the memory


@dataclass(frozen=True, eq=False)
class WordVectors:
    """Words and their unit vectors.

    Attributes:
        words: The n words, in the file's order (most have the most frequent first).
        vectors: float32 (n, dimensions), each of length 1.
    """

    words: tuple[str, ...]
    vectors: np.ndarray


def read_word_vectors(path: Path, *, most: int = 100_000) -> WordVectors:
    """Read GloVe's text format, or word2vec's with its first line `count dimensions`.

    Args:
        path: The file, UTF-8: a word and its numbers a line, parted by spaces.
        most: Words to read; files have the frequent ones first.

    Returns:
        The words and their vectors.

    Raises:
        DataError: When it is missing or a line is not as above.
    """
    words: list[str] = []
    rows: list[np.ndarray] = []
    try:
        refuse_irregular(path.expanduser())
        with path.expanduser().open(encoding="utf-8", errors="replace", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                fields = line.rstrip().split(" ")
                if number == 1 and len(fields) == 2 and all(field.isdigit() for field in fields):
                    continue
                if len(words) == most:
                    break
                row = np.array(fields[1:], np.float32)
                if len(row) == 0 or (rows and len(row) != len(rows[0])) or not np.isfinite(row).all():
                    expected = f"{len(rows[0])} numbers" if rows else "numbers"
                    raise ValueError(f"line {number} has {len(row)} numbers after '{fields[0]}', expected {expected}")
                words.append(fields[0])
                rows.append(row)
    except OSError as fault:
        raise DataError(f"the word vectors '{path}' cannot be read: {fault.strerror}") from None
    except ValueError as fault:
        raise DataError(
            f"'{path}' is no file of word vectors: {fault} (line {len(words) + 1})",
            hint="expected a word and its numbers a line, as GloVe's .txt and word2vec's text format",
        ) from None
    if not rows:
        raise DataError(f"the word vectors '{path}' are empty")
    vectors = np.stack(rows)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return WordVectors(tuple(words), vectors / np.maximum(norms, 1e-12))


def nearest_words(vectors: WordVectors, wanted: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The nearest words by cosine, at most 5, none below 0.7, of those wanted words that have any.

    Args:
        vectors: Words and vectors.
        wanted: Lower-case words; numbers and what is not in the file are passed over.

    Returns:
        The neighbours by word, nearest first.
    """
    place_of = {word: place for place, word in enumerate(vectors.words)}
    is_word = np.array([word.isalpha() for word in vectors.words])
    places = [place_of[word] for word in wanted if word in place_of and word.isalpha()]
    found: dict[str, tuple[str, ...]] = {}
    for start in range(0, len(places), _BLOCK):
        block = np.array(places[start : start + _BLOCK])
        similarity = np.where(is_word, vectors.vectors[block] @ vectors.vectors.T, -1.0)
        similarity[np.arange(len(block)), block] = -1.0
        nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :_NEAREST]
        for row, place in enumerate(block):
            near = tuple(vectors.words[other] for other in nearest[row] if similarity[row, other] >= _LEAST_SIMILARITY)
            if near:
                found[vectors.words[place]] = near
    return found
