"""What each finished stage of a run leaves, so that the run can be stopped and go on with the next one."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import keras
import numpy as np
from pydantic import TypeAdapter

from tfkit.artifacts import RunDirectory
from tfkit.artifacts.manifest import file_sha256
from tfkit.data import DatasetSplits, ImageExamples
from tfkit.files import write_whole
from tfkit.models import load_model_file, save_model_file
from tfkit.reports import StageSummary

FoundT = TypeVar("FoundT")

_LOOKED_AT = 1000  # images of a split whose content counts; their names and labels all do


@dataclass(frozen=True, eq=False)
class DoneStage(Generic[FoundT]):
    """A stage that an earlier process has finished.

    Attributes:
        summary: What it did.
        model: What it gave; None where it gives no model.
        found: What the report tells of it beside; None for nothing.
    """

    summary: StageSummary
    model: Any
    found: FoundT | None


def keep_stage(
    run: RunDirectory, summary: StageSummary, model: keras.Model | None, found: object, *, seed: int
) -> None:
    """Record a stage that is done; the record is written last, when everything that it names is there.

    Args:
        run: The run's folder.
        summary: What the stage did.
        model: What it gave; its draws are set to what they are in a model that was loaded.
        found: A dataclass of plain values; None for none.
        seed: The run's.
    """
    record = {"summary": _plain(summary), "model": "", "found": None if found is None else _plain(found)}
    if model is not None:
        path = _model_of(run, summary.name)
        path.unlink(missing_ok=True)  # kept while it trained: its room is needed now
        save_model_file(model, path)
        record["model"] = file_sha256(path)
        _draw_anew(model, seed)
    write_whole(_record_of(run, summary.name), json.dumps(record) + "\n")


def read_stage(run: RunDirectory, name: str, found: type[FoundT], *, seed: int) -> DoneStage[FoundT] | None:
    """A stage that was recorded.

    Args:
        run: The run's folder.
        name: The stage.
        found: The kind of what was recorded beside the model.
        seed: The run's.

    Returns:
        The stage; None where there is no record, or its model is not the one that was saved.
    """
    try:
        record = json.loads(_record_of(run, name).read_text(encoding="utf-8"))
        model, path = None, _model_of(run, name)
        if record["model"]:
            if file_sha256(path) != record["model"]:
                return None
            model = load_model_file(path)
            _draw_anew(model, seed)
        beside = None if record["found"] is None else TypeAdapter(found).validate_python(record["found"])
        return DoneStage(TypeAdapter(StageSummary).validate_python(record["summary"]), model, beside)
    except (OSError, ValueError, KeyError):
        return None


def fingerprint(splits: DatasetSplits[Any]) -> str:
    """A digest of the names, the labels and the content of a run's examples.

    All texts count, and of images up to a thousand of each split, spread over it.
    """
    digest = hashlib.sha256()
    for examples in (splits.train, splits.validation, splits.test):
        digest.update(json.dumps([examples.class_names, examples.names]).encode("utf-8", "surrogatepass"))
        digest.update(np.ascontiguousarray(examples.labels).tobytes())
        if isinstance(examples, ImageExamples):
            spread = np.linspace(0, len(examples) - 1, min(_LOOKED_AT, len(examples))).astype(np.int64)
            contents = (_content(examples, int(index)) for index in examples.indices[spread])
        else:
            contents = (text.encode("utf-8", "surrogatepass") for text in examples.texts)
        for content in contents:
            digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


def _content(examples: ImageExamples, index: int) -> bytes:
    """What is stored of one image; nothing of a file that has vanished since it was checked."""
    try:
        return examples.source.content(index)
    except OSError:
        return b""


def _draw_anew(model: keras.Model, seed: int) -> None:
    """Set what dropout draws from: Keras's files do not hold how far a model had come with it."""
    states = [variable for variable in model.variables if variable.name == "seed_generator_state"]
    for number, state in enumerate(states):
        drawn = np.random.SeedSequence((seed, number)).generate_state(1)[0] >> 1
        state.assign([int(drawn), 0])


def _plain(value: object) -> Any:
    return TypeAdapter(type(value)).dump_python(value, mode="json")


def _record_of(run: RunDirectory, name: str) -> Path:
    return run.checkpoints / f"{name}.done.json"


def _model_of(run: RunDirectory, name: str) -> Path:
    return run.checkpoints / f"{name}.keras"
