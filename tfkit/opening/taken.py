"""What a model takes, by what lies around it: its manifest, or its run."""

from pathlib import Path
from typing import Any

from tfkit.artifacts import RunDirectory, read_manifest
from tfkit.inputs import HISTORIES, PROMPTS, TEXTS, Input, input_of
from tfkit.opening.targets import MANIFEST, is_keras_file
from tfkit.opening.texts import keras_takes_texts


def takes_texts(path: Path, *, tokenizer: Path | None = None) -> bool:
    """Whether a model takes texts: its manifest or its run says so, or a tokeniser was named."""
    if tokenizer is not None or is_keras_file(path):
        return keras_takes_texts(path, tokenizer=tokenizer)
    return _input_of_manifest(path) is TEXTS


def takes_histories(path: Path) -> bool:
    """Whether a model is a recommender, which takes what users took: its manifest or its run says so."""
    return RunDirectory.of_model(path).items.is_file() if is_keras_file(path) else _input_of_manifest(path) is HISTORIES


def takes_prompts(path: Path) -> bool:
    """Whether a model is a language model, which takes questions: its manifest or its run says so."""
    return RunDirectory.of_model(path).prompts.is_dir() if is_keras_file(path) else _input_of_manifest(path) is PROMPTS


def _input_of_manifest(path: Path) -> "Input[Any] | None":
    """What the manifest of an exported model, or of its run, says that it takes; None without one."""
    for folder in (path / "artifacts", path, path.parent, path.parent.parent):
        if (folder / MANIFEST).is_file():
            return input_of(read_manifest(folder, compare=False)[0].input)
    return None
