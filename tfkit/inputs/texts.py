"""Texts: token ids and a mask of one length, sent in UTF-8."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from tfkit.artifacts import RunDirectory, TensorSpec, TextSpec
from tfkit.artifacts.artifact import SPECIFICATION_FILE
from tfkit.data import Examples
from tfkit.errors import ExportError
from tfkit.inputs.input import FileDescription, Input, Prose, Reading, Serving, TensorDescription
from tfkit.runtimes.protocol import SEGMENT_IDS, Feed, ModelInputs

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
    from numpy.typing import NDArray

    from tfkit.data.text import TextExamples

TOKEN_IDS, PADDING_MASK = "token_ids", "padding_mask"
_TOKENIZER = RunDirectory(Path()).tokenizer.as_posix()
_STEP = 8  # tokens
_SPECIAL = {"start": "[CLS]", "end": "[SEP]", "unknown": "[UNK]"}


def _labelled(path: Path, text: TextSpec, reading: Reading) -> "TextExamples":
    from tfkit.data.text import load_text_examples

    return load_text_examples(path, class_names=reading.class_names, targets=reading.targets, **reading.columns)


def _shown(examples: Examples, text: TextSpec) -> tuple[str, ...]:
    return cast("TextExamples", examples).texts


def _told(text: TextSpec) -> str:
    return f"texts of at most {text.sequence_length} tokens"


def _explained(text: TextSpec) -> str:
    kind = _kind(text.tokenizer)
    named = f" ({kind.replace('_', ' ')})" if kind else ""
    return (
        f"texts in UTF-8 of at most {text.sequence_length} tokens, start and end included; what is longer is cut. "
        f"The tokeniser{named} is in `{_TOKENIZER}`."
    )


def _document(text: TextSpec) -> dict[str, object]:
    """Its length; where the tokeniser is in a run's folder, wherever that lies; and of which kind it is."""
    return {
        "sequence_length": text.sequence_length,
        "tokenizer": _TOKENIZER,
        "tokenizer_kind": _kind(text.tokenizer),
    }


def _kind(tokenizer: Path) -> str | None:
    # Read from what `Tokenizer.save` wrote for devices: opening the tokeniser would load TensorFlow and its vocabulary.
    try:
        kind = json.loads((tokenizer / SPECIFICATION_FILE).read_text(encoding="utf-8"))["kind"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(kind)


def _tensors(text: TextSpec) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name, (None, text.sequence_length), "int32") for name in (TOKEN_IDS, PADDING_MASK))


def _faults(model: "keras.Model", text: TextSpec) -> list[str]:
    named = getattr(model, "input", None)  # a Sequential that was never called has none
    if isinstance(named, dict) and set(named) == {TOKEN_IDS, PADDING_MASK}:
        lengths = {tensor.shape[1] for tensor in model.inputs}
        if lengths <= {None, text.sequence_length}:
            return []
    shapes = ", ".join(f"{tensor.name} {tuple(tensor.shape)}" for tensor in model.inputs)
    return [f"it takes {shapes}; expected token_ids and padding_mask of {text.sequence_length} tokens, as a dict"]


def _batches(examples: Examples, text: TextSpec, batch_size: int, on_host: bool) -> Iterator[Feed]:
    """int32 (n, length), ids and mask."""
    from tfkit.data.text import open_tokenizer  # keras-hub takes seconds to import: only where there are texts

    tokenizer, texts = open_tokenizer(text.tokenizer), cast("TextExamples", examples).texts
    for start in range(0, len(texts), batch_size):
        yield tokenizer(texts[start : start + batch_size], sequence_length=text.sequence_length)


def _by_length(examples: Examples, text: TextSpec) -> "NDArray[np.intp]":
    from tfkit.data.text import open_tokenizer

    lengths = open_tokenizer(text.tokenizer).lengths(cast("TextExamples", examples).texts)
    return np.argsort(np.minimum(lengths, text.sequence_length), kind="stable")


