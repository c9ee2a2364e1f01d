"""Whether what a model is asked still is what it was proved on: `tfkit.drift`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import RunDirectory, TextSpec, refuse_changed_files
from tfkit.artifacts.manifest import file_sha256
from tfkit.artifacts.search_index import load_search_index
from tfkit.data import Examples, LeftOut
from tfkit.errors import ConfigError, DataError, ModelError, TfkitError
from tfkit.inputs import input_of
from tfkit.monitoring import Drift, Profile, compare, read_profile, words_of
from tfkit.opening import best_artifact, find_artifacts, is_keras_file, read_unlabelled
from tfkit.operations.predicting_texts import find_search_index
from tfkit.operations.values import PathLike, TextTable, as_path
from tfkit.running import Display, SilentDisplay
from tfkit.tasks import Decision, task_named
from tfkit.terminal import import_tensorflow

if TYPE_CHECKING:
    from tfkit.tasks import Task

_PROFILE = ".npz"
_Progress = Callable[[int, int], None]


def drift(
    run: PathLike,
    new: PathLike | Sequence[PathLike],
    *,
    reference: PathLike | None = None,
    alpha: float = 0.01,
    examples: int = 2000,
    table: TextTable = TextTable(),  # noqa: B008 - a frozen value
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
        seed: Of what is drawn and shuffled.
        display: Where progress is shown; nowhere when None.

    Returns:
        What differs, and how sure that is.

    Raises:
        ModelError: When the run exported nothing that can be asked.
        DataError: When inputs cannot be read, or are fewer than 20.

    Example:
        >>> found = tfkit.drift("runs/digits", "photos/november")  # doctest: +SKIP
        >>> found.alarm, found.comparison.shifts[0].name  # doctest: +SKIP
        (True, 'brightness')
    """
    paths = [Path(path) for path in ([new] if isinstance(new, str | Path) else new)]
    asked = _Asked(Path(run), display or SilentDisplay(), examples, seed, table)
    known, told = asked.reference(as_path(reference))
    unlabelled, left_out = asked.unlabelled(paths)
    found = asked.profile(f"New {asked.noun}s", unlabelled)
    with asked.display.stage("Compare") as stage:
        comparison = compare(known, found, alpha=alpha, seed=seed)
        count = sum(shift.alarm for shift in comparison.shifts)
        stage.result(f"{count} of {len(comparison.shifts)} differ")
    notes = list(asked.notes)
    if (known.vectors is None) != (found.vectors is None):
        notes.append("features are not compared: the reference or the new ones have none")
    return Drift(comparison, asked.noun, asked.artifact.path, told, left_out, tuple(dict.fromkeys(notes)))


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
    asked = _Asked(Path(run), display or SilentDisplay(), examples, seed, table)
    profile, _ = asked.reference(as_path(reference))
    try:
        profile.save(path)
    except OSError as fault:
        raise DataError(f"cannot write '{path}': {fault.strerror or fault}") from None
    return profile


