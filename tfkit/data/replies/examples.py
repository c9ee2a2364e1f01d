"""Questions of one split with the answers that are wanted."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tfkit.data.replies.conversation import Conversation

UNJUDGED = -1  # of a label where no token of an answer comes next


@dataclass(frozen=True, eq=False)
class ReplyExamples:
    """Questions, what is asked of the model in their place, and the answers that it should give.

    Attributes:
        questions: What people asked.
        answers: What they are to be answered, as the table holds it.
        names: How reports call them: `train.csv:17`.
        conversation: How they become token ids; None until it is known.
        prompts: What the model is asked: the question, and the known texts before it, if any.
        targets: What it should say: the answer with what it cites, or that it is not sure.

    Example:
        >>> said = learn_conversation(["Where is it?", "On its way."], vocabulary=300, length=32)
        >>> one = ReplyExamples(("Where is it?",), ("On its way.",), ("row 1",), said)
        >>> one.labels.shape, int((one.labels >= 0).sum()) == len(said.answer("On its way."))
        ((1, 32), True)
    """

    questions: tuple[str, ...]
    answers: tuple[str, ...]
    names: tuple[str, ...]
    conversation: Conversation | None = None
    prompts: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.questions)

    @property
    def class_names(self) -> tuple[str, ...]:
        """None: what a model gives are tokens."""
        return ()

    @property
    def texts(self) -> tuple[str, ...]:
        """The questions."""
        return self.questions

    def select(self, positions: np.ndarray) -> "ReplyExamples":
        """The examples at `positions` (int (m,), 0..n-1), in that order."""
        parts = (self.questions, self.answers, self.names, self.prompts, self.targets)
        questions, answers, names, prompts, targets = (
            tuple(part[int(place)] for place in positions) if part else () for part in parts
        )
        return ReplyExamples(questions, answers, names, self.conversation, prompts, targets)

    def class_counts(self) -> dict[str, int]:
        """How many there are."""
        return {"questions": len(self)}

    @cached_property
    def _written(self) -> tuple[NDArray[np.int32], NDArray[np.int32], int]:
        said = self.conversation
        assert said is not None
        ids = np.full((len(self), said.length), said.stop_id, np.int32)
        mask, cut = np.zeros_like(ids), 0
        for row, (prompt, target) in enumerate(zip(self.asked, self.wanted, strict=True)):
            (front, was_cut), back = said.prompt(prompt), said.answer(target)
            ids[row, : len(front) + len(back)] = front + back
            mask[row, len(front) : len(front) + len(back)] = 1
            cut += was_cut
        return ids, mask, cut

    @property
    def asked(self) -> tuple[str, ...]:
        """What the model is asked."""
        return self.prompts or self.questions

    @property
    def wanted(self) -> tuple[str, ...]:
        """What it should say."""
        return self.targets or self.answers

    @property
    def token_ids(self) -> NDArray[np.int32]:
        """Prompt and answer, int32 (n, length), the stop's id behind them."""
        return self._written[0]

    @property
    def answer_mask(self) -> NDArray[np.int32]:
        """1 for each token of an answer, the stop with them, int32 (n, length)."""
        return self._written[1]

    @property
    def cut(self) -> int:
        """How many prompts lost their end."""
        return self._written[2]

    @property
    def labels(self) -> NDArray[np.int32]:
        """For each place the id of the next token where it is one of the answer, else -1; int32 (n, length)."""
        ids, mask, _ = self._written
        labels = np.full_like(ids, UNJUDGED)
        labels[:, :-1] = np.where(mask[:, 1:] > 0, ids[:, 1:], UNJUDGED)
        return labels
