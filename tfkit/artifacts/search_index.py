"""Texts to be found by meaning: their vectors, and how sure an answer must be.

Not part of `tfkit.artifacts` itself, because NumPy takes a tenth of a second that `tfkit --help` has no need of.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfkit.errors import ModelError
from tfkit.files import write_whole

INDEX_NAME = "index.json"
VECTORS_NAME = "vectors.npy"
_STEP = 512  # texts compared at once, so that similarities to many thousands fit into memory


@dataclass(frozen=True, eq=False)
class SearchIndex:
    """What a text is compared with, and how the comparison becomes an answer.

    Attributes:
        texts: The n indexed texts.
        labels: int32 (n,), their classes, positions in `class_names`.
        class_names: The classes, such as intents.
        vectors: float32 (n, d), their embeddings, each of length 1, from the Keras model.
        temperature: What similarities are divided by before the softmax; see `probabilities`.
        threshold: An answer less probable than this is "not sure".
        min_cosine: So is one to a text that is farther than this from every indexed text: the softmax only weighs
            labels against each other, and some label is the nearest to any text.
        answers: What to reply, by class name; classes without one reply with their name.

    Example:
        >>> known = np.eye(2, dtype=np.float32)
        >>> index = SearchIndex(("where is it?", "my money back"), np.int32([0, 1]), ("parcel", "refund"), known)
        >>> found, cosine = index.nearest(np.float32([[0.8, 0.6]]))
        >>> index.texts[found[0, 0]], round(float(cosine[0, 0]), 2)
        ('where is it?', 0.8)
    """

    texts: tuple[str, ...]
    labels: NDArray[np.int32]
    class_names: tuple[str, ...]
    vectors: NDArray[np.float32]
    temperature: float = 1.0
    threshold: float = 0.0
    min_cosine: float = -1.0
    answers: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.texts)

    def nearest(self, vectors: NDArray[np.float32], *, count: int = 1) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The indexed texts that are most like others.

        Args:
            vectors: float32 (m, d), each of length 1.
            count: How many for each; fewer when the index is smaller.

        Returns:
            Their positions, int64 (m, count), the nearest first, and their cosines, float32 (m, count).
        """
        count = min(count, len(self))
        found = np.empty((len(vectors), count), np.int64)
        cosines = np.empty((len(vectors), count), np.float32)
        for start in range(0, len(vectors), _STEP):
            part = vectors[start : start + _STEP] @ self.vectors.T
            order = np.argsort(-part, axis=1, kind="stable")[:, :count]
            found[start : start + _STEP] = order
            cosines[start : start + _STEP] = np.take_along_axis(part, order, axis=1)
        return found, cosines

    def class_similarities(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 (m, classes): the cosine with the nearest indexed text of each class; -1 where it has none.

        Example:
            >>> known = np.eye(2, dtype=np.float32)
            >>> index = SearchIndex(("where is it?", "my money back"), np.int32([0, 1]), ("parcel", "refund"), known)
            >>> index.class_similarities(np.float32([[1.0, 0.0]])).tolist()
            [[1.0, 0.0]]
        """
        found = np.full((len(vectors), len(self.class_names)), -1.0, np.float32)
        members = [np.flatnonzero(self.labels == number) for number in range(len(self.class_names))]
        for start in range(0, len(vectors), _STEP):
            part = vectors[start : start + _STEP] @ self.vectors.T
            for number, of_class in enumerate(members):
                if len(of_class):
                    found[start : start + _STEP, number] = part[:, of_class].max(axis=1)
        return found

    def probabilities(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """How probable each class is: the softmax of its nearest text's cosine, divided by the temperature.

        Args:
            vectors: float32 (m, d), each of length 1.

        Returns:
            float32 (m, classes). The class of the nearest text of all is the most probable one.

        Example:
            >>> known = np.eye(2, dtype=np.float32)
            >>> index = SearchIndex(("where is it?", "my money back"), np.int32([0, 1]), ("parcel", "refund"), known)
            >>> bool(index.probabilities(np.float32([[0.8, 0.6]]))[0, 0] > 0.5)
            True
        """
        return softmax(self.class_similarities(vectors) / np.float32(self.temperature))

    def decide(self, vectors: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_]]:
        """Answer each text, and say whether the answer is sure enough.

        Args:
            vectors: float32 (m, d), each of length 1.

        Returns:
            The most probable classes, int64 (m,); their probabilities, float32 (m,); and whether they are answers,
            bool (m,), or else "not sure".
        """
        similarities = self.class_similarities(vectors)
        probabilities = softmax(similarities / np.float32(self.temperature))
        confidence = probabilities.max(axis=1)
        sure = (confidence >= self.threshold) & (similarities.max(axis=1) >= self.min_cosine)
        return probabilities.argmax(axis=1), confidence, sure

    def save(self, folder: Path) -> None:
        """Write `index.json` and `vectors.npy`, which any program can read."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / VECTORS_NAME, self.vectors)
        described = {
            "version": 1,
            "temperature": self.temperature,
            "threshold": self.threshold,
            "min_cosine": self.min_cosine,
            "class_names": self.class_names,
            "answers": dict(self.answers),
            "texts": self.texts,
            "labels": self.labels.tolist(),
        }
        text = json.dumps(described, indent=1, ensure_ascii=False)
        write_whole(folder / INDEX_NAME, text + "\n")


def load_search_index(folder: Path) -> SearchIndex:
    """Read what `SearchIndex.save` wrote.

    Args:
        folder: The index's folder.

    Returns:
        The index.

    Raises:
        ModelError: When its files cannot be read, or do not belong together.
    """
    try:
        described = json.loads((folder / INDEX_NAME).read_text(encoding="utf-8"))
        index = SearchIndex(
            texts=tuple(described["texts"]),
            labels=np.array(described["labels"], np.int32),
            class_names=tuple(described["class_names"]),
            vectors=np.load(folder / VECTORS_NAME, allow_pickle=False),
            temperature=float(described["temperature"]),
            threshold=float(described["threshold"]),
            min_cosine=float(described["min_cosine"]),
            answers=described["answers"],
        )
        fault_found = _fault(index)
    except Exception as fault:  # NumPy's parser of headers and JSON raise a dozen kinds at damaged files
        raise ModelError(
            f"the search index in '{folder}' cannot be read: {fault}", hint="run the recipe again"
        ) from None
    if fault_found is not None:
        raise ModelError(f"the search index in '{folder}' {fault_found}", hint="run the recipe again")
    return index


def _fault(index: SearchIndex) -> str | None:
    """What its parts say against each other."""
    if not len(index.texts) == len(index.labels) == len(index.vectors):
        return f"has {len(index.texts)} texts and {len(index.vectors)} vectors"
    if not len(index):
        return "has no text"
    if index.vectors.ndim != 2 or index.vectors.dtype != np.float32 or not np.isfinite(index.vectors).all():
        return f"has vectors of {index.vectors.dtype} {index.vectors.shape}; expected finite float32 (n, d)"
    if index.labels.ndim != 1 or index.labels.min() < 0 or index.labels.max() >= len(index.class_names):
        return f"has labels outside of its {len(index.class_names)} classes"
    if not all(isinstance(text, str) for text in (*index.texts, *index.class_names)):
        return "has a text or a class name that is no text"
    if not isinstance(index.answers, dict) or not all(isinstance(text, str) for text in index.answers.values()):
        return "has answers that are no texts"
    return None if index.temperature > 0 else f"has the temperature {index.temperature}; expected a number above 0"


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities along the last axis, float32.

    Example:
        >>> softmax(np.float32([[0, 0], [0, np.log(3)]])).round(2).tolist()
        [[0.5, 0.5], [0.25, 0.75]]
    """
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)
