"""The token ids of `text.Tokenizer`, to the number, from Python alone: for commands without TensorFlow.

Starting TensorFlow takes seconds, running one text through a `.tflite` file a hundredth of that. Only what was shown
to be equal is done here (`word_pieces`). Any other text is left to TF Text.
"""

from collections.abc import Sequence

import numpy as np

from tfkit.artifacts import TextSpec
from tfkit.data.word_pieces import WordPieces, unknown_letter
from tfkit.files import read_regular_file


def token_ids_on_host(texts: Sequence[str], text: TextSpec) -> dict[str, np.ndarray] | None:
    """Token ids of texts as `text.Tokenizer` gives them.

    Args:
        texts: n strings.
        text: Length and tokeniser.

    Returns:
        `token_ids` and `padding_mask` (1 token, 0 padding), each int32 (n, sequence_length); None when only TF Text can
        tell: another kind of tokeniser, a letter of another script, or anything wrong with the tokeniser's files.

    Example:
        >>> ids = token_ids_on_host(["where is my parcel?"], artifact.input)  # doctest: +SKIP
    """
    if text.sequence_length < 3 or any(unknown_letter(one) is not None for one in texts):
        return None
    try:
        pieces = WordPieces(lambda name: read_regular_file(text.tokenizer / name))
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
    ):  # `open_tokenizer` has the words for it
        return None
    rows = [pieces.row(one, text.sequence_length) for one in texts]
    shape = (len(texts), text.sequence_length)
    ids, mask = (np.array([row[part] for row in rows], np.int32).reshape(shape) for part in (0, 1))
    return {"token_ids": ids, "padding_mask": mask}
