"""Whether what a model is asked still is what it was proved on: `tfkit.drift`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import RunDirectory, TextSpec
from tfkit.artifacts.manifest import file_sha256
from tfkit.artifacts.search_index import load_search_index
from tfkit.data import Examples
from tfkit.errors import ConfigError, DataError, TfkitError
from tfkit.inputs import input_of
from tfkit.monitoring import Drift, Profile, change_points, compare, read_profile, words_of
from tfkit.operations.predicting_texts import find_search_index
from tfkit.operations.shipped_model import ShippedModel
from tfkit.operations.values import PathLike, TextTable, as_path
from tfkit.running import Display, SilentDisplay
from tfkit.tasks import Decision
from tfkit.terminal import import_tensorflow

if TYPE_CHECKING:
    from tfkit.tasks import Task

_PROFILE = ".npz"


def drift(
    run: PathLike,
    new: PathLike | Sequence[PathLike],
    *,
    reference: PathLike | None = None,
    alpha: float = 0.01,
    examples: int = 2000,
    table: TextTable = TextTable(),  # noqa: B008 - a frozen value
    stream: bool = False,
    seed: int = 0,
    display: Display | None = None,
) -> Drift:
    """Compare a model's new inputs, and its answers to them, with those it was proved on; what `tfkit drift` does.

    Args:
        run: The folder of a finished run.
        new: Pictures or folders of pictures; of texts `.txt` files of a text a line, or tables. No labels.
        reference: What to compare with instead of the run's test split: more of the same kind, or a profile.
        alpha: Chance of a false alarm.
        examples: How many of each to compare, drawn at random where there are more.
        table: How tables of texts are laid out; as the run's data where it says nothing. Labels are not read.
        stream: Whether the new ones are in the order in which they came, by name or by row: then it is said too where
            something changed.
        seed: Of what is drawn and shuffled.
        display: Where progress is shown; nowhere when None.

    Returns:
        What differs, and how sure that is.

    Raises:
        ModelError: When the run exported nothing that can be asked.
        DataError: When inputs cannot be read, or are fewer than 20.
        ConfigError: When a stream is to be followed, and river is not installed.

    Example:
        >>> found = tfkit.drift("runs/digits", "photos/november")  # doctest: +SKIP
        >>> found.alarm, found.comparison.shifts[0].name  # doctest: +SKIP
        (True, 'brightness')
    """
    paths = [Path(path) for path in ([new] if isinstance(new, str | Path) else new)]
    asked, drawn = ShippedModel(Path(run), display or SilentDisplay()), _Drawn(examples, seed, table)
    unlabelled, left_out = asked.unlabelled(paths, at_most=examples, seed=seed, table=table)
    known, told = _reference(asked, as_path(reference), drawn)
    found = _profile(asked, f"New {asked.noun}s", unlabelled)
    with asked.display.stage("Compare") as stage:
        comparison = compare(known, found, alpha=alpha, seed=seed)
        names = unlabelled.names
        points = change_points(known, found, names, alpha=alpha, seed=seed) if stream else None
        count = sum(shift.alarm for shift in comparison.shifts)
        stage.result(f"{count} of {len(comparison.shifts)} differ")
    notes = list(asked.notes)
    if (known.vectors is None) != (found.vectors is None):
        notes.append("features are not compared: the reference or the new ones have none")
    return Drift(comparison, asked.noun, asked.artifact.path, told, left_out, tuple(dict.fromkeys(notes)), points)


def save_profile(
    run: PathLike,
    path: PathLike,
    *,
    reference: PathLike | None = None,
    examples: int = 2000,
    table: TextTable = TextTable(),  # noqa: B008 - a frozen value
    seed: int = 0,
    display: Display | None = None,
) -> Profile:
    """Write what drift is measured against, for a machine without the run's data; what `tfkit drift --save` does.

    Args:
        run: The folder of a finished run.
        path: The `.npz` file to write.
        reference: As for `drift`; so are the others.
        examples: How many at most.
        table: How tables of texts are laid out.
        seed: Of what is drawn.
        display: Where progress is shown.

    Returns:
        The profile: numbers of each example, answers and vectors; of texts also their words, without order.

    Raises:
        ConfigError: When the file's name does not end in `.npz`.
        TfkitError: As for `drift`.
    """
    path = Path(path)
    if path.suffix != _PROFILE:
        raise ConfigError(f"a profile is an .npz file; got '{path}'", hint=f"write it to {path.with_suffix(_PROFILE)}")
    asked = ShippedModel(Path(run), display or SilentDisplay())
    profile, _ = _reference(asked, as_path(reference), _Drawn(examples, seed, table))
    try:
        profile.save(path)
    except OSError as fault:
        raise DataError(f"cannot write '{path}': {fault.strerror or fault}") from None
    return profile


@dataclass(frozen=True)
class _Drawn:
    """Which examples are compared, and how tables of texts are laid out."""

    at_most: int
    seed: int
    table: TextTable


def _reference(asked: ShippedModel, path: Path | None, drawn: _Drawn) -> tuple[Profile, str]:
    """What new inputs are compared with, and where it comes from."""
    if path is not None and path.suffix == _PROFILE:
        return read_profile(path), str(path)
    if path is not None:
        examples, _ = asked.unlabelled([path], at_most=drawn.at_most, seed=drawn.seed, table=drawn.table)
        return _profile(asked, "Reference", examples), str(path)
    with asked.display.stage("Read the run's data") as stage:
        test = _test_split(asked.run)
        stage.result(f"{len(test)} {asked.noun}s of the test split")
    if len(test) > drawn.at_most:
        random = np.random.default_rng(drawn.seed)
        test = test.select(np.sort(random.choice(len(test), drawn.at_most, replace=False)))
    return _profile(asked, "Reference", test), "the run's test split"


def _profile(asked: ShippedModel, title: str, examples: Examples) -> Profile:
    """What examples are like, and what the model answers."""
    kind, file = input_of(asked.spec), asked.artifact.path
    scores = asked.scores(title, examples)
    answered, shown = _answered(asked, scores), kind.shown(examples, asked.spec)
    return Profile(
        asked.noun,
        file_sha256(file) if file.is_file() else asked.artifact.sha256,
        kind.measured(shown) | answered.numbers,
        answered.answers,
        answered.names,
        answered.exclusive,
        asked.vectors(examples, scores),
        tuple(words_of(str(text)) for text in shown) if isinstance(asked.spec, TextSpec) else None,
    )


@dataclass(frozen=True, eq=False)
class _Answered:
    """What a model answered: numbers of each example, and which names it gave."""

    numbers: dict[str, NDArray[np.float32]]
    answers: NDArray[np.bool_] | None = None
    names: tuple[str, ...] = ()
    exclusive: bool = True


def _named_answers(task: "Task", scores: NDArray[np.float32], names: tuple[str, ...], decision: Decision) -> _Answered:
    if task.gives_numbers:
        columns = scores[:, -len(names) :]  # a sigmoid's number comes behind 1 - itself
        return _Answered({f"answer: {name}": columns[:, place] for place, name in enumerate(names)})
    assert task.marked is not None and task.sureness is not None
    marked, sure = task.marked(scores, decision), task.sureness(scores).mean(axis=1)
    return _Answered({"confidence": sure}, marked, names, exclusive=not task.gives_several)


def _answered(asked: ShippedModel, scores: NDArray[np.float32]) -> _Answered:
    names, decision = asked.artifact.class_names, Decision(asked.artifact.thresholds)
    if asked.task.has_names:
        return _named_answers(asked.task, scores, names, decision)
    folder = find_search_index(asked.run.path)
    if folder is None:
        return _Answered({})
    index = load_search_index(folder)
    numbers, confidences, _ = index.decide(scores)
    answers = np.eye(len(index.class_names), dtype=bool)[numbers]
    return _Answered({"confidence": np.asarray(confidences, np.float32)}, answers, index.class_names)


def _test_split(run: RunDirectory) -> Examples:
    """The examples that a run was proved on, read as its recipe says."""
    from tfkit.config import load_recipe
    from tfkit.running.reading import read_data

    if not run.recipe.is_file():
        raise ConfigError(
            f"'{run.path}' is no run's folder, and nothing says what its model was proved on",
            hint="name what to compare with: --reference DATA, or a profile of tfkit drift RUN --save",
        )
    import_tensorflow()
    config: Any = load_recipe(run.recipe, may_run=False)
    try:
        whole = config.acceptance.model_copy(update={"examples": None})
        test: Examples = read_data(config.model_copy(update={"acceptance": whole})).splits.test
    except TfkitError as fault:
        hint = "from another folder, or without the run's data, name a reference: --reference DATA or PROFILE.npz"
        raise DataError(f"the run's data cannot be read: {fault}", hint=hint) from None
    return test
