"""The folder of a search: what is done already is kept there, so that a search can go on."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict, Unpack

import keras
import numpy as np
from pydantic import TypeAdapter, ValidationError

from tfkit.data import DatasetSplits
from tfkit.errors import RunError
from tfkit.files import write_whole
from tfkit.graph import read_graph
from tfkit.graph.layer_graph import replace_values
from tfkit.keras_types import LayerConfig
from tfkit.search.result import Candidate, Cut, Failed, FloatChoice, LayerSensitivity, Reference, TestJudgement
from tfkit.search.variants import Variant

_VERSION = 2
_NUMBERS = (int, float, str, bool)
_CONTENTS_READ = 64  # images of each split whose bytes are part of the fingerprint

Fingerprint = Mapping[str, str | float | int | bool | None]


@dataclass(frozen=True)
class Finish:
    """Why a search made no more files, and the limits it had then.

    Attributes:
        reason: In a sentence.
        max_files, max_minutes: As for `search_within_budget`.
    """

    reason: str
    max_files: int
    max_minutes: float | None

    def allows_more(self, max_files: int, max_minutes: float | None) -> bool:
        """Whether other limits give room that there was not."""
        before = float("inf") if self.max_minutes is None else self.max_minutes
        return max_files > self.max_files or (float("inf") if max_minutes is None else max_minutes) > before


@dataclass(frozen=True)
class SearchState:
    """All that a search has found out so far; None and empty where it has not got there.

    Attributes:
        version: Of this layout.
        fingerprint: What the search is made from: a search of something else must not go on with it.
        reference: The float model's figures.
        sensitivity: Each layer's.
        float_choice: The layers that the selective file leaves in float.
        cuts: Predictions for fewer channels.
        candidates: The finished files.
        failed: Files that could not be made, with the reason.
        finish: Why it ended; None while it has not.
        tests: The files that were run on the test images, in that order.
    """

    version: int
    fingerprint: Fingerprint
    reference: Reference | None = None
    sensitivity: tuple[LayerSensitivity, ...] | None = None
    float_choice: FloatChoice | None = None
    cuts: tuple[Cut, ...] | None = None
    candidates: tuple[Candidate, ...] = ()
    failed: tuple[Failed, ...] = ()
    finish: Finish | None = None
    tests: tuple[TestJudgement, ...] = ()


class _Found(TypedDict, total=False):
    """Fields of `SearchState` that a search fills in."""

    reference: Reference | None
    sensitivity: tuple[LayerSensitivity, ...] | None
    float_choice: FloatChoice | None
    cuts: tuple[Cut, ...] | None
    candidates: tuple[Candidate, ...]
    failed: tuple[Failed, ...]
    finish: Finish | None
    tests: tuple[TestJudgement, ...]


_STATE = TypeAdapter(SearchState)


class SearchFolder:
    """A search's folder with its state, `search.json`.

    Args:
        path: The folder; made when it is missing.
        fingerprint: What the search is made from.

    Raises:
        RunError: When the folder holds another search or other files, or cannot be written.
    """

    def __init__(self, path: Path, fingerprint: Fingerprint) -> None:
        self.path = path
        self.candidates = path / "candidates"
        self.state = self._read(fingerprint)
        self.keep()

    @property
    def file(self) -> Path:
        """The state's file."""
        return self.path / "search.json"

    def keep(self, **found: Unpack[_Found]) -> None:
        """Add what was found to the state, on the disk at once: whole, or not at all.

        Args:
            **found: Fields of `SearchState`.

        Raises:
            RunError: When it cannot be written.
        """
        self.state = replace(self.state, **found)
        try:
            self.candidates.mkdir(parents=True, exist_ok=True)
            write_whole(self.file, _STATE.dump_json(self.state, indent=2).decode())
        except OSError as fault:
            raise RunError(
                f"cannot write '{self.file}': {fault.strerror}", hint="make room, or name another folder"
            ) from None

    def candidate(self, variant: Variant) -> Candidate | None:
        """A finished candidate, None when it is not finished."""
        return next((candidate for candidate in self.state.candidates if candidate.variant == variant), None)

    def clear(self, name: str) -> None:
        """Remove what an interrupted candidate left behind."""
        for left in self.candidates.glob(f"{name}.*"):
            left.unlink()

    def _read(self, fingerprint: Fingerprint) -> SearchState:
        new = SearchState(_VERSION, fingerprint)
        if not self.file.is_file():
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                raise RunError(f"'{self.path}' holds something else than a search", hint="name a new folder")
            return new
        try:
            state = _STATE.validate_json(self.file.read_bytes())
        except ValidationError:
            raise RunError(f"'{self.file}' is damaged, or of another tfkit", hint="name a new folder") from None
        if changed := _differences(state.fingerprint, fingerprint):
            raise RunError(
                f"'{self.path}' holds another search; what differs: {'; '.join(changed)}",
                hint="name another folder, or give the same model, data and arguments to go on with it",
            )
        return state


