"""Texts changed a little each epoch: words left out, swapped, replaced by near ones, or by a user's own function."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfkit.arguments import fields_take_text
from tfkit.data.text.normalizing import replace_unusable
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


Operation = Callable[[list[str], np.random.Generator], list[str]]


@fields_take_text
@dataclass(frozen=True)
class TextAugmentation:
    """What may happen to a training text in an epoch (Wei & Zou 2019, "EDA", for delete, swap and synonyms).

    A text that is changed undergoes one operation, chosen at random among those that are switched on. Words are
    what white space parts; texts of one word are left as they are by delete and swap.

    Attributes:
        delete: Chance of each word to be left out, in [0, 1); 0 switches it off. One word always stays.
        swap: Pairs of words swapped, as a share of the words, in [0, 1].
        synonyms: Words replaced by a near neighbour in `word_vectors`, as a share of the words, in [0, 1].
            Vectors learned from context also hold opposites near (`good`, `bad`): not for sentiment.
        word_vectors: A text file of word vectors, GloVe's or word2vec's: a word and its numbers a line.
        hook: Text -> text, a user's own (back-translation, say), one more operation. Called in training, again
            and again: it should be quick, or keep what it found.
        share: Share of the texts that are changed in an epoch, in [0, 1]; the others stay as they are.

    Raises:
        DataError: When a value is out of range, or synonyms lack their vectors; all faults at once.

    Example:
        >>> augmentation = TextAugmentation(delete=0.0, swap=0.5)
        >>> changed = augmentation.augmented(["where is my green parcel"], seed=3, epoch=0)
        >>> sorted(changed[0].split())
        ['green', 'is', 'my', 'parcel', 'where']
    """

    delete: float = 0.1
    swap: float = 0.1
    synonyms: float = 0.0
    word_vectors: Path | None = None
    hook: Callable[[str], str] | None = None
    share: float = 0.5

    def __post_init__(self) -> None:
        faults = [
            f"{name} must be in [0, 1{']' if closed else ')'}; got {value}"
            for name, value, closed in (
                ("delete", self.delete, False),
                ("swap", self.swap, True),
                ("synonyms", self.synonyms, True),
                ("share", self.share, True),
            )
            if not (0.0 <= value < 1.0 or (closed and value == 1.0))
        ]
        if self.synonyms and self.word_vectors is None:
            faults.append("synonyms need word_vectors, a file of word vectors")
        if self.hook is not None and not callable(self.hook):
            faults.append(f"hook must be a function of a text; got {type(self.hook).__name__}")
        if faults:
            raise DataError("; ".join(faults), hint="check the augmentation section")

    def augmented(self, texts: Sequence[str], *, seed: int, epoch: int) -> list[str]:
        """All texts as an epoch sees them.

        Args:
            texts: The n texts of a split.
            seed: The same seed gives the same changes.
            epoch: Which epoch.

        Returns:
            n texts, in order.

        Example:
            >>> TextAugmentation(delete=0.0, swap=0.0).augmented(["where is it"], seed=0, epoch=0)
            ['where is it']
        """
        change = self._prepared(texts)
        return [change(text, np.random.default_rng((seed, epoch, place))) for place, text in enumerate(texts)]

    def in_pipeline(self, texts: Sequence[str], *, seed: int) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
        """The same inside tf.data.

        Args:
            texts: The n texts of a split.
            seed: The same seed gives the same changes.

        Returns:
            A function of epochs and positions, each int64 (batch,), to tf.string (batch,).

        Raises:
            DataError: When the word vectors cannot be read, or the hook fails on the first text.
        """
        change = self._prepared(texts)
        if self.hook is not None and texts:
            _call_hook(self.hook, texts[0])

        def change_batch(epochs: np.ndarray, positions: np.ndarray) -> np.ndarray:
            changed = [
                change(texts[position], np.random.default_rng((seed, int(epoch), int(position))))
                for epoch, position in zip(epochs, positions, strict=True)
            ]
            return np.array([text.encode() for text in changed], dtype=object)

        def batch(epochs: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
            return tf.ensure_shape(tf.numpy_function(change_batch, [epochs, positions], tf.string), [None])

        return batch

    def _prepared(self, texts: Sequence[str]) -> Callable[[str, np.random.Generator], str]:
        operations: list[Operation] = []
        if self.delete:
            operations.append(lambda words, rng: _delete(words, rng, self.delete))
        if self.swap:
            operations.append(lambda words, rng: _swap(words, rng, self.swap))
        if self.synonyms and self.word_vectors is not None:
            words_of_texts = sorted({word.lower() for text in texts for word in text.split()})
            neighbours = nearest_words(read_word_vectors(self.word_vectors), words_of_texts)
            operations.append(lambda words, rng: _replace(words, rng, self.synonyms, neighbours))
        if (hook := self.hook) is not None:
            operations.append(lambda words, _: [_call_hook(hook, " ".join(words))])

        def change(text: str, rng: np.random.Generator) -> str:
            if not operations or not text.strip() or rng.random() >= self.share:
                return text
            changed = " ".join(operations[rng.integers(len(operations))](text.split(), rng)).strip()
            return changed or text

        return change


def _delete(words: list[str], rng: np.random.Generator, chance: float) -> list[str]:
    kept = [word for word, draw in zip(words, rng.random(len(words)), strict=True) if draw >= chance]
    return kept or [words[rng.integers(len(words))]]


def _swap(words: list[str], rng: np.random.Generator, share: float) -> list[str]:
    swapped = list(words)
    if len(words) > 1:
        for _ in range(_count(words, share)):
            first, second = rng.choice(len(words), 2, replace=False)
            swapped[first], swapped[second] = swapped[second], swapped[first]
    return swapped


def _replace(
    words: list[str], rng: np.random.Generator, share: float, neighbours: dict[str, tuple[str, ...]]
) -> list[str]:
    replaced = list(words)
    known = [place for place, word in enumerate(words) if word.lower() in neighbours]
    for place in rng.permutation(known)[: _count(words, share)].astype(int):
        near = neighbours[words[place].lower()]
        replaced[place] = near[rng.integers(len(near))]
    return replaced


def _count(words: list[str], share: float) -> int:
    return max(1, round(share * len(words)))  # as in the paper: at least one


def _call_hook(hook: Callable[[str], str], text: str) -> str:
    try:
        changed = hook(text)
    except Exception as fault:  # a user's own code may raise anything
        raise DataError(
            f"the augmentation's own function failed on '{text[:80]}': {type(fault).__name__}: {fault}",
            hint="it takes a text and gives a text back; try it on this one",
        ) from fault
    if not isinstance(changed, str):
        raise DataError(
            f"the augmentation's own function gave {type(changed).__name__} for '{text[:80]}', expected a string",
            hint="return the text unchanged when there is nothing to change",
        )
    return replace_unusable(changed)
