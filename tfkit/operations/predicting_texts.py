"""Texts of a model: classified, explained, or answered from the texts of a search index."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import RunDirectory, TextSpec, best_artifact, refuse_changed_files
from tfkit.artifacts.search_index import SearchIndex, load_search_index
from tfkit.errors import ConfigError, DataError, ModelError
from tfkit.files import read_regular_file
from tfkit.opening import (
    find_artifacts,
    is_keras_file,
    judge_head,
    keras_text,
    read_labels,
    run_thresholds,
)
from tfkit.operations.values import Explained, FoundAnswer, FoundTexts, NearText, Prediction
from tfkit.terminal import import_tensorflow

if TYPE_CHECKING:
    from tfkit.artifacts import Artifact

_BATCH = 32  # texts at a time
_NO_RUN = "name the folder of the run that made it, or a .keras file of a text classifier"


def predict_texts(
    path: Path,
    words: Sequence[str],
    *,
    labels: Path | None,
    tokenizer: Path | None = None,
    sequence_length: int | None = None,
    explain: bool = False,
) -> Prediction:
    """Classify texts; see `tfkit.predict`."""
    texts = read_texts(words)
    told = None if explain else scores_on_host(path, texts, labels=labels, tokenizer=tokenizer)
    if told is None:
        texts = _usable(texts)
        if is_keras_file(path):
            told = keras_scores(path, texts, labels=labels, tokenizer=tokenizer, sequence_length=sequence_length)
        else:
            told = text_scores(path, texts, labels=labels, tokenizer=tokenizer)
    if not explain:
        return told
    if told.task != "classification":
        raise ModelError(f"'{path}' gives {told.task}: words are weighed for classes only")
    return replace(told, explained=_explained(path, told, tokenizer=tokenizer, sequence_length=sequence_length))


def _usable(texts: list[str]) -> list[str]:
    import_tensorflow()
    from tfkit.data.text import replace_unusable

    return [replace_unusable(text) for text in texts]  # a shell passes any bytes on


def _answers_of(artifact: "Artifact", texts: list[str], scores: NDArray[np.floating]) -> Prediction:
    return Prediction(
        "text", tuple(texts), artifact.path, artifact.class_names, scores, artifact.task, artifact.thresholds
    )


def keras_scores(
    path: Path, texts: list[str], *, labels: Path | None, tokenizer: Path | None, sequence_length: int | None
) -> Prediction:
    """What a Keras file says; its tokeniser is known."""
    from tfkit.data.text import open_tokenizer
    from tfkit.models import load_model_file
    from tfkit.runtimes import KerasRuntime

    text = keras_text(path, tokenizer=tokenizer, sequence_length=sequence_length)
    tokens = open_tokenizer(text.tokenizer)(texts, sequence_length=text.sequence_length)
    given = read_labels(labels) if labels else RunDirectory.of_model(path).class_names
    model, task, _ = judge_head(load_model_file(path), path, None, named=len(given) or None)
    scores = KerasRuntime(model).scores(tokens)
    names = given or tuple(map(str, range(scores.shape[1])))
    if len(names) != scores.shape[1]:
        raise ModelError(f"there are {len(names)} labels; '{path}' gives {scores.shape[1]} scores")
    return Prediction("text", tuple(texts), path, names, scores, task, run_thresholds(path))


def scores_on_host(
    path: Path, texts: list[str], *, labels: Path | None, tokenizer: Path | None = None
) -> Prediction | None:
    """What `text_scores` gives, without TensorFlow; None where a file or a text cannot do without it."""
    from tfkit.data.host_texts import token_ids_on_host
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
    return _answers_of(artifact, texts, scores)


def text_scores(path: Path, texts: list[str], *, labels: Path | None, tokenizer: Path | None = None) -> Prediction:
    """What the best file of a path says."""
    from tfkit.data.text import TextExamples
    from tfkit.inputs import input_batches
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
    return _answers_of(artifact, texts, scores)


def read_texts(words: Sequence[str]) -> list[str]:
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


def models_to_explain(path: Path) -> tuple[Path, ...]:
    """The Keras models that a path on the command line names, the one its files were made from first.

    Raises:
        ModelError: When there are none: an exported file has no gradients.
    """

    if path.is_file() and is_keras_file(path):
        return (path,)
    run = RunDirectory(path)
    found = run.finished_models
    if found:
        return found
    if not path.exists():
        raise ModelError(f"there is no '{path}'", hint="name a run's folder, or a .keras file")
    around = next(
        (folder for folder in path.absolute().parents[:4] if RunDirectory(folder).float_model.is_file()), None
    )
    hint = f"its run keeps the Keras model: tfkit predict {around} TEXT --explain" if around else _NO_RUN
    raise ModelError(f"'{path}' cannot be explained: an exported file has no gradients", hint=hint)


def refuse_unexplainable(path: Path, *, classifies: bool, method: str | None = None) -> None:
    """Tell at once, before TensorFlow is started, that texts cannot be explained, or not so.

    Raises:
        ModelError: When there is no Keras model, or it gives vectors.
    """
    if not classifies:
        raise ModelError(f"'{path}' cannot be explained: it gives vectors, not classes", hint="leave --explain out")
    if method in ("shap", "lime"):
        raise ModelError(f"texts are explained by integrated gradients; got {method}", hint="leave --explain-by out")
    models_to_explain(path)


def _explained(path: Path, told: Prediction, *, tokenizer: Path | None, sequence_length: int | None) -> Explained:
    """Ask the Keras model of a path which words gave each text its label.

    Raises:
        ModelError: When nothing there has gradients.
    """
    from tfkit.explaining import open_explainer

    text = keras_text(path, tokenizer=tokenizer, sequence_length=sequence_length)
    opened = open_explainer(models_to_explain(path), text)
    answers = told.scores.argmax(axis=1)
    explanations = tuple(
        opened.explainer.explain(one, class_index=int(answer)) for one, answer in zip(told.inputs, answers, strict=True)
    )
    labels = tuple(told.class_names[answer] for answer in answers)
    return Explained(opened.model, labels, explanations, opened.notes)


def find_search_index(path: Path) -> Path | None:
    """The folder of the texts that a model's vectors are compared with; None for a model that has none.

    Args:
        path: A run's folder, its artifacts folder, or a model of it, exported or not.
    """
    folders = (path / "artifacts", path, path.parent, path.parent.parent, path.parent.parent / "artifacts")
    return next((folder / "search" for folder in folders if (folder / "search" / "index.json").is_file()), None)


def refuse_nearest(path: Path) -> ConfigError:
    """What to say when the nearest texts are asked of a model that has none."""
    return ConfigError(
        f"--nearest needs a model of sentence embeddings with its search index; '{path}' has none",
        hint="train one: tfkit run embeddings, or a recipe of yours with recipe: embed_text",
    )


def search_texts(path: Path, folder: Path, words: Sequence[str], *, top: int) -> FoundTexts:
    """Answer texts with an embedder.

    Args:
        path: The run, or one of its models.
        folder: Its index, of `find_search_index`.
        words: Texts, or .txt files.
        top: How many of the nearest texts to name.
    """
    texts = read_texts(words)
    refuse_changed_files(folder.parent, only=[f"{folder.name}/{file.name}" for file in folder.iterdir()])
    index = load_search_index(folder)
    if (told := scores_on_host(path, texts, labels=None)) is not None:
        model, vectors = told.model, told.scores
    else:
        texts = _usable(texts)
        if is_keras_file(path):
            model, vectors = path, _keras_vectors(path, texts)
        else:
            answered = text_scores(path, texts, labels=None)
            model, vectors = answered.model, answered.scores
    return FoundTexts(model, find_answers(index, texts, vectors, top=top))


def _keras_vectors(path: Path, texts: list[str]) -> NDArray[np.floating]:
    from tfkit.data.text import open_tokenizer
    from tfkit.models import load_model_file
    from tfkit.runtimes import KerasRuntime

    text = keras_text(path, tokenizer=None, sequence_length=None)
    tokens = open_tokenizer(text.tokenizer)(texts, sequence_length=text.sequence_length)
    return KerasRuntime(load_model_file(path)).scores(tokens)


def find_answers(
    index: SearchIndex, texts: Sequence[str], vectors: NDArray[np.floating], *, top: int
) -> tuple[FoundAnswer, ...]:
    """Answer each vector from an index.

    Args:
        index: What is searched.
        texts: n texts.
        vectors: float32 (n, d), of the texts, each of length 1.
        top: How many of the nearest texts to name.

    Returns:
        One answer for each text.
    """
    decided = zip(*index.decide(vectors), strict=True)
    positions, cosines = index.nearest(vectors, count=top)
    answers = []
    for text, (number, confidence, sure), found, near in zip(texts, decided, positions, cosines, strict=True):
        label = index.class_names[number]
        reply = index.answers.get(label, label) if sure else None
        neighbours = tuple(
            NearText(index.texts[place], index.class_names[index.labels[place]], float(cosine))
            for place, cosine in zip(found, near, strict=True)
        )
        answers.append(FoundAnswer(text, label, float(confidence), reply, neighbours))
    return tuple(answers)
