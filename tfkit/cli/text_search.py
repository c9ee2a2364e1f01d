"""`tfkit predict` for a model of sentence embeddings: an answer, "not sure", or the nearest texts."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfkit.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

    from tfkit.artifacts.search_index import SearchIndex

NOT_SURE = "not sure"


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


def search_texts(path: Path, folder: Path, words: list[str], *, nearest: bool, top: int, as_json: bool) -> int:
    """Answer texts with an embedder.

    Args:
        path: The run, or one of its models.
        folder: Its index, of `find_search_index`.
        words: Texts, or .txt files.
        nearest: Show the nearest indexed texts rather than the answer.
        top: How many of them.
        as_json: Print JSON, with both.
    """
    from tfkit.artifacts import refuse_changed_files
    from tfkit.artifacts.search_index import load_search_index
    from tfkit.cli.answers import echo_document
    from tfkit.cli.text_predict import read_texts, scores_on_host, text_scores
    from tfkit.opening.targets import is_keras_file
    from tfkit.terminal.quiet import chatter_dropped, import_tensorflow

    texts = read_texts(words)
    with chatter_dropped():
        refuse_changed_files(folder.parent, only=[f"{folder.name}/{file.name}" for file in folder.iterdir()])
        index = load_search_index(folder)
        if (told := scores_on_host(path, texts, labels=None)) is not None:
            model, vectors = told.model, told.scores
        else:
            import_tensorflow()
            from tfkit.data.text import replace_unusable

            texts = [replace_unusable(text) for text in texts]  # a shell passes any bytes on
            if is_keras_file(path):
                model, vectors = path, _keras_vectors(path, texts)
            else:
                answered = text_scores(path, texts, labels=None)
                model, vectors = answered.model, answered.scores
    answers = [
        {"text": text} | answer for text, answer in zip(texts, find_answers(index, vectors, top=top), strict=True)
    ]
    if as_json:
        echo_document({"model": str(model), "texts": answers})
    else:
        _show(model, answers, nearest=nearest)
    return 0


def _keras_vectors(path: Path, texts: list[str]) -> "np.ndarray":
    from tfkit.data.text import open_tokenizer
    from tfkit.models import load_model_file
    from tfkit.opening.texts import keras_text
    from tfkit.runtimes import KerasRuntime

    text = keras_text(path, tokenizer=None, sequence_length=None)
    tokens = open_tokenizer(text.tokenizer)(texts, sequence_length=text.sequence_length)
    return KerasRuntime(load_model_file(path)).scores(tokens)


def find_answers(index: "SearchIndex", vectors: "np.ndarray", *, top: int) -> list[dict[str, Any]]:
    """Answer each vector from an index.

    Args:
        index: What is searched.
        vectors: float32 (n, d), each of length 1.
        top: How many of the nearest texts to name.

    Returns:
        For each: `label`, the most probable one; its `confidence`, 0..1; `answer`, what to reply, None when it is not
        sure; and `nearest`, the nearest texts with their labels and cosines.
    """
    decided = zip(*index.decide(vectors), strict=True)
    positions, cosines = index.nearest(vectors, count=top)
    answers = []
    for (number, confidence, sure), found, near in zip(decided, positions, cosines, strict=True):
        label = index.class_names[number]
        reply = index.answers.get(label, label) if sure else None
        neighbours = [
            {"text": index.texts[place], "label": index.class_names[index.labels[place]], "cosine": float(cosine)}
            for place, cosine in zip(found, near, strict=True)
        ]
        answers.append({"label": label, "confidence": float(confidence), "answer": reply, "nearest": neighbours})
    return answers


def _show(model: Path, answers: list[dict[str, Any]], *, nearest: bool) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from tfkit.terminal.display import PlainConsole

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, header_style="bold", pad_edge=False)
    for heading in ("text", "nearest" if nearest else "answer", "label"):
        table.add_column(heading, overflow="fold")
    table.add_column("cosine" if nearest else "confidence", justify="right", no_wrap=True)
    for one in answers:
        if nearest:
            rows = [(near["text"], near["label"], near["cosine"]) for near in one["nearest"]]
        else:
            rows = [(one["answer"] or NOT_SURE, one["label"], one["confidence"])]
        for place, (found, label, figure) in enumerate(rows):
            style = "" if place == 0 and (nearest or one["answer"]) else "dim"
            asked = Text(one["text"] if place == 0 else "")
            table.add_row(asked, Text(found, style=style), Text(label, style=style), Text(f"{figure:.3f}", style=style))
        table.add_section()
    console = PlainConsole()
    console.print(str(model), style="dim", soft_wrap=True)
    console.print(table)
