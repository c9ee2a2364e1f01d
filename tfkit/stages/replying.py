"""Replies of a language model: known answers are found and put before a question, what it says is read and filtered."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tfkit.data.replies import Conversation, Found, KnownAnswers, ReplyExamples
from tfkit.data.replies.known import Vectors, cited
from tfkit.inputs.text_vectors import vectors_for
from tfkit.runtimes import LanguageModelRuntime

if TYPE_CHECKING:
    from tfkit.data.text.redacting import Redactor

FILTERED = (TOXIC_QUESTION, TOXIC_REPLY) = ("toxic question", "toxic reply")
UNKNOWN = "unknown"
_WORD_FROM = 0.8  # share of a reply's words in the text that it cites, from which on it is grounded
# From texts to which of them must not be answered, or said.
Refuses = Callable[[Sequence[str]], NDArray[np.bool_]]


@dataclass(frozen=True)
class Reply:
    """What is answered to one question.

    Attributes:
        question: The question as the model was asked it: without personal data, where these are looked for.
        text: The answer, without the numbers of what it cites.
        passages: The known answers that it cites.
        refused: Why the model was not asked, or not heard: `unknown`, `toxic question`, `toxic reply`; empty for none.
        tokens: How many it said.
        seconds: What that took.
        ended: Whether it came to an end by itself.
        similarity: How alike the nearest known questions are; None without known answers.
        cut: Whether the question is too long, and its end was not read.
    """

    question: str
    text: str
    passages: tuple[str, ...] = ()
    refused: str = ""
    tokens: int = 0
    seconds: float = 0.0
    ended: bool = True
    similarity: float | None = None
    cut: bool = False


class Responder:
    """Answers questions with an exported language model.

    Args:
        runtime: The opened file.
        conversation: Its tokeniser and template.
        known: What it answers from; None for nothing.
        redactor: Writes over personal data in questions and replies; None leaves them.
        refuses: Tells which questions and replies are toxic; None looks at none.
        refusal: What is said in their place where there are no known answers.
    """

    def __init__(
        self,
        runtime: LanguageModelRuntime,
        conversation: Conversation,
        *,
        known: KnownAnswers | None = None,
        redactor: "Redactor | None" = None,
        refuses: Refuses | None = None,
        refusal: str = "I cannot answer that.",
    ) -> None:
        self._runtime, self._said, self._known = runtime, conversation, known
        self._redactor, self._refuses = redactor, refuses
        self._refusal = refusal if known is None else known.refusal
        self._vectors: Vectors | None = None
        if known is not None:
            self._vectors = vectors_for(known.index, known.questions, asked="grounding.index")
            self._indexed = self._vectors(known.questions)

    def replies(self, questions: Iterable[str], *, progress: Callable[[int, int], None] | None = None) -> list[Reply]:
        """Answer questions, one after the other.

        Args:
            questions: What people ask.
            progress: Called with those answered and those in all.
        """
        asked = [self._redacted(question) for question in questions]
        toxic = self._toxic(asked)
        found: list[Found | None] = [None] * len(asked)
        if self._known is not None and self._vectors is not None and asked:
            found = list(self._known.find(self._vectors(asked), self._indexed))
        replies = []
        for place, question in enumerate(asked):
            replies.append(self._reply(question, found[place], bool(toxic[place])))
            if progress is not None:
                progress(place + 1, len(asked))
        if self._refuses is not None:
            spoken = self._toxic([reply.text for reply in replies])
            replies = [
                replace(reply, text=self._refusal, passages=(), refused=TOXIC_REPLY)
                if bad and not reply.refused
                else reply
                for reply, bad in zip(replies, spoken, strict=True)
            ]
        return replies

    def _reply(self, question: str, found: Found | None, toxic: bool) -> Reply:
        similarity = None if found is None else found.similarity
        if toxic:
            return Reply(question, self._refusal, refused=TOXIC_QUESTION, similarity=similarity)
        if found is not None and self._known is not None and found.similarity < self._known.threshold:
            return Reply(question, self._refusal, refused=UNKNOWN, similarity=similarity)
        prompt = question
        if found is not None and self._known is not None:
            found = self._known.fitting(question, found, self._said)
            prompt = self._known.prompt(question, found)
        ids, cut = self._said.prompt(prompt)
        made = self._runtime.generate(ids, stop=self._said.stop_id, limit=self._said.answer_length)
        text, numbers = cited(self._said.decode(made.ids))
        known = () if found is None else found.passages
        passages = tuple(known[number - 1] for number in numbers if 1 <= number <= len(known))
        return Reply(
            question, self._redacted(text), passages, "", len(made.ids), made.seconds, made.ended, similarity, cut
        )  # fmt: skip

    def _redacted(self, text: str) -> str:
        return text if self._redactor is None else self._redactor.redact(text).text

    def _toxic(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        return np.zeros(len(texts), bool) if self._refuses is None or not texts else self._refuses(texts)


@dataclass(frozen=True)
class ReplyMeasures:
    """How good replies are, by what the table of answers says.

    Attributes:
        questions: Test questions.
        exact: Share of them whose reply is the wanted answer, letter by letter.
        semantic: Mean likeness of reply and wanted answer: the cosine of their vectors, 1 where they are the same.
        refused: Share of the test questions that were left open.
        grounded: Of the replies that were given, the share that cite a known answer and say what stands in it: four
            fifths of their words. None without known answers, or without replies.
        right_when_given: Share of given replies that are the wanted answer. None without replies.
        out_of_scope: Questions that nothing is known about.
        out_of_scope_refused: Share of these that were left open; None without such questions.
        tokens_per_second: Of all given replies, prompts read with them; None without replies.
        unfinished: Replies that did not come to an end.
        filtered: How many questions and replies were found toxic.
    """

    questions: int
    exact: float
    semantic: float
    refused: float
    grounded: float | None
    right_when_given: float | None
    out_of_scope: int
    out_of_scope_refused: float | None
    tokens_per_second: float | None
    unfinished: int
    filtered: dict[str, int]


def measure_replies(
    replies: Sequence[Reply],
    examples: ReplyExamples,
    vectors: Vectors,
    *,
    refusal: str | None,
    out_of_scope: Sequence[Reply] = (),
) -> ReplyMeasures:
    """Compare replies with the wanted answers.

    Args:
        replies: One for each example.
        examples: Questions with the answers that are wanted.
        vectors: What likeness is measured by.
        refusal: What is said when the model is not sure; None where it never is.
        out_of_scope: Replies to questions that nothing is known about.
    """

    def is_open(reply: Reply) -> bool:
        return bool(reply.refused) or reply.text == refusal

    given = [reply for reply in replies if not is_open(reply)]
    exact = [reply.text == answer for reply, answer in zip(replies, examples.answers, strict=True)]
    said, wanted = vectors([reply.text for reply in replies]), vectors(examples.answers)
    lengths = np.linalg.norm(said, axis=1) * np.linalg.norm(wanted, axis=1)
    alike = (said * wanted).sum(axis=1) / np.maximum(lengths, 1e-12)
    right = [is_right for reply, is_right in zip(replies, exact, strict=True) if not is_open(reply)]
    seconds = sum(reply.seconds for reply in given)
    return ReplyMeasures(
        questions=len(replies),
        exact=float(np.mean(exact)),
        semantic=float(np.mean(np.where(exact, 1.0, alike))),
        refused=float(np.mean([is_open(reply) for reply in replies])),
        grounded=float(np.mean([is_grounded(reply) for reply in given])) if given and refusal is not None else None,
        right_when_given=float(np.mean(right)) if right else None,
        out_of_scope=len(out_of_scope),
        out_of_scope_refused=float(np.mean([is_open(reply) for reply in out_of_scope])) if out_of_scope else None,
        tokens_per_second=sum(reply.tokens for reply in given) / seconds if seconds else None,
        unfinished=sum(not reply.ended for reply in given),
        filtered=dict(Counter(reply.refused for reply in (*replies, *out_of_scope) if reply.refused in FILTERED)),
    )


def is_grounded(reply: Reply) -> bool:
    """Whether a reply cites a known answer and says what stands in it."""
    words = reply.text.casefold().split()
    texts = [passage.casefold().split() for passage in reply.passages] if words else []
    return any(np.mean([word in text for word in words]) >= _WORD_FROM for text in texts)
