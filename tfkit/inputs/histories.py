"""Histories: the ids of the items that a user took, of one length, 0 behind the last."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from tfkit.artifacts import HistorySpec, TensorSpec
from tfkit.data import Examples
from tfkit.errors import DataError
from tfkit.inputs.input import FileDescription, Input, Prose, Reading, Serving, TensorDescription
from tfkit.runtimes.protocol import Feed

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

    from tfkit.data.histories import UserExamples

ITEM_IDS = "item_ids"


def _labelled(path: Path, history: HistorySpec, reading: Reading) -> "UserExamples":
    from tfkit.data.histories import load_history_examples, read_catalogue

    if said := sorted({"text_column", "label_column"} & set(reading.columns)):
        raise DataError(
            f"rows of a recommender have no {said[0].replace('_', ' ')}; got one",
            hint="leave it out: the columns are those of the run's recipe, else user and item",
        )
    return load_history_examples(path, read_catalogue(history.items), **reading.columns)


def _shown(examples: Examples, history: HistorySpec) -> tuple[str, ...]:
    return cast("UserExamples", examples).texts


def _told(history: HistorySpec) -> str:
    return f"the latest {history.length} items of a user"


def _explained(history: HistorySpec) -> str:
    return (
        f"the ids of the latest {history.length} items that a user took, int32, 0 behind the last; their order does "
        f"not count. Line n + 1 of `artifacts/{history.items.name}` is the item of id n."
    )


def _document(history: HistorySpec) -> dict[str, object]:
    return {"length": history.length, "items": history.items.name}


def _tensors(history: HistorySpec) -> tuple[TensorSpec, ...]:
    return (TensorSpec(ITEM_IDS, (None, history.length), "int32"),)


def _faults(model: "keras.Model", history: HistorySpec) -> list[str]:
    if len(model.inputs) == 1 and tuple(model.inputs[0].shape[1:]) in ((history.length,), (None,)):
        return []
    shapes = ", ".join(str(tuple(tensor.shape)) for tensor in model.inputs)
    return [f"it takes {shapes}; expected one input of {history.length} ids"]


def _batches(examples: Examples, history: HistorySpec, batch_size: int, on_host: bool) -> Iterator[Feed]:
    """int32 (n, length)."""
    users = cast("UserExamples", examples)
    for start in range(0, len(users), batch_size):
        chosen = users.select(np.arange(start, min(start + batch_size, len(users))))
        yield {ITEM_IDS: chosen.ids(history.length)}


def _noise(history: HistorySpec, count: int) -> Feed:
    """The first items, as many as there are: every other history takes as long."""
    from tfkit.data.histories import read_catalogue

    ids = np.zeros((count, history.length), np.int32)
    known = min(len(read_catalogue(history.items)), history.length)
    ids[:, :known] = np.arange(1, known + 1)
    return {ITEM_IDS: ids}


def _serving(history: HistorySpec) -> Serving:
    return Serving((TensorSpec(ITEM_IDS, (None, history.length), "int32"),))


def _described(history: HistorySpec) -> FileDescription:
    told = f"Ids of the latest {history.length} items that a user took, from 1, and 0 behind the last"
    return FileDescription(
        {ITEM_IDS: TensorDescription(ITEM_IDS, told)},
        beyond_mediapipe="MediaPipe Tasks has no task for recommenders; LiteRT runs these files",
    )


def _measured(shown: "np.ndarray | Sequence[str]") -> "dict[str, NDArray[np.float32]]":
    """How many items each history has."""
    return {"items": np.array([str(text).count("; ") + 1 for text in shown], np.float32)}


def _beside(examples: Examples, folder: Path) -> list[dict[str, str]]:
    return [{"history": text} for text in cast("UserExamples", examples).texts]


HISTORIES = Input(
    spec=HistorySpec,
    noun="user",
    holds="item ids",
    doubts="the table of items or the order of its lines",
    labelled=_labelled,
    fed_on_host=True,
    shown=_shown,
    told=_told,
    explained=_explained,
    document=_document,
    prose=Prose(
        piece="user",
        unclear="users with few items",
        of_none="a user who wants",
        of_others="users of",
        made="wrote down",
        show="say",
        tell_of="tell of",
        people="whose histories they are",
        depends_on="season, offers and what was shown to whom, or on who the users are.",
        alike="Users of one household, or accounts of one person, may lie\nin both training and evaluation.",
    ),
    tensors=_tensors,
    faults=_faults,
    batches=_batches,
    noise=_noise,
    serving=_serving,
    described=_described,
    measured=_measured,
    beside=_beside,
    noise_tells=False,
    uncalibrated=(
        "int8 of scores has 256 steps, and the ten best of many items fall on a few of them: lists would be drawn "
        "by lot",
        "export tflite_dynamic_int8, whose weights are int8 and whose scores are not",
    ),
)
