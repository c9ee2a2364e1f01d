"""How a question and its answer become token ids: a tokeniser, and the text around them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from tfkit.errors import DataError, ModelError
from tfkit.files import write_whole

TOKENIZER_NAME, CONVERSATION_NAME = "tokenizer.json", "conversation.json"
QUESTION = "{question}"
# Of a tokeniser that is learned here.
TEMPLATE, STOP = "<|user|>{question}<|assistant|>", "<|end|>"
_SPECIALS = (STOP, "<|user|>", "<|assistant|>")


@dataclass(frozen=True, eq=False)
class Conversation:
    """How questions are put to a language model, and answers read from it.

    Attributes:
        tokenizer: Hugging Face's, as `tokenizer.json` holds it.
        template: What stands around a question: a text with `{question}` in it.
        stop: The token that ends an answer.
        length: Tokens of a question, what stands around it and its answer, at most.
        answer_length: Tokens of an answer at most, the stop with them.

    Example:
        >>> said = learn_conversation(["Where is my parcel?", "On its way."], vocabulary=300, length=64)
        >>> said.decode(said.answer("On its way."))
        'On its way.'
    """

    tokenizer: Tokenizer
    template: str
    stop: str
    length: int
    answer_length: int

    @property
    def vocabulary(self) -> int:
        """How many token ids there are."""
        return int(self.tokenizer.get_vocab_size(with_added_tokens=True))

    @property
    def stop_id(self) -> int:
        """The id of the stop."""
        found = self.tokenizer.token_to_id(self.stop)
        assert found is not None  # whoever opens a tokeniser looks
        return found

    def prompt(self, question: str) -> tuple[list[int], bool]:
        """A question's ids with the template around them; one that is too long loses its end.

        What looks like a special token inside of a question stays plain text.

        Returns:
            The ids, and whether anything was cut off.
        """
        before, behind = self.template.split(QUESTION)
        front, back = self._ids(before), self._ids(behind)
        room = self.length - self.answer_length - len(front) - len(back)
        middle = self._ids(question, plain=True)
        return front + middle[:room] + back, len(middle) > room

    def answer(self, text: str) -> list[int]:
        """An answer's ids, the stop at their end.

        Raises:
            DataError: When there are more than `answer_length`.
        """
        ids = [*self._ids(text, plain=True), self.stop_id]
        if len(ids) > self.answer_length:
            raise DataError(
                f"an answer has {len(ids)} tokens, and {self.answer_length} are allowed: '{text[:60]}…'",
                hint="raise model.answer_length, and model.length with it, or shorten it",
            )
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of an answer's ids, without the stop."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True)).strip()

    def save(self, folder: Path) -> None:
        """Write `tokenizer.json`, which any reader of Hugging Face's tokenisers takes, and `conversation.json`."""
        write_whole(folder / TOKENIZER_NAME, self.tokenizer.to_str(pretty=False))
        told = {name: getattr(self, name) for name in ("template", "stop", "length", "answer_length")}
        write_whole(folder / CONVERSATION_NAME, json.dumps(told, indent=2, ensure_ascii=False) + "\n")

    def _ids(self, text: str, *, plain: bool = False) -> list[int]:
        self.tokenizer.encode_special_tokens = plain
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)


def learn_conversation(
    texts: Iterable[str], *, vocabulary: int = 2000, length: int = 256, answer_length: int | None = None
) -> Conversation:
    """A conversation whose tokeniser is learned: byte pairs (Sennrich et al. 2016, arXiv:1508.07909) of bytes.

    Args:
        texts: Questions and answers to learn from.
        vocabulary: Token ids at most; every byte has one.
        length: As for `Conversation`.
        answer_length: Likewise; None for half of `length`.

    Example:
        >>> learn_conversation(["Where is my parcel?"], vocabulary=300, length=32).stop_id
        0
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=list(_SPECIALS), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return Conversation(tokenizer, TEMPLATE, STOP, length, answer_length or length // 2)


def read_conversation(folder: Path) -> Conversation:
    """What `Conversation.save` wrote.

    Raises:
        ModelError: When it is not there, or damaged.
    """
    try:
        told = json.loads((folder / CONVERSATION_NAME).read_text(encoding="utf-8"))
        return Conversation(open_tokenizer(folder), **told)
    except (OSError, ValueError, TypeError) as fault:
        raise ModelError(
            f"'{folder}' does not hold what a question is put to a language model with: {fault}",
            hint="name a run of finetune_reply, or bring its folder of prompts beside the file",
        ) from None


def open_tokenizer(folder: Path) -> Tokenizer:
    """The tokeniser of a folder.

    Raises:
        ModelError: When there is no `tokenizer.json` of Hugging Face's tokenizers in it.
    """
    file = folder / TOKENIZER_NAME
    try:
        return Tokenizer.from_file(str(file))
    except Exception as fault:  # the library raises bare Exceptions
        raise ModelError(
            f"'{file}' is no tokeniser: {fault}",
            hint="a folder of Hugging Face has one beside its config.json and model.safetensors",
        ) from None
