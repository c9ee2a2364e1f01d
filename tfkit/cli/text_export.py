"""`tfkit export` for a model of texts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfkit.errors import ConfigError
from tfkit.opening.heads import Task


def export_texts(
    display: Any,
    path: Path,
    output: Path,
    formats: list[str],
    *,
    tokenizer: Path | None,
    sequence_length: int | None,
    segment_ids: bool,
    labels: Path | None,
    calibration: Path | None,
    count: int,
    min_runtime: str | None,
    table: Mapping[str, Any],
    task: Task | None = None,
) -> tuple[Any, ...]:
    """Export a Keras classifier of token ids, with its tokeniser beside the files.

    Args:
        display: Where to show how it goes.
        path: A `.keras` file, or a run's folder.
        output: The folder to write into, empty.
        formats: What to make.
        tokenizer: The tokeniser's folder; the run's when None.
        sequence_length: Tokens of a text; the run's when None.
        segment_ids: Whether `.tflite` files get the third input that MediaPipe's text tasks ask for.
        labels: A file with one label a line; the run's classes, else numbers, when None.
        calibration: A file of labelled texts, for `tflite_int8`.
        count: How many of them to use.
        min_runtime: The oldest TensorFlow Lite that must read the files; None for any.
        table: Its columns and header, as keyword arguments of `read_labelled_texts`.
        task: What the outputs are, where the model does not say it.

    Returns:
        The artifacts.
    """
    from tfkit.artifacts import TaskName, TextSpec
    from tfkit.data.text import open_tokenizer
    from tfkit.exporters import export_formats
    from tfkit.exporters.oldest_runtime import refuse_newer_formats
    from tfkit.graph import read_head
    from tfkit.models import load_model_file
    from tfkit.models.text.embedder import is_embedder
    from tfkit.opening.heads import judge_head
    from tfkit.opening.texts import keras_text, read_labelled_texts

    with display.stage("Model") as stage:
        given = keras_text(path, tokenizer=tokenizer, sequence_length=sequence_length)
        loaded = load_model_file(path)
        opened = open_tokenizer(given.tokenizer)
        stage.result(f"{loaded.count_params() / 1e6:.2f} M parameters, {given.sequence_length} tokens a text")
    text = TextSpec(given.sequence_length, output / "tokenizer", segment_ids)
    class_names: tuple[str, ...] = ()
    scores: TaskName = "classification"
    if is_embedder(loaded):
        if labels is not None:
            raise ConfigError(f"'{path}' gives sentence embeddings, which have no labels", hint="leave --labels out")
    else:
        class_names, known = _labels(display, path, max(2, read_head(loaded).units), labels=labels)
        loaded, scores, note = judge_head(loaded, path, task, named=len(class_names) if known else None)
        if note:
            display.note(note)
    if min_runtime is not None:
        refuse_newer_formats(loaded, formats, spec=text, oldest=min_runtime)
    tokens = None
    if calibration is not None:
        with display.stage("Calibration texts") as stage:
            examples = read_labelled_texts(calibration, path, class_names=None, **table)
            tokens = _some_tokens(examples, opened, length=text.sequence_length, count=count)
            stage.result(str(len(tokens["token_ids"])))
    with display.stage("Export") as stage:
        opened.save(text.tokenizer)
        described: dict[str, Any] = {"spec": text, "class_names": class_names, "calibration": tokens}
        return export_formats(loaded, formats, output, task=scores, progress=stage.progress, **described)


def _labels(display: Any, path: Path, classes: int, *, labels: Path | None) -> tuple[tuple[str, ...], bool]:
    """The class names, numbers where nobody says them; and whether somebody does."""
    from tfkit.opening.targets import read_labels, run_labels

    names = read_labels(labels) if labels else run_labels(path)
    if names and len(names) != classes:
        raise ConfigError(f"there are {len(names)} labels; '{path}' gives {classes} scores", hint="see --labels")
    if not names:
        display.note("labels are numbers: say --labels FILE to name them")
    return names or tuple(map(str, range(classes))), bool(names)


def _some_tokens(examples: Any, tokenizer: Any, *, length: int, count: int) -> Any:
    """`token_ids` and `padding_mask` of some of the texts, as many of each class."""
    from tfkit.data.splitting import spread_over_classes
    from tfkit.data.text import token_arrays

    chosen = spread_over_classes(examples.labels, count=count, seed=0)
    return token_arrays(examples.select(chosen), tokenizer, sequence_length=length)
