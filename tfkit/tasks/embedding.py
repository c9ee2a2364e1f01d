"""A vector for each example: what it means shows by which known vectors are near."""

from typing import Any

import numpy as np

from tfkit.data.target_kinds.classes import CLASSES
from tfkit.tasks.task import Decision, Quality, Task


def _nearest(vectors: np.ndarray, decision: Decision) -> np.ndarray:
    """The position of the nearest known vector, int64 (n,)."""
    assert decision.index is not None
    return decision.index.nearest(vectors)[0][:, 0]


def _given(vectors: np.ndarray, decision: Decision) -> np.ndarray:
    """The class of the nearest known vector, int (n,)."""
    assert decision.index is not None
    return np.asarray(decision.index.labels[_nearest(vectors, decision)])


def _quality(labels: np.ndarray, vectors: np.ndarray, decision: Decision) -> Quality:
    """How often the nearest known vector is of the right class."""
    return Quality({"accuracy": float(np.mean(_given(vectors, decision) == labels))})


def _same(vectors: np.ndarray, reference: np.ndarray, labels: np.ndarray, decision: Decision) -> np.ndarray:
    """Where both have the same nearest known vector; without known ones, the same nearest vector of the reference."""
    if decision.index is not None:
        return np.asarray(_nearest(vectors, decision) == _nearest(reference, decision))
    return np.asarray((vectors @ reference.T).argmax(axis=1) == (reference @ reference.T).argmax(axis=1))


def _chance(labels: np.ndarray, width: int) -> None:
    return None  # it depends on how many known vectors each class has


def _compared(vectors: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Mean and least cosine of each vector with the reference's."""
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(reference, axis=1)
    cosines = np.sum(vectors * reference, axis=1) / np.maximum(lengths, 1e-12)
    return {"mean_cosine": float(cosines.mean()), "min_cosine": float(cosines.min())}


def _confidences(vectors: np.ndarray, decision: Decision) -> np.ndarray:
    assert decision.index is not None
    return decision.index.probabilities(vectors)


def _serve(vectors: Any, names: tuple[str, ...], thresholds: tuple[float, ...]) -> dict[str, object]:
    return {"embeddings": vectors}


def _described(names: tuple[str, ...]) -> str:
    return "The text's vector, of length 1"


EMBEDDING = Task(
    name="embedding",
    title="sentence embeddings",
    noun="embedder",
    targets=CLASSES,
    output="embeddings",
    described=_described,
    activation="linear",
    metric="accuracy",
    unit="accuracy",
    is_share=True,
    figures={"accuracy": "accuracy"},
    objective=None,
    quality=_quality,
    same=_same,
    chance=_chance,
    given=_given,
    serve=_serve,
    compared=_compared,
    confidences=_confidences,
    has_names=False,
    has_labels=False,
    pipelines={"image": "image-feature-extraction", "text": "sentence-similarity"},
)
