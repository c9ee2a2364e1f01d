"""How sure an answer is, made true: temperature scaling on held-out texts, and what a threshold then leaves open."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts.search_index import SearchIndex, softmax
from tfkit.errors import DataError

# 2 % apart, which moves no probability by half a point.
_TEMPERATURES = np.geomspace(1e-3, 1e2, 600)


@dataclass(frozen=True)
class SearchResult:
    """What an index answers on the evaluation split, and on texts that no class fits.

    Attributes:
        threshold: The least probability of an answer.
        min_cosine: The least cosine of an answered text with the nearest indexed one.
        answered: Share of the evaluation texts that get an answer, 0..1.
        right_when_answered: Share of those answers that are right, 0..1; None when nothing is answered.
        out_of_scope: Texts that no class fits; 0 when there are none to measure on.
        refused: Share of them that get "not sure", 0..1; None without any.
    """

    threshold: float
    min_cosine: float
    answered: float
    right_when_answered: float | None
    out_of_scope: int = 0
    refused: float | None = None

    @property
    def sentence(self) -> str:
        """The figures in a sentence."""
        right = "" if self.right_when_answered is None else f", {self.right_when_answered:.1%} of them rightly"
        told = (
            f"with a confidence of {self.threshold:g} or more, and a cosine of {self.min_cosine:.2f} or more with a "
            f"known text, {self.answered:.1%} of the test texts are answered{right}"
        )
        if self.refused is None:
            return f"{told}; there were no out-of-scope texts to measure on"
        return f'{told}; {self.refused:.1%} of {self.out_of_scope} out-of-scope texts get "not sure"'


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int32]) -> float:
    """The temperature by which logits are divided, so that the softmax says how often it is right.

    The one with the smallest negative log likelihood; see Guo et al. 2017, "On Calibration of Modern Neural Networks",
    arXiv:1706.04599. It changes no answer, only how sure it is.

    Args:
        logits: float32 (n, classes), of texts that nothing was trained on.
        labels: int (n,), their classes.

    Returns:
        The temperature, 0.001 to 100.

    Raises:
        DataError: When there is no text.

    Example:
        >>> round(fit_temperature(np.array([[1, 0], [1, 0], [1, 0]], np.float32), np.array([0, 0, 1])), 2)
        1.43
    """
    if len(labels) == 0:
        raise DataError("there is no validation text to calibrate on", hint="set data.validation_fraction above 0")
    rows = np.arange(len(labels))
    losses = []
    for temperature in _TEMPERATURES:
        probabilities = softmax(logits / np.float32(temperature))[rows, labels]
        losses.append(-np.log(np.maximum(probabilities, 1e-12)).mean())
    return float(_TEMPERATURES[int(np.argmin(losses))])


def measure_search(
    index: SearchIndex,
    vectors: NDArray[np.float32],
    labels: NDArray[np.int32],
    *,
    out_of_scope: NDArray[np.float32] | None = None,
) -> SearchResult:
    """Measure what an index answers and what it leaves open.

    Args:
        index: With its temperature and limits.
        vectors: float32 (n, d), of the evaluation texts.
        labels: int (n,), their classes.
        out_of_scope: float32 (m, d), of texts that no class fits; None when there are none.

    Returns:
        The shares.
    """
    found, _, sure = index.decide(vectors)
    right = (found == labels)[sure]
    if out_of_scope is None or not len(out_of_scope):
        count, refused = 0, None
    else:
        count, refused = len(out_of_scope), float(np.mean(~index.decide(out_of_scope)[2]))
    return SearchResult(
        threshold=index.threshold,
        min_cosine=index.min_cosine,
        answered=float(sure.mean()),
        right_when_answered=float(right.mean()) if len(right) else None,
        out_of_scope=count,
        refused=refused,
    )
