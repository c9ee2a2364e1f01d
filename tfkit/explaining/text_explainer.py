"""Why a text classifier answered as it did: what each word added; and which Keras model of a run can say so."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfkit.artifacts import TextSpec
from tfkit.data.text import Tokenizer, open_tokenizer
from tfkit.errors import ModelError
from tfkit.explaining.words import Word, words_of
from tfkit.models import load_model_file, logits_model
from tfkit.models.text import token_embedding
from tfkit.models.text.backbones import inner_layers

# Values (m, *shape) -> the answer at each, float (m,), and its gradient in the values, (m, *shape).
Slope = Callable[[NDArray[np.float32]], tuple[NDArray[np.float64], NDArray[np.float64]]]

FEWEST_STEPS, MOST_STEPS = 16, 128


@dataclass(frozen=True, eq=False)
class Integral:
    """What a path from a baseline to an input has added up to.

    Attributes:
        contributions: float64, of the input's shape: what each value added.
        baseline: The answer at the baseline.
        answer: The answer at the input.
        steps: Points on the path that the gradient was taken at.

    Example:
        >>> square = lambda x: ((x**2).sum(axis=1), 2 * x)
        >>> abs(integrate_gradients(square, np.array([3.0, 1.0]), np.zeros(2)).gap) < 0.01
        True
    """

    contributions: NDArray[np.float64]
    baseline: float
    answer: float
    steps: int

    @property
    def gap(self) -> float:
        """What the contributions' sum misses of `answer - baseline`, as a share of all that they moved; 0 is exact."""
        missing = abs(float(self.contributions.sum()) - (self.answer - self.baseline))
        moved = float(np.abs(self.contributions).sum())
        return missing / moved if moved else float(missing > 0)


def integrate_gradients(
    slope: Slope,
    values: NDArray[np.float32],
    baseline: NDArray[np.float32],
    *,
    tolerance: float = 0.01,
    fewest_steps: int = FEWEST_STEPS,
    most_steps: int = MOST_STEPS,
) -> Integral:
    """Integrate a gradient along the straight line from a baseline to an input.

    Sundararajan, Taly and Yan 2017, "Axiomatic Attribution for Deep Networks" (arXiv:1703.01365). Each value's
    contribution is its distance from the baseline times the mean of its gradient on the way; together they add up to
    what the answer has changed by (completeness). That is measured, and the points on the path, which are those of
    Gauss and Legendre, are doubled until it holds.

    Args:
        slope: Gives the answers and gradients at m inputs, (m, *shape).
        values: The input, of any shape.
        baseline: Where the path begins, of the same shape: an input that says nothing.
        tolerance: The gap (see `Integral.gap`) that is small enough.
        fewest_steps: Points to begin with.
        most_steps: Points at most; a gap that is left by then is told, not hidden.

    Returns:
        The contributions, and what they should add up to.

    Example:
        >>> square = lambda x: ((x**2).sum(axis=1), 2 * x)
        >>> integrate_gradients(square, np.array([3.0, 1.0]), np.zeros(2)).contributions.round(2)
        array([9., 1.])
    """
    (start, answer), _ = slope(np.stack([baseline, values]))
    distance = values.astype(np.float64) - baseline
    steps = min(fewest_steps, most_steps)
    while True:
        points, weights = np.polynomial.legendre.leggauss(steps)
        path = baseline + ((points + 1) / 2).reshape(-1, *[1] * values.ndim) * distance
        _, gradients = slope(path.astype(np.float32))
        integral = Integral(distance * np.tensordot(weights / 2, gradients, 1), float(start), float(answer), steps)
        if integral.gap <= tolerance or steps == most_steps:
            return integral
        steps = min(2 * steps, most_steps)


_TOKENS, _PADDING = "token_ids", "padding_mask"
_TOKENS_AT_ONCE = 2048  # of all points on the path together: bounds the memory of one gradient
_ONLY_FLOATS = "name a model that is trained by gradients, such as a run's models/float.keras"


@dataclass(frozen=True)
class WordShare:
    """What one word of a text has added to the answer.

    Attributes:
        word: As it stands in the text.
        start: Its first character's place in the text.
        end: The place behind its last character.
        pieces: The tokens that the model read instead of it.
        contribution: What it added to the label's log-odds; below 0 it spoke against the label.
        share: The same as a share of all that the words moved, -1..1; without their signs the shares add up to 1.
    """

    word: str
    start: int
    end: int
    pieces: tuple[str, ...]
    contribution: float
    share: float


