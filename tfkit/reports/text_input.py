"""What a text model takes, as document and model card tell it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tfkit.artifacts import RunDirectory, TextSpec


@dataclass(frozen=True)
class TextInput:
    """The texts a model takes.

    Attributes:
        sequence_length: Tokens of one text at most, its start and end included.
        tokenizer: The tokeniser's folder, relative to the run's, which may lie elsewhere by the time this is read.
        tokenizer_kind: `word_piece`, `byte_pair` or `sentence_piece`; None when the folder cannot be read.
    """

    sequence_length: int
    tokenizer: str
    tokenizer_kind: str | None


def describe_text_input(spec: TextSpec) -> TextInput:
    """Look up what is not in the specification itself.

    Args:
        spec: The texts, and where their tokeniser is now.

    Returns:
        The same in plain values.
    """
    folder = RunDirectory(Path()).tokenizer.as_posix()
    return TextInput(spec.sequence_length, folder, _kind(spec.tokenizer))


def _kind(tokenizer: Path) -> str | None:
    # Read from what `Tokenizer.save` wrote for devices: opening the tokeniser would load TensorFlow and its vocabulary.
    try:
        kind = json.loads((tokenizer / "specification.json").read_text(encoding="utf-8"))["kind"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(kind)