class _Asked:
    """A run's model, and what it sees in examples."""

    def __init__(self, run: Path, display: Display, most: int, seed: int, table: TextTable) -> None:
        if run.is_dir() and is_keras_file(run):
            raise ModelError(f"'{run}' exported no file", hint="the file that ships is asked: give the recipe export:")
        self.run, self.display, self.most, self.seed = RunDirectory(run), display, most, seed
        self.table = table
        self.artifact = best_artifact(find_artifacts(run))
        if run.is_dir():
            refuse_changed_files(run)
        self.spec = self.artifact.input
        self.task = task_named(self.artifact.task)
        self.noun = input_of(self.spec).noun
        self.notes: list[str] = []

    def reference(self, path: Path | None) -> tuple[Profile, str]:
        """What new inputs are compared with, and where it comes from."""
        if path is not None and path.suffix == _PROFILE:
            return read_profile(path), str(path)
        if path is not None:
            return self.profile("Reference", self.unlabelled([path])[0]), str(path)
        with self.display.stage("Read the run's data") as stage:
            test = _test_split(self.run)
            stage.result(f"{len(test)} {self.noun}s of the test split")
        if len(test) > self.most:
            test = test.select(np.sort(np.random.default_rng(self.seed).choice(len(test), self.most, replace=False)))
        return self.profile("Reference", test), "the run's test split"

    def unlabelled(self, paths: Sequence[Path]) -> tuple[Examples, tuple[LeftOut, ...]]:
        """Examples that nobody has labelled."""
        return read_unlabelled(
            paths,
            self.spec,
            model=self.run.path,
            class_names=self.artifact.class_names,
            at_most=self.most,
            seed=self.seed,
            text_column=self.table.text_column,
            header=self.table.header,
        )

    def profile(self, title: str, examples: Examples) -> Profile:
        """What examples are like, and what the model answers."""
        from tfkit.runtimes import open_runtime
        from tfkit.verification import artifact_scores

        kind = input_of(self.spec)
        with self.display.stage(title) as stage:
            shown = kind.shown(examples, self.spec)
            with open_runtime(self.artifact) as runtime:
                scores = artifact_scores(runtime, self.artifact, examples, stage.progress)
            answered = self._answered(scores)
            vectors = scores if not self.task.has_names else self._features(examples)
            stage.result(f"{len(examples)} {self.noun}s")
        words = tuple(words_of(str(text)) for text in shown) if isinstance(self.spec, TextSpec) else None
        return Profile(
            self.noun,
            file_sha256(self.artifact.path) if self.artifact.path.is_file() else self.artifact.sha256,
            kind.measured(shown) | answered.numbers,
            answered.answers,
            answered.names,
            answered.exclusive,
            vectors,
            words,
        )

    def _answered(self, scores: NDArray[np.float32]) -> "_Answered":
        if not np.isfinite(scores).all():
            raise ModelError(f"'{self.artifact.path}' answers with scores that are no numbers (NaN or infinite)")
        names, decision = self.artifact.class_names, Decision(self.artifact.thresholds)
        if self.task.has_names:
            return _named_answers(self.task, scores, names, decision)
        folder = find_search_index(self.run.path)
        if folder is None:
            return _Answered({})
        index = load_search_index(folder)
        numbers, confidences, _ = index.decide(scores)
        answers = np.eye(len(index.class_names), dtype=bool)[numbers]
        return _Answered({"confidence": np.asarray(confidences, np.float32)}, answers, index.class_names)

    def _features(self, examples: Examples) -> NDArray[np.float32] | None:
        """What the run's Keras model sees in examples, behind its pooling."""
        model = self.run.float_model
        if not model.is_file():
            self.notes.append("features are not compared: the run's models/float.keras is not there")
            return None
        import_tensorflow()
        from tfkit.models import feature_extractor, load_model_file
        from tfkit.verification import reference_scores

        try:
            extractor = feature_extractor(load_model_file(model))
        except ModelError as fault:
            self.notes.append(f"features are not compared: {fault}")
            return None
        return reference_scores(extractor, examples, self.spec)


@dataclass(frozen=True, eq=False)
class _Answered:
    """What a model answered: numbers of each example, and which names it gave."""

    numbers: dict[str, NDArray[np.float32]]
    answers: NDArray[np.bool_] | None = None
    names: tuple[str, ...] = ()
    exclusive: bool = True


def _named_answers(task: "Task", scores: NDArray[np.float32], names: tuple[str, ...], decision: Decision) -> _Answered:
    if task.targets == "numbers":
        columns = scores[:, -len(names) :]  # a sigmoid's number comes behind 1 - itself
        return _Answered({f"answer: {name}": columns[:, place] for place, name in enumerate(names)})
    given = task.given(scores, decision)
    if task.targets == "classes":
        return _Answered({"confidence": scores.max(1)}, np.eye(len(names), dtype=bool)[given], names)
    sure = np.maximum(scores, 1 - scores).mean(1)
    return _Answered({"confidence": sure}, np.asarray(given, bool), names, exclusive=False)


def _test_split(run: RunDirectory) -> Examples:
    """The examples that a run was proved on, read as its recipe says."""
    from tfkit.config import RecipeConfig, load_recipe
    from tfkit.running.planning import targets_of

    if not run.recipe.is_file():
        raise ConfigError(
            f"'{run.path}' is no run's folder, and nothing says what its model was proved on",
            hint="name what to compare with: --reference DATA, or a profile of tfkit drift RUN --save",
        )
    import_tensorflow()
    config: Any = load_recipe(run.recipe, may_run=False)
    try:
        if isinstance(config, RecipeConfig):
            from tfkit.data import load_image_splits as load
        else:
            from tfkit.data.text import load_text_splits as load  # type: ignore[assignment]
        options = config.data.loading_options() | {"targets": targets_of(config)}
        test: Examples = load(**options, seed=config.run.seed).test
    except TfkitError as fault:
        hint = "from another folder, or without the run's data, name a reference: --reference DATA or PROFILE.npz"
        raise DataError(f"the run's data cannot be read: {fault}", hint=hint) from None
    return test