def _unpadded(feed: Feed) -> Feed:
    """Padded to the longest text, and to a few lengths only: a model is traced, or compiled, for each."""
    longest = int(feed[PADDING_MASK].sum(axis=1).max(initial=1))
    length = -(-longest // _STEP) * _STEP
    return {name: tokens[:, :length] for name, tokens in feed.items()}


def _noise(text: TextSpec, count: int) -> Feed:
    """Texts of full length."""
    ones = np.ones((count, text.sequence_length), np.int32)
    return {TOKEN_IDS: ones, PADDING_MASK: ones}


def _serving(text: TextSpec) -> Serving:
    from tfkit.data.text import open_tokenizer

    tokenizer = open_tokenizer(text.tokenizer)

    def decoded(texts: "tf.Tensor") -> "dict[str, tf.Tensor]":
        return tokenizer.in_graph(texts, sequence_length=text.sequence_length)

    tensors = tuple(TensorSpec(name, (None, None), "int32") for name in (TOKEN_IDS, PADDING_MASK))
    return Serving(tensors, sent="texts", decoded=decoded, tables=(tokenizer.layer,))


def _described(text: TextSpec) -> FileDescription:
    wanted = (
        "MediaPipe's text tasks want a third input, which export.segment_ids of a recipe and tfkit export "
        "--segment-ids add; LiteRT needs none"
    )
    tensors = {  # as MediaPipe's BERT classifier and embedder call them
        TOKEN_IDS: TensorDescription("ids", "Ids of the word pieces, 0 behind the text"),
        PADDING_MASK: TensorDescription("mask", "1 for each word piece, 0 behind the text"),
        SEGMENT_IDS: TensorDescription("segment_ids", "Not read: every text is one segment"),
    }
    return FileDescription(
        tensors,
        parser="1.1.0",
        vocabulary=_bert_vocabulary(text) if text.segment_ids else None,
        unread=(SEGMENT_IDS,) if text.segment_ids else (),
        beyond_mediapipe=None if text.segment_ids else wanted,
    )


def _bert_vocabulary(text: TextSpec) -> bytes:
    """The vocabulary of a model whose files MediaPipe's text tasks are to read: word pieces, one a line, by their ids.

    Raises:
        ExportError: When MediaPipe's BERT tokeniser gives other ids of them than this one.
    """
    told = json.loads((text.tokenizer / SPECIFICATION_FILE).read_text(encoding="utf-8"))
    special = {role: (entry["token"], entry["id"]) for role, entry in told["special_tokens"].items()}
    fitting = told["kind"] == "word_piece" and told["lowercase"] and told["suffix_indicator"] == "##"
    fitting = fitting and all(special[role][0] == token for role, token in _SPECIAL.items())
    if not fitting or special["padding"][1] != 0:
        raise ExportError(
            "MediaPipe's text tasks have no tokeniser that gives this model's token ids; they know lower-case "
            f"WordPiece with {', '.join(_SPECIAL.values())} and padding 0, and this one is "
            f"{told['kind'].replace('_', ' ')}",
            hint="leave --segment-ids, or export.segment_ids, out, and tokenise in the app",
        )
    vocabulary: bytes = (text.tokenizer / told["vocabulary_files"][0]).read_bytes()
    return vocabulary


def _measured(shown: "np.ndarray | Sequence[str]") -> "dict[str, NDArray[np.float32]]":
    texts = [str(text) for text in shown]
    words = [text.split() for text in texts]
    letters = [sum(character.isalpha() for character in text) / max(1, len("".join(text.split()))) for text in texts]
    lengths = [len("".join(some)) / max(1, len(some)) for some in words]
    found = {"words": [len(some) for some in words], "characters of a word": lengths, "share of letters": letters}
    return {name: np.array(values, np.float32) for name, values in found.items()}


def _sent(examples: Examples) -> list[bytes]:
    return [text.encode() for text in cast("TextExamples", examples).texts]


def _beside(examples: Examples, folder: Path) -> list[dict[str, str]]:
    return [{"text": text} for text in cast("TextExamples", examples).texts]


def _opened(model: "keras.Model", few: ModelInputs) -> "keras.Model":
    from tfkit.models.text import open_transformer

    return open_transformer(model, few)


def _plain(model: "keras.Model") -> "keras.Model":
    from tfkit.models.text import opened_if_possible

    return opened_if_possible(model)


def _sized(model: "keras.Model", text: TextSpec) -> "keras.Model":
    from tfkit.models.text import with_sequence_length

    return with_sequence_length(model, sequence_length=text.sequence_length)


TEXTS = Input(
    spec=TextSpec,
    noun="text",
    holds="token ids",
    doubts="the tokenizer or the texts",
    labelled=_labelled,
    fed_on_host=False,
    shown=_shown,
    told=_told,
    explained=_explained,
    document=_document,
    prose=Prose(
        piece="row",
        unclear="unclear texts",
        of_none="a text that is about",
        of_others="texts about",
        made="wrote",
        show="say",
        tell_of="tell of",
        people="who wrote them, or are named in them,",
        depends_on="wording, spelling mistakes, dialect, language and length, or on who wrote the text.",
        alike="Rewordings of one text, or texts of one writer, may lie\n"
        "in both training and evaluation without being the same text.",
    ),
    tensors=_tensors,
    faults=_faults,
    batches=_batches,
    by_length=_by_length,
    unpadded=_unpadded,
    noise=_noise,
    serving=_serving,
    described=_described,
    measured=_measured,
    sent=_sent,
    beside=_beside,
    opened=_opened,
    plain=_plain,
    sized=_sized,
    uncalibrated=(
        "int8 of texts needs quantisation-aware training; calibrated afterwards, the number that hides padding "
        "from a BERT's attention leaves its scores a step of millions, and the file is worth nothing",
        "export tflite_dynamic_int8, or give the recipe a quantization: section",
    ),
    noise_tells=False,
)
