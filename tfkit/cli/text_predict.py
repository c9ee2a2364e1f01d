"""`tfkit predict` for a model of texts."""

from pathlib import Path
from typing import Any

from tfkit.cli.answers import Answered, answers_json, echo_json, show_answers, tell_numbered
from tfkit.cli.explanation import Explained, explain_texts
from tfkit.errors import DataError, ModelError
from tfkit.files import read_regular_file

_BATCH = 32  # texts at a time


def predict_texts(
    path: Path,
    words: list[str],
    *,
    labels: Path | None,
    top: int,
    as_json: bool,
    tokenizer: Path | None = None,
    sequence_length: int | None = None,
    explain: bool = False,
) -> int:
    """Classify texts with a model that tfkit exported, or with a Keras file whose tokeniser is known."""
    from tfkit.opening.targets import is_keras_file
    from tfkit.terminal.quiet import chatter_dropped, import_tensorflow

    texts = read_texts(words)
    explained: Explained | None = None
    with chatter_dropped():
        told = None if explain else scores_on_host(path, texts, labels=labels, tokenizer=tokenizer)
        if told is None:
            import_tensorflow()
            from tfkit.data.text import replace_unusable

            texts = [replace_unusable(text) for text in texts]  # a shell passes any bytes on
            if is_keras_file(path):
                told = keras_scores(path, texts, labels=labels, tokenizer=tokenizer, sequence_length=sequence_length)
            else:
                told = text_scores(path, texts, labels=labels, tokenizer=tokenizer)
        answered = told
        if explain:
            if answered.task != "classification":
                raise ModelError(f"'{path}' gives {answered.task}: words are weighed for classes only")
            outside: dict[str, Any] = {"tokenizer": tokenizer, "sequence_length": sequence_length}
            explained = explain_texts(path, texts, answered.scores.argmax(axis=1), answered.class_names, **outside)
    if as_json:
        answers = answers_json("text", texts, answered, top=top)
        echo_json(answered.model, "text", explained.added_to(answers) if explained else answers)
    else:
        show_answers("text", texts, answered, top=top)
        tell_numbered(answered.class_names)
        if explained:
            explained.show()
    return 0


def keras_scores(
    path: Path, texts: list[str], *, labels: Path | None, tokenizer: Path | None, sequence_length: int | None
) -> Answered:
    """The same of a Keras file."""
    from tfkit.data.text import open_tokenizer
    from tfkit.models import load_model_file
    from tfkit.opening.heads import judge_head
    from tfkit.opening.targets import read_labels, run_labels, run_thresholds
    from tfkit.opening.texts import keras_text
    from tfkit.runtimes import KerasRuntime

    text = keras_text(path, tokenizer=tokenizer, sequence_length=sequence_length)
    tokens = open_tokenizer(text.tokenizer)(texts, sequence_length=text.sequence_length)
    given = read_labels(labels) if labels else run_labels(path)
    model, task, _ = judge_head(load_model_file(path), path, None, named=len(given) or None)
    scores = KerasRuntime(model).scores(tokens)
    names = given or tuple(map(str, range(scores.shape[1])))
    if len(names) != scores.shape[1]:
        raise ModelError(f"there are {len(names)} labels; '{path}' gives {scores.shape[1]} scores")
    return Answered(path, names, scores, task, run_thresholds(path))


def scores_on_host(
    path: Path, texts: list[str], *, labels: Path | None, tokenizer: Path | None = None
) -> Answered | None:
    """What `text_scores` gives, without TensorFlow; None where a file or a text cannot do without it."""
    import numpy as np

    from tfkit.artifacts import TextSpec
    from tfkit.data.host_texts import token_ids_on_host
    from tfkit.opening.targets import best_artifact, find_artifacts, is_keras_file
    from tfkit.runtimes import open_runtime

    if is_keras_file(path):
        return None
    artifact = best_artifact(find_artifacts(path, labels=labels, tokenizer=tokenizer))
    if artifact.format != "tflite" or not isinstance(artifact.input, TextSpec):
        return None
    tokens = token_ids_on_host(texts, artifact.input)
    if tokens is None:
        return None
    with open_runtime(artifact) as runtime:
        batches = [
            {key: values[start : start + _BATCH] for key, values in tokens.items()}
            for start in range(0, len(texts), _BATCH)
        ]
        scores = np.concatenate([runtime.scores(inputs) for inputs in batches])
    return Answered(artifact.path, artifact.class_names, scores, artifact.task, artifact.thresholds)


def text_scores(path: Path, texts: list[str], *, labels: Path | None, tokenizer: Path | None = None) -> Answered:
    """What the best file of a path says."""
    import numpy as np

    from tfkit.data import input_batches
    from tfkit.data.text import TextExamples
    from tfkit.opening.targets import best_artifact, find_artifacts
    from tfkit.runtimes import SavedModelRuntime, open_runtime

    artifact = best_artifact(find_artifacts(path, labels=labels, tokenizer=tokenizer))
    numbers = np.zeros(len(texts), np.int32)
    examples = TextExamples(tuple(texts), numbers, tuple(map(str, numbers)), artifact.class_names)
    with open_runtime(artifact) as runtime:
        if isinstance(runtime, SavedModelRuntime) and runtime.takes_encoded:
            scores = runtime.scores_from_encoded([text.encode() for text in texts])
        else:
            batches = input_batches(examples, artifact.input, batch_size=_BATCH)
            scores = np.concatenate([runtime.scores(inputs) for inputs in batches])
    return Answered(artifact.path, artifact.class_names, scores, artifact.task, artifact.thresholds)


def read_texts(words: list[str]) -> list[str]:
    """Texts as they are, and the lines of files."""
    found: list[str] = []
    for word in words:
        if word.endswith(".txt") and Path(word).is_file():
            try:
                lines = read_regular_file(Path(word)).decode("utf-8-sig").splitlines()
            except (OSError, UnicodeDecodeError) as fault:
                raise DataError(f"cannot read the texts '{word}': {fault}", hint="one text a line, in UTF-8") from None
            found += [line for line in lines if line.strip()]
        elif word.strip():
            found.append(word)
    if not found:
        raise DataError("there is no text", hint="write it in quotes, or name a .txt file with one text a line")
    return found
