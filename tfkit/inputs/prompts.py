"""Prompts: the token ids of a question with what stands around it, and of the answer that is judged behind it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from tfkit.artifacts import PromptSpec, TensorSpec
from tfkit.data import Examples
from tfkit.errors import DataError
from tfkit.inputs.input import FileDescription, Input, Prose, Reading, Serving, TensorDescription
from tfkit.runtimes.protocol import ANSWER_MASK, TOKEN_IDS, Feed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import keras
    from numpy.typing import NDArray

    from tfkit.data.replies import ReplyExamples


def _labelled(path: Path, prompt: PromptSpec, reading: Reading) -> "ReplyExamples":
    """Questions with answers, and before each of them what the model answers from."""
    from dataclasses import replace

    from tfkit.data.replies import load_reply_examples, read_conversation, read_known_answers
    from tfkit.inputs.text_vectors import vectors_for

    if said := sorted({"text_column", "label_column"} & set(reading.columns)):
        raise DataError(
            f"rows of a language model have no {said[0].replace('_', ' ')}; got one",
            hint="leave it out: the columns are those of the run's recipe, else question and answer",
        )
    examples = load_reply_examples(path, **reading.columns)
    examples = replace(examples, conversation=read_conversation(prompt.folder))
    known = read_known_answers(prompt.folder)
    if known is None:
        return examples
    vectors = vectors_for(known.index, known.questions, asked="grounding.index")
    return known.written(examples, known.find(vectors(examples.questions), vectors(known.questions)))


def _shown(examples: Examples, prompt: PromptSpec) -> tuple[str, ...]:
    return cast("ReplyExamples", examples).questions


def _told(prompt: PromptSpec) -> str:
    return f"{prompt.length} tokens of a question and its answer"


def _explained(prompt: PromptSpec) -> str:
    return (
        f"token ids, int32: up to {prompt.prefill} of a prompt at once (`prefill_{prompt.prefill}`), then one by one "
        f"(`decode`), {prompt.length} in all; what was read is kept in a cache that the caller hands on. "
        f"`artifacts/{prompt.folder.name}/tokenizer.json` makes ids of texts, and `conversation.json` says what stands "
        "around a question."
    )


def _document(prompt: PromptSpec) -> dict[str, object]:
    return {"length": prompt.length, "prefill": prompt.prefill, "folder": prompt.folder.name}


def _tensors(prompt: PromptSpec) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name, (None, prompt.length), "int32") for name in (TOKEN_IDS, ANSWER_MASK))


def _faults(model: "keras.Model", prompt: PromptSpec) -> list[str]:
    names = sorted(tensor.name for tensor in model.inputs)
    return [] if names == [ANSWER_MASK, TOKEN_IDS] else [f"it takes {', '.join(names)}; expected a language model"]


def _batches(examples: Examples, prompt: PromptSpec, batch_size: int, on_host: bool) -> Iterator[Feed]:
    """int32 (n, length) each."""
    replies = cast("ReplyExamples", examples)
    for start in range(0, len(replies), batch_size):
        chosen = slice(start, start + batch_size)
        yield {TOKEN_IDS: replies.token_ids[chosen], ANSWER_MASK: replies.answer_mask[chosen]}


def _noise(prompt: PromptSpec, count: int) -> Feed:
    """A prompt that fills half of the length, and an answer of one token: every token takes as long."""
    mask = np.zeros((count, prompt.length), np.int32)
    mask[:, prompt.length // 2] = 1
    return {TOKEN_IDS: np.ones((count, prompt.length), np.int32), ANSWER_MASK: mask}


def _serving(prompt: PromptSpec) -> Serving:
    return Serving(_tensors(prompt))


def _described(prompt: PromptSpec) -> FileDescription:
    told = "Token ids of a question with what stands around it"
    return FileDescription(
        {TOKEN_IDS: TensorDescription(TOKEN_IDS, told)},
        beyond_mediapipe="MediaPipe's LLM task reads bundles of its own; LiteRT and LiteRT-LM run these files",
    )


def _measured(shown: "np.ndarray | Sequence[str]") -> "dict[str, NDArray[np.float32]]":
    """How many words each question has."""
    return {"words": np.array([len(str(text).split()) for text in shown], np.float32)}


PROMPTS = Input(
    spec=PromptSpec,
    noun="question",
    holds="token ids",
    doubts="the tokeniser or what stands around a question",
    labelled=_labelled,
    fed_on_host=True,
    shown=_shown,
    told=_told,
    explained=_explained,
    document=_document,
    prose=Prose(
        piece="question",
        unclear="questions that mean several things",
        of_none="a question that none of the known answers fits",
        of_others="questions about other things",
        made="wrote down",
        show="say",
        tell_of="tell of",
        people="who asked them",
        depends_on="how people write, on what they ask about, or on answers that have changed since.",
        alike="Questions that mean the same in other words may lie\nin both training and evaluation.",
    ),
    tensors=_tensors,
    faults=_faults,
    batches=_batches,
    noise=_noise,
    serving=_serving,
    described=_described,
    measured=_measured,
    noise_tells=False,
    uncalibrated=(
        "activations of language models have outliers that int8 does not hold",
        "export tflite_dynamic_int8 or litertlm, whose weights are int8",
    ),
)