def fingerprint_of_model(model: keras.Model) -> str:
    """A digest of all that a model computes with: each layer's settings, what it takes, and its weights.

    Layers' names are no part of it: Keras counts them up, and the same model built twice has others.
    """
    graph = read_graph(model)
    places = {id(value): f"input {value.index} {value.shape} {value.dtype}" for value in graph.inputs}
    operations: dict[int, int] = {}
    digest = hashlib.sha256()
    for number, node in enumerate(graph.nodes):
        places.update({id(value): f"{number} {value.index}" for value in node.outputs})
        arguments = replace_values((node.args, node.kwargs), lambda value: places[id(value)])
        shared = operations.setdefault(id(node.operation), number)
        digest.update(f"{node.kind} {shared} {_plain(_settings(node.operation))} {_plain(arguments)}\n".encode())
        for value in node.operation.get_weights() if isinstance(node.operation, keras.layers.Layer) else ():
            digest.update(str(value.shape).encode() + np.ascontiguousarray(value).tobytes())
    digest.update(" ".join(places[id(value)] for value in graph.outputs).encode())
    return digest.hexdigest()


def _settings(operation: keras.Operation) -> LayerConfig:
    try:
        return {name: value for name, value in operation.get_config().items() if name != "name"}
    except NotImplementedError:  # a layer of someone's own that says nothing of its settings
        return {}


def _plain(value: object) -> str:
    """A setting as a text without addresses in memory, equal for equal settings."""

    def named(other: object) -> object:
        if isinstance(other, np.ndarray | np.generic):
            return [str(other.dtype), np.asarray(other).tolist()]
        if hasattr(other, "get_config"):
            return [type(other).__name__, other.get_config()]
        if isinstance(other, slice):
            return ["slice", other.start, other.stop, other.step]
        if keras.ops.is_tensor(other) or isinstance(other, keras.Variable):
            return named(keras.ops.convert_to_numpy(other))
        code = getattr(other, "__code__", None)  # a function of someone's own, which Keras has no name for
        instructions = [code.co_code.hex(), [c for c in code.co_consts if isinstance(c, _NUMBERS)]] if code else []
        return [getattr(other, "__qualname__", type(other).__name__), *instructions]

    return json.dumps(value, sort_keys=True, default=named)


def fingerprint_of_data(splits: DatasetSplits) -> str:
    """A digest of the splits: every name and label, and the content of some images."""
    digest = hashlib.sha256("\n".join(splits.class_names).encode())
    for examples in (splits.train, splits.validation, splits.test):
        digest.update("\n".join(examples.names).encode() + np.asarray(examples.labels, np.int32).tobytes())
        places = np.unique(np.linspace(0, max(len(examples) - 1, 0), _CONTENTS_READ).astype(int))
        for index in examples.indices[places[: len(examples)]]:
            digest.update(examples.source.content(int(index)))
    return digest.hexdigest()


def _differences(before: Fingerprint, now: Fingerprint) -> list[str]:
    names = dict.fromkeys((*now, *before))
    return [
        f"{name}: {_short(before.get(name))}, now {_short(now.get(name))}"
        for name in names
        if before.get(name) != now.get(name)
    ]


def _short(value: object) -> str:
    text = str(value)
    return f"{text[:8]}…" if len(text) == 64 else text