@dataclass(frozen=True)
class Explanation:
    """Why a text got one label.

    Attributes:
        text: The text.
        class_index: The label that is explained, as a position in the scores.
        score: The model's score for it, 0..1.
        blank_score: Its score for a text of as many words that say nothing.
        words: The words that the model read, in order.
        change: What the text changed the label's log-odds by, from one that says nothing.
        gap: How far the words are from adding up to that, as a share of all that they moved; 0 is exact.
        steps: Points on the path that gradients were taken at.
        read_characters: How far into the text the model read; less than its length when it was cut.
    """

    text: str
    class_index: int
    score: float
    blank_score: float
    words: tuple[WordShare, ...]
    change: float
    gap: float
    steps: int
    read_characters: int


class TextExplainer:
    """Integrated gradients of a text classifier, from the vectors of its tokens to one label's log-odds.

    The path begins at a text of the same length in which every token but start and end is the tokeniser's mask (its
    padding, where it has no mask): what the model knows of a text before it reads a word. The log-odds of a label,
    log(p / (1 - p)), do not saturate as scores do, and do not move when all logits do. Start and end stay where they
    are, so that all of the change is the words'.

    Args:
        model: A classifier as a run keeps it: of `build_text_classifier`, opened, or trained quantisation-aware, whose
            roundings pass gradients on as they did in training.
        tokenizer: Its tokeniser.
        sequence_length: Tokens of a text at most, start and end included.

    Raises:
        ModelError: When the model is no such classifier, or gives no gradient in its tokens' vectors.

    Example:
        >>> explainer = TextExplainer(text_classifier, tokenizer, sequence_length=32)
        >>> [word.word for word in explainer.explain("I want a refund").words]
        ['I', 'want', 'a', 'refund']
    """

    def __init__(self, model: keras.Model, tokenizer: Tokenizer, *, sequence_length: int) -> None:
        self._tokenizer, self._sequence_length = tokenizer, sequence_length
        table = _outer(model, token_embedding(model))
        tokens, padding = model.input[_TOKENS], model.input[_PADDING]
        self._lookup = keras.Model(tokens, table.output, name="token_vectors")
        # The ids go on beside their vectors: BERT makes its segments from them.
        self._rest = keras.Model([tokens, padding, table.output], logits_model(model).output, name=model.name)
        # An integer model knows one length; every other reads as many tokens as the text has, which is all the faster.
        self._static_length = model.input[_TOKENS].shape[1]

    def refuse_without_gradients(self) -> None:
        """Find out with one short text whether anything can be explained.

        Raises:
            ModelError: When the model gives no gradient in its tokens' vectors, or only zeros.
        """
        ids, mask = self._tokens("a")
        _, gradients = _Slope(self._rest, ids, mask, 0)(self._vectors(ids)[None])
        if not gradients.any():
            raise ModelError(f"model '{self._rest.name}' has a gradient of zero", hint=_ONLY_FLOATS)

    def explain(self, text: str, *, class_index: int | None = None, tolerance: float = 0.01) -> Explanation:
        """Say what each word of a text added to a label.

        Args:
            text: The text.
            class_index: The label, as a position in the scores; the model's own answer when None.
            tolerance: The share of all that the words moved which may be missing from their sum; see
                `integrate_gradients`.

        Returns:
            The words with their shares.

        Raises:
            ModelError: When there is no such label, or the model gives no gradients.
        """
        ids, mask = self._tokens(text)
        scores = self._scores(ids, mask)
        chosen = int(scores.argmax()) if class_index is None else class_index
        if not 0 <= chosen < len(scores):
            raise ModelError(f"class_index must be in [0, {len(scores)}); got {chosen}")
        values, baseline = (self._vectors(row) for row in (ids, self._blank(ids, mask)))
        slope = _Slope(self._rest, ids, mask, chosen)
        integral = integrate_gradients(slope, values, baseline, tolerance=tolerance)
        return self._explanation(text, ids[0], chosen, integral)

    def _tokens(self, text: str) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        tokens = self._tokenizer([text], sequence_length=self._sequence_length)
        length = self._static_length or int(tokens[_PADDING].sum())
        return tokens[_TOKENS][:, :length], tokens[_PADDING][:, :length]

    def _scores(self, ids: NDArray[np.int32], mask: NDArray[np.int32]) -> NDArray[np.float64]:
        tokens, padding = tf.constant(ids), tf.constant(mask)
        logits = self._rest([tokens, padding, self._lookup(tokens, training=False)], training=False)
        scores: NDArray[np.float64] = np.asarray(tf.nn.softmax(tf.cast(logits, tf.float64)))[0]
        return scores

    def _vectors(self, ids: NDArray[np.int32]) -> NDArray[np.float32]:
        vectors: NDArray[np.float32] = np.asarray(self._lookup(tf.constant(ids), training=False), np.float32)[0]
        return vectors

    def _blank(self, ids: NDArray[np.int32], mask: NDArray[np.int32]) -> NDArray[np.int32]:
        layer = self._tokenizer.layer
        nothing = getattr(layer, "mask_token_id", None)
        blank = ids.copy()
        blank[0, 1 : int(mask.sum()) - 1] = layer.pad_token_id if nothing is None else nothing
        return blank

    def _explanation(self, text: str, ids: NDArray[np.int32], chosen: int, integral: Integral) -> Explanation:
        per_token = integral.contributions.sum(axis=1)
        words = words_of(text, self._tokenizer, sequence_length=self._sequence_length)
        added = [float(per_token[word.first : word.last].sum()) for word in words]
        moved = sum(map(abs, added)) or 1.0
        shares = tuple(
            self._share(text, ids, word, value, value / moved) for word, value in zip(words, added, strict=True)
        )
        cut = int(self._tokenizer.lengths([text])[0]) > self._sequence_length
        return Explanation(
            text,
            chosen,
            score=_probability(integral.answer),
            blank_score=_probability(integral.baseline),
            words=shares,
            change=integral.answer - integral.baseline,
            gap=integral.gap,
            steps=integral.steps,
            read_characters=(words[-1].end if words else 0) if cut else len(text),
        )

    def _share(self, text: str, ids: NDArray[np.int32], word: Word, added: float, share: float) -> WordShare:
        pieces = tuple(self._tokenizer.tokens(ids[word.first : word.last]))
        return WordShare(text[word.start : word.end], word.start, word.end, pieces, added, share)


