"""A text that goes on: each token of an answer should be likely after the question and the tokens before it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfkit.data.target_kinds.tokens import TOKENS
from tfkit.tasks.task import AnswerTable, Decision, Quality, Task, Wrong

LOG_LIKELIHOOD, LIKELIEST = (
    0,
    1,
)  # of scores, float32 (n, length, 2): the right next token's, and the likeliest one's id


def _judged_places(labels: np.ndarray) -> NDArray[np.bool_]:
    """Where the next token is one of the answer."""
    places: NDArray[np.bool_] = labels >= 0
    return places


def _quality(labels: np.ndarray, scores: np.ndarray, decision: Decision) -> Quality:
    """Log-likelihood and share of right tokens, each the mean over all tokens of the answers, and the perplexity.

    Example:
        >>> scores = np.float32([[[np.log(0.5), 7], [np.log(0.125), 3]]])
        >>> told = GENERATION.quality(np.int32([[7, 8]]), scores, PLAIN).figures
        >>> round(told["perplexity"], 3), told["token_accuracy"]
        (4.0, 0.5)
    """
    places = _judged_places(labels)
    each = scores[places].astype(np.float64)
    if not len(each) or not np.isfinite(each).all():
        return Quality({"log_likelihood": -np.inf, "perplexity": np.inf, "token_accuracy": 0.0})
    mean = float(each[:, LOG_LIKELIHOOD].mean())
    right = float(np.mean(each[:, LIKELIEST] == labels[places]))
    return Quality({"log_likelihood": mean, "perplexity": float(np.exp(-mean)), "token_accuracy": right})


def _same(scores: np.ndarray, reference: np.ndarray, labels: np.ndarray, decision: Decision) -> np.ndarray:
    """Of each answer, the share of tokens after which both find the same one likeliest."""
    places = _judged_places(labels)
    alike = (scores[..., LIKELIEST] == reference[..., LIKELIEST]) & places
    return np.asarray(alike.sum(axis=1) / np.maximum(places.sum(axis=1), 1))


def _difference(scores: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Of log-likelihoods: ids are no numbers."""
    return np.asarray(np.abs(scores[..., LOG_LIKELIHOOD] - reference[..., LOG_LIKELIHOOD]))


def _chance(labels: np.ndarray, width: int) -> float | None:
    """How likely a token is by lot depends on how many there are, which labels do not tell."""
    return None


def _answers(labels: np.ndarray, scores: np.ndarray, names: tuple[str, ...], decision: Decision) -> AnswerTable:
    """All tokens, the first of each answer, and those behind it."""
    places = _judged_places(labels)
    first = np.zeros_like(places)
    first[np.arange(len(labels)), places.argmax(axis=1)] = True
    rows: list[tuple[str | float | None, ...]] = []
    for title, chosen in (
        ("all", places),
        ("the first of each answer", first & places),
        ("the others", places & ~first),
    ):
        figures = _quality(np.where(chosen, labels, -1), scores, decision).figures
        rows.append((title, int(chosen.sum()), *figures.values()))
    return AnswerTable(
        title="How likely the right tokens are",
        columns=(("Tokens of answers", "text"), ("How many", "count"), ("Log-likelihood", "signed"),
                 ("Perplexity", "number"), ("Right tokens", "share")),
        rows=tuple(rows),
        explained="Log-likelihood: how likely the model finds the wanted token after the question and those before "
        "it, the logarithm, on average; it decides. Perplexity is e to the power of minus that: among so many equally "
        "likely tokens the right one is hidden. Right tokens: where the wanted token is the likeliest.",
        output="how likely each token is to come next",
        same="finds the same token likeliest, of all tokens of answers",
    )  # fmt: skip


def _wrong(labels: np.ndarray, scores: np.ndarray, names: tuple[str, ...], decision: Decision) -> list[Wrong]:
    """All answers, the least likely first."""
    places = _judged_places(labels)
    means = (scores[..., LOG_LIKELIHOOD] * places).sum(axis=1) / np.maximum(places.sum(axis=1), 1)
    return [(int(row), f"perplexity {np.exp(-means[row]):.3g}") for row in np.argsort(means, kind="stable")]


def _given(scores: np.ndarray, decision: Decision) -> np.ndarray:
    return scores[..., LIKELIEST].astype(np.int32)


def _serve(scores: Any, names: tuple[str, ...], thresholds: tuple[float, ...]) -> dict[str, object]:
    return {"scores": scores}


def _described(names: tuple[str, ...]) -> str:
    return "How likely each token is to come next, before the softmax"


GENERATION = Task(
    name="generation",
    title="reply generation",
    noun="language model",
    targets=TOKENS,
    output="logits",
    described=_described,
    activation="linear",
    metric="log_likelihood",
    unit="log-likelihood",
    is_share=False,
    figures={
        "log_likelihood": "log-likelihood",
        "perplexity": "perplexity",
        "token_accuracy": "right tokens",
    },
    objective=None,
    quality=_quality,
    same=_same,
    difference=_difference,
    chance=_chance,
    given=_given,
    serve=_serve,
    answers=_answers,
    wrong=_wrong,
    output_noun="token",
    figure_noun="log-likelihood",
    has_names=False,
    has_labels=False,
    judged_by_index=False,
    answers_tokens=True,
    pipelines={"prompt": "text-generation"},
)
