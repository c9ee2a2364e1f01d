"""What a language model replies to questions."""

from collections.abc import Sequence
from pathlib import Path

from tfkit.artifacts import PromptSpec
from tfkit.errors import ModelError
from tfkit.opening import find_artifacts, is_keras_file
from tfkit.operations.predicting_texts import read_texts
from tfkit.operations.values import Replies


def predict_questions(path: Path, words: Sequence[str]) -> Replies:
    """Answer questions with a language model's file; see `tfkit.predict`.

    Args:
        path: A run of finetune_reply, or one of its files.
        words: Questions, or `.txt` files of one a line.

    Raises:
        ModelError: When no file of a language model is there.
        DataError: When a file of questions cannot be read.
    """
    from tfkit.running.replying import open_responder, shipped_file
    from tfkit.runtimes import LanguageModelRuntime

    if is_keras_file(path):
        raise ModelError(
            f"'{path}' is a Keras model without a cache, which answers a hundred times slower than its files",
            hint="name its run, or the folder with its exported files",
        )
    artifact = shipped_file(find_artifacts(path))
    if not isinstance(artifact.input, PromptSpec):
        raise ModelError(f"'{artifact.path}' is no language model", hint="name a run of finetune_reply")
    questions = read_texts(words)
    with LanguageModelRuntime(artifact.path) as runtime:
        responder = open_responder(runtime, artifact.input)
        return Replies(artifact.path, tuple(responder.replies(questions)))
