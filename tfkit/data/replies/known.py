"""What a language model answers from: known questions with their answers, found by how alike questions are."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tfkit.errors import ModelError
from tfkit.files import write_whole

if TYPE_CHECKING:
    from tfkit.data.replies.conversation import Conversation
    from tfkit.data.replies.examples import ReplyExamples

KNOWN_NAME = "known_answers.json"
_OF_AN_ANSWER = 3  # questions whose similarities count for it
_CITED = re.compile(r"\s*\[(\d+)\]")
# From texts to vectors of length 1, float (n, features).
Vectors = Callable[[Sequence[str]], NDArray[np.float64]]


@dataclass(frozen=True)
class Found:
    """What is known about one question.

    Attributes:
        passages: Different known answers, the one whose questions are most similar first.
        similarity: How alike these are: the mean cosine of the three that are most alike, or of as many as it has.
    """

    passages: tuple[str, ...]
    similarity: float


@dataclass(frozen=True, eq=False)
class KnownAnswers:
    """Known questions and answers, and from when on a question is like one of them.

    Attributes:
        questions: The known questions.
        answers: Their answers.
        index: `words`, or the folder of a run of embed_text.
        passages: Different answers that are put before a question.
        threshold: The least similarity of a question that is answered.
        refusal: What is said to others.
        oracle: Share of the questions with a known right answer that are given it where it is not found, to learn and
            to judge likelihoods (Zhang et al. 2024, arXiv:2403.10131).
    """

    questions: tuple[str, ...]
    answers: tuple[str, ...]
    index: str
    passages: int
    threshold: float
    refusal: str
    oracle: float = 0.0

    def find(self, vectors: NDArray[np.float64], known: NDArray[np.float64], *, own: bool = False) -> list[Found]:
        """What is known about some questions.

        Args:
            vectors: Of the questions, (n, features).
            known: Of `questions`.
            own: Whether they are `questions` themselves, each of which must not find itself.
        """
        cosines = vectors @ known.T
        if own:
            np.fill_diagonal(cosines, -np.inf)
        different = list(dict.fromkeys(self.answers))
        place_of = {answer: place for place, answer in enumerate(different)}
        answer_of = np.array([place_of[answer] for answer in self.answers])
        found = []
        for row in cosines:
            order = np.argsort(-row, kind="stable")
            alike: list[list[float]] = [[] for _ in different]
            for place in order[np.isfinite(row[order])]:
                if len(its := alike[answer_of[place]]) < _OF_AN_ANSWER:
                    its.append(float(row[place]))
            means = np.array([np.mean(its) if its else -np.inf for its in alike])
            best = np.argsort(-means, kind="stable")[: self.passages]
            found.append(Found(tuple(different[place] for place in best), float(means[best[0]])))
        return found

    def _with_oracle(self, found: Sequence[Found], answers: Sequence[str]) -> list[Found]:
        """What is known, with the right answer in the last place where it is missing, for `oracle` of the questions."""
        given = np.random.default_rng(0).random(len(found)) < self.oracle
        return [
            replace(one, passages=(*one.passages[: self.passages - 1], answer))
            if is_given and answer not in one.passages
            else one
            for one, answer, is_given in zip(found, answers, given, strict=True)
        ]

    def fitting(self, question: str, found: Found, said: "Conversation") -> Found:
        """As many of the passages as there is room for beside the whole question, the best first."""
        while found.passages and said.prompt(self.prompt(question, found))[1]:
            found = replace(found, passages=found.passages[:-1])
        return found

    def prompt(self, question: str, found: Found) -> str:
        """The passages with their numbers, and the question behind them."""
        return "\n".join([*(f"[{n}] {text}" for n, text in enumerate(found.passages, start=1)), question])

    def target(self, answer: str, found: Found) -> str:
        """The answer with the passage that it stands in; that it is not sure, when it stands in none."""
        if answer not in found.passages:
            return self.refusal
        return f"{answer} [{found.passages.index(answer) + 1}]"

    def written(self, examples: "ReplyExamples", found: Sequence[Found]) -> "ReplyExamples":
        """Examples with what a model is asked and should say, to learn from or to judge likelihoods on."""
        assert examples.conversation is not None
        seen = zip(examples.questions, self._with_oracle(found, examples.answers), strict=True)
        found = [self.fitting(question, its, examples.conversation) for question, its in seen]
        prompts = tuple(self.prompt(one, its) for one, its in zip(examples.questions, found, strict=True))
        targets = tuple(self.target(one, its) for one, its in zip(examples.answers, found, strict=True))
        return replace(examples, prompts=prompts, targets=targets)

    def save(self, folder: Path) -> None:
        """Write `known_answers.json`."""
        write_whole(folder / KNOWN_NAME, json.dumps(vars(self), indent=1, ensure_ascii=False) + "\n")


def read_known_answers(folder: Path) -> KnownAnswers | None:
    """What `KnownAnswers.save` wrote; None where a model answers from nothing.

    Raises:
        ModelError: When the file is damaged.
    """
    file = folder / KNOWN_NAME
    if not file.is_file():
        return None
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        return KnownAnswers(**told | {"questions": tuple(told["questions"]), "answers": tuple(told["answers"])})
    except (OSError, ValueError, TypeError, KeyError) as fault:
        raise ModelError(f"'{file}' is damaged: {fault}", hint="run the recipe again") from None


def vectors_of_words(known: Sequence[str]) -> Vectors:
    """Vectors of texts by the parts of their words (TF-IDF of three to five letters), as they occur in known texts.

    Example:
        >>> vectors = vectors_of_words(["where is it", "my money back"])
        >>> vectors(["where"]).shape[0]
        1
    """
    from sklearn.feature_extraction.text import TfidfVectorizer  # a second to import

    fitted = TfidfVectorizer(sublinear_tf=True, analyzer="char_wb", ngram_range=(3, 5)).fit(known)
    return lambda texts: np.asarray(fitted.transform(list(texts)).todense())


def cited(reply: str) -> tuple[str, tuple[int, ...]]:
    """A reply without its citations, and the numbers of the passages that it cites.

    Example:
        >>> cited("It is on its way. [1]")
        ('It is on its way.', (1,))
    """
    return _CITED.sub("", reply).strip(), tuple(int(number) for number in _CITED.findall(reply))
