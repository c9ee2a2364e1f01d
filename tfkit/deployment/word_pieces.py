"""The tokeniser that programs on devices and in browsers bring: WordPiece, as the original BERT cuts texts."""

import json
from typing import Any

from tfkit.artifacts import Artifact, RunDirectory, TextSpec
from tfkit.artifacts.artifact import SPECIFICATION_FILE
from tfkit.errors import ExportError

VOCABULARY_FILE = "vocabulary.txt"


def refuse_other_tokenizers(run: RunDirectory, served: Artifact) -> None:
    """Refuse a file of texts that are cut otherwise than by WordPiece.

    Args:
        run: The run.
        served: Its file; one of pictures passes.

    Raises:
        ExportError: When its tokeniser is another one.
    """
    if not isinstance(served.input, TextSpec):
        return
    if (kind := _specification(served.input)["kind"]) != "word_piece":
        raise ExportError(
            f"'{run.path}' has a {kind.replace('_', '-')} tokeniser, and the samples know WordPiece alone",
            hint="serve it: tfkit package serving RUN",
        )


def word_piece_values(text: TextSpec) -> dict[str, Any]:
    """What a program must know of a tokeniser beside its vocabulary.

    Args:
        text: What a file takes.

    Returns:
        `sequence_length`, `segment_ids`, `suffix` (what stands before a piece inside a word), `max_bytes_per_word`,
        `lowercase`, `strip_accents`, and the ids `start_id`, `end_id`, `padding_id`, `unknown_id`.
    """
    said = _specification(text)
    values = {f"{role}_id": entry["id"] for role, entry in said["special_tokens"].items()}
    return values | {
        "sequence_length": text.sequence_length,
        "segment_ids": text.segment_ids,
        "suffix": said["suffix_indicator"],
        **{name: said[name] for name in ("max_bytes_per_word", "lowercase", "strip_accents")},
    }


def _specification(text: TextSpec) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((text.tokenizer / SPECIFICATION_FILE).read_text(encoding="utf-8"))
    return said
