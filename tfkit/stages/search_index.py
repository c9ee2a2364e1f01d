"""The stage that makes texts findable: their vectors, a calibrated confidence, and what is then answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import TextSpec
from tfkit.artifacts.search_index import SearchIndex
from tfkit.data import DatasetSplits
from tfkit.data.text import TextExamples, label_texts
from tfkit.verification import reference_scores
from tfkit.verification.calibration import SearchResult, fit_temperature, measure_search


@dataclass(frozen=True, eq=False)
class BuiltIndex:
    """An index, and how well it answers.

    Attributes:
        index: What is searched.
        test_vectors: float32 (n, d), the Keras model's vectors of the evaluation texts.
        result: What is answered, and what is left open.
        notes: How the confidence was calibrated, and what came of it, in sentences.
    """

    index: SearchIndex
    test_vectors: NDArray[np.float32]
    result: SearchResult
    notes: tuple[str, ...]


def build_search_index(
    model: keras.Model,
    splits: DatasetSplits[TextExamples],
    text: TextSpec,
    *,
    min_confidence: float,
    novel_share: float = 0.05,
    labels_are_texts: bool = False,
    answers: Mapping[str, str] | None = None,
    out_of_scope: Sequence[str] = (),
) -> BuiltIndex:
    """Index the training texts, calibrate the confidence on the validation texts, and measure on the test texts.

    Args:
        model: A trained embedder.
        splits: The texts. The training texts are indexed.
        text: The texts the model takes.
        min_confidence: The least calibrated probability of an answer, in [0, 1].
        novel_share: Share of the validation texts that may be taken for novel, in [0, 1): texts as far from every
            indexed one as the farthest of them get no answer.
        labels_are_texts: Whether the labels are indexed, not the training texts.
        answers: What to reply, by label.
        out_of_scope: Texts that no label fits, to measure how many are answered all the same.

    Returns:
        The index and its measures.

    Raises:
        DataError: When there is no validation text.
    """
    indexed = label_texts(splits.train) if labels_are_texts else splits.train
    vectors = reference_scores(model, indexed, text)
    index = SearchIndex(
        indexed.texts,
        indexed.labels,
        splits.class_names,
        vectors,
        threshold=min_confidence,
        answers=dict(answers or {}),
    )
    similarities = index.class_similarities(reference_scores(model, splits.validation, text))
    temperature = fit_temperature(similarities, splits.validation.labels)
    least = float(np.quantile(similarities.max(axis=1), novel_share))
    index = replace(index, temperature=temperature, min_cosine=least)
    test = reference_scores(model, splits.test, text)
    unfit = reference_scores(model, _unlabelled(out_of_scope), text) if out_of_scope else None
    result = measure_search(index, test, splits.test.labels, out_of_scope=unfit)
    calibrated = f"temperature {temperature:.3g}, fitted on {len(splits.validation)} validation texts"
    return BuiltIndex(index, test, result, (f"{len(index)} texts indexed; {calibrated}", result.sentence))


def _unlabelled(texts: Sequence[str]) -> TextExamples:
    names = tuple(f"out of scope {number}" for number in range(1, len(texts) + 1))
    return TextExamples(tuple(texts), np.zeros(len(texts), np.int32), names, ("",))
