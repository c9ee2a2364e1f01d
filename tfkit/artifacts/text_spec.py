"""The texts a model takes, and how one becomes token ids."""

from dataclasses import dataclass
from pathlib import Path

# In a tokeniser's folder: what kind it is, and its vocabulary's files.
SPECIFICATION_FILE = "specification.json"


@dataclass(frozen=True)
class TextSpec:
    """Length and tokeniser of a model's input.

    Attributes:
        sequence_length: Tokens of one text at most, its start and end included; longer texts are cut.
        tokenizer: The tokeniser's folder, as `tfkit.data.text.Tokenizer.save` wrote it.
        segment_ids: Whether its `.tflite` files have a third input of that name, which MediaPipe's text tasks ask for
            and no operator reads.

    Example:
        >>> TextSpec(sequence_length=32, tokenizer=Path("runs/intents/tokenizer")).sequence_length
        32
    """

    sequence_length: int
    tokenizer: Path
    segment_ids: bool = False
