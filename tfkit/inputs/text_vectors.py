"""Vectors of any texts: by parts of their words, or by the embedder of a run of embed_text."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfkit import artifacts
from tfkit.data.replies.known import Vectors, vectors_of_words
from tfkit.errors import ModelError

_BATCH = 32


def vectors_for(index: str, texts: Sequence[str], *, asked: str) -> Vectors:
    """What makes vectors of texts.

    Args:
        index: `words`, or the folder of a run of embed_text.
        texts: Known texts, whose parts of words are counted.
        asked: As for `vectors_by_run`.

    Raises:
        ModelError: When the run is none of sentence embeddings.

    Example:
        >>> vectors_for("words", ["where is it", "my money back"], asked="index")(["where"]).shape[0]
        1
    """
    return vectors_of_words(texts) if index == "words" else vectors_by_run(Path(index), asked=asked)


def vectors_by_run(run: Path, *, asked: str) -> Vectors:
    """What makes vectors of texts.

    Args:
        run: The folder of a run of embed_text.
        asked: The recipe's key that names it, for the message.

    Returns:
        From texts to float64 (n, features), each of length 1.

    Raises:
        ModelError: When it is no run of sentence embeddings.
    """
    file = artifacts.best_artifact(artifacts.read_manifest(artifacts.RunDirectory(run).artifacts))
    spec = file.input
    if file.task != "embedding" or not isinstance(spec, artifacts.TextSpec):
        raise ModelError(f"{asked}: '{run}' is a run of {file.task}", hint="name a run of embed_text, or say words")

    def vectors(texts: Sequence[str]) -> NDArray[np.float64]:
        from tfkit.data.text import TextExamples
        from tfkit.inputs.texts import TEXTS
        from tfkit.runtimes import open_runtime

        examples = TextExamples(tuple(texts), np.zeros(len(texts), np.int32), tuple(map(str, range(len(texts)))), ("",))
        with open_runtime(file) as runtime:
            found = [runtime.scores(feed) for feed in TEXTS.batches(examples, spec, _BATCH, False)]
        return np.concatenate(found).astype(np.float64)

    return vectors
