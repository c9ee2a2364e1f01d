"""What a recommender offers users, and which of their own items spoke for it."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfkit.artifacts import HistorySpec, RunDirectory, best_artifact
from tfkit.data.histories import Catalogue, UserExamples, read_catalogue
from tfkit.errors import DataError, ModelError
from tfkit.inputs.histories import ITEM_IDS
from tfkit.opening import find_artifacts, is_keras_file
from tfkit.operations.predicting_texts import read_texts
from tfkit.operations.values import Prediction, Reason
from tfkit.tasks import RANKING

if TYPE_CHECKING:
    from tfkit.runtimes import Runtime

BETWEEN = ";"
_EXPLAINED, _REASONS = 10, 3  # items of a list; of each, the history's items that spoke for it most
_ASKED_LIKE = "name what a user took, with semicolons between: 'green tea; honey'"


def predict_users(path: Path, words: Sequence[str], *, explain: bool = False) -> Prediction:
    """What a recommender offers users; see `tfkit.predict`.

    Args:
        path: A run of a recommender, or one of its files.
        words: A history each: keys or names of items with semicolons between, or `.txt` files of one a line.
        explain: Say which items of each history spoke for each item that is offered: what its score loses without
            them.

    Raises:
        DataError: When there is no history, or no item of a name; tells all of them.
        ModelError: When a file outside of its run does not say what its ids mean.
    """
    from tfkit.runtimes import KerasRuntime, open_runtime

    if is_keras_file(path):
        from tfkit.models import load_model_file

        model = load_model_file(path)
        spec = HistorySpec(int(model.input_shape[1]), RunDirectory.of_model(path).items)
        catalogue = read_catalogue(spec.items)
        users = _users(words, catalogue)
        return _asked(KerasRuntime(model), path, spec, users, explain=explain)
    artifact = best_artifact(find_artifacts(path))
    if not isinstance(artifact.input, HistorySpec):
        raise ModelError(f"'{artifact.path}' is no recommender", hint="name a run of recommend")
    users = _users(words, read_catalogue(artifact.input.items))
    with open_runtime(artifact) as runtime:
        return _asked(runtime, artifact.path, artifact.input, users, explain=explain)


def _asked(runtime: "Runtime", model: Path, spec: HistorySpec, users: UserExamples, *, explain: bool) -> Prediction:
    scores = runtime.scores({ITEM_IDS: users.ids(spec.length)})
    told = Prediction("user", users.texts, model, users.class_names, scores, RANKING.name)
    if not explain:
        return told
    reasons = tuple(_reasons(runtime, spec, users, place, scores[place]) for place in range(len(users)))
    return Prediction("user", users.texts, model, users.class_names, scores, RANKING.name, reasons=reasons)


def _reasons(
    runtime: "Runtime", spec: HistorySpec, users: UserExamples, place: int, scores: np.ndarray
) -> tuple[Reason, ...]:
    """For each of the best items, what of the history it loses most without."""
    history = users.histories[place][-spec.length :]
    without = tuple(np.delete(history, left_out) for left_out in range(len(history)))
    fewer = UserExamples(without, without, tuple(map(str, history)), users.catalogue)
    lost = scores - runtime.scores({ITEM_IDS: fewer.ids(spec.length)})
    names, found = users.class_names, []
    for item in np.argsort(-scores, kind="stable")[:_EXPLAINED]:
        strongest = np.argsort(-lost[:, item], kind="stable")[:_REASONS]
        spoke = tuple((names[history[k]], float(lost[k, item])) for k in strongest if lost[k, item] > 0)
        found.append(Reason(names[item], spoke))
    return tuple(found)


def _users(words: Sequence[str], catalogue: Catalogue) -> UserExamples:
    histories, unknown = [], []
    for line in read_texts(words):
        ids = []
        for said in filter(None, (part.strip() for part in line.split(BETWEEN))):
            if (number := catalogue.id_of(said)) is None:
                unknown.append(said)
            else:
                ids.append(number)
        histories.append(np.array(list(dict.fromkeys(ids)), np.int32))
    if unknown:
        known = (*catalogue.keys, *catalogue.names)
        told = []
        for said in dict.fromkeys(unknown):
            near = get_close_matches(said, known, n=1)
            told.append(f"there is no item '{said}'" + (f"; did you mean '{near[0]}'?" if near else ""))
        listed = (
            told[0] if len(told) == 1 else f"{len(told)} items are unknown:\n" + "\n".join(f"  {one}" for one in told)
        )
        raise DataError(listed, hint=f"{_ASKED_LIKE}; items.csv beside the files lists them")
    if not all(map(len, histories)):
        raise DataError("a history is empty", hint=_ASKED_LIKE)
    names = tuple(f"user {number + 1}" for number in range(len(histories)))
    return UserExamples(tuple(histories), tuple(histories), names, catalogue)