class _Slope:
    """One label's log-odds and their gradient in the vectors of a text's tokens."""

    def __init__(self, rest: keras.Model, ids: NDArray[np.int32], mask: NDArray[np.int32], chosen: int) -> None:
        self._rest, self._ids, self._mask, self._chosen = rest, ids, mask, chosen

    def __call__(self, points: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        step = max(1, _TOKENS_AT_ONCE // points.shape[1])
        parts = [self._at(tf.constant(points[start : start + step])) for start in range(0, len(points), step)]
        answers, gradients = zip(*parts, strict=True)
        return np.concatenate(answers), np.concatenate(gradients)

    def _at(self, vectors: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        given = [tf.repeat(rows, len(vectors), axis=0) for rows in (self._ids, self._mask)]
        with tf.GradientTape() as tape:
            tape.watch(vectors)
            logits = self._rest([*given, vectors], training=False)
            answers = _log_odds(tf.cast(logits, tf.float32), self._chosen)
        gradients = tape.gradient(answers, vectors)
        if gradients is None:
            raise ModelError(f"model '{self._rest.name}' gives no gradient in its tokens' vectors", hint=_ONLY_FLOATS)
        return np.asarray(answers, np.float64), np.asarray(gradients, np.float64)


def _log_odds(logits: Any, chosen: int) -> Any:
    others = tf.concat([logits[:, :chosen], logits[:, chosen + 1 :]], axis=1)
    return logits[:, chosen] - tf.reduce_logsumexp(others, axis=1)


def _probability(log_odds: float) -> float:
    return float(1 / (1 + np.exp(-log_odds)))


def _outer(model: keras.Model, table: Any) -> Any:
    """The layer of the model's own graph that the token table is, or is inside of."""
    for layer in model.layers:
        if layer is table or (not isinstance(layer, keras.Model) and table in inner_layers(layer)):
            return layer
    raise ModelError(
        f"model '{model.name}' looks its tokens up inside a nested model", hint="name a model that tfkit trained"
    )


@dataclass(frozen=True, eq=False)
class OpenedExplainer:
    """A text explainer, and which model it asks.

    Attributes:
        explainer: Explains texts.
        model: The model's file.
        notes: Sentences about models that were passed over; empty when it is the one that was exported.
    """

    explainer: TextExplainer
    model: Path
    notes: tuple[str, ...] = ()


def open_explainer(models: Sequence[Path], text: TextSpec) -> OpenedExplainer:
    """Load the first of some models that passes gradients on to its tokens' vectors.

    Args:
        models: Model files, the most wanted first, as `RunDirectory.finished_models` gives them.
        text: The texts they take.

    Returns:
        The explainer.

    Raises:
        ModelError: When none of them can explain a text; says why for each.

    Example:
        >>> run = RunDirectory(Path("runs/intents"))  # doctest: +SKIP
        >>> open_explainer(run.finished_models, spec).explainer.explain("where is my card?")  # doctest: +SKIP
    """
    tokenizer = open_tokenizer(text.tokenizer)
    passed_over: list[str] = []
    for path in models:
        try:
            explainer = TextExplainer(load_model_file(path), tokenizer, sequence_length=text.sequence_length)
            explainer.refuse_without_gradients()
        except ModelError as fault:
            passed_over.append(f"{path.name} was passed over: {fault}")
        else:
            return OpenedExplainer(explainer, path, tuple(passed_over))
    told = "; ".join(passed_over) or "no Keras model was kept"
    raise ModelError(f"no text can be explained: {told}", hint="run the recipe again: a run keeps its models/*.keras")
