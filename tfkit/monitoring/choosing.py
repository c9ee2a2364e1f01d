"""Which examples are worth a label: those that the model is unsure of, and that are unlike each other."""

import numpy as np
from numpy.typing import NDArray

_WIDEST = 512  # of what is compared: projected at random where it is wider, which keeps distances


def choose_to_label(
    vectors: NDArray[np.float32], doubts: NDArray[np.float32] | None = None, *, count: int, seed: int = 0
) -> NDArray[np.intp]:
    """Choose examples to label, by BADGE: each is far from the others in the gradients of the loss of the head.

    The gradient of an example is the doubt about each answer times what the model sees: it is short where the model is
    sure, so that sure examples lie close together and few of them are chosen. `kmeans_plusplus` of scikit-learn draws
    those that lie apart. Source: Ash et al., Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds,
    ICLR 2020 (arXiv:1906.03671).

    Args:
        vectors: float32 (n, d): what the model sees in each example.
        doubts: float32 (n, k): each score, less 1 for an answer that is given; None where answers have no scores: then
            the examples that are most unlike each other are chosen.
        count: How many; fewer where there are not so many that differ.
        seed: Of what is drawn.

    Returns:
        Positions, the most doubtful first.

    Example:
        >>> sure, unsure = np.float32([[-0.01, 0.01]] * 9), np.float32([[-0.5, 0.5]])
        >>> choose_to_label(np.ones((10, 3), np.float32), np.concatenate([sure, unsure]), count=2).tolist()
        [9, 0]
    """
    from sklearn.cluster import kmeans_plusplus

    points = vectors if doubts is None else _gradients(vectors, doubts, seed)
    distinct = np.unique(points, axis=0, return_index=True)[1]
    if count < len(distinct):
        _, chosen = kmeans_plusplus(points[distinct], count, random_state=seed)
        distinct = distinct[chosen]
    return distinct[np.argsort(-np.linalg.norm(points[distinct], axis=1), kind="stable")]


def _gradients(vectors: NDArray[np.float32], doubts: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Each doubt times each of the features, (n, k * d), or what is left of it in 512 random directions."""
    width = vectors.shape[1] * doubts.shape[1]
    if width <= _WIDEST:
        return (doubts[:, :, None] * vectors[:, None, :]).reshape(len(vectors), -1)
    # The product of a random projection of either side is one of the outer product, which need not be written out.
    random = np.random.default_rng(seed)
    left, right = (2 * random.integers(0, 2, (part.shape[1], _WIDEST)) - 1 for part in (doubts, vectors))
    return np.asarray((doubts @ left) * (vectors @ right) / np.sqrt(_WIDEST), np.float32)
