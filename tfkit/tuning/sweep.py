"""`tfkit tune`: trials one after the other, what is proposed from those before, and the best recipe written out."""

import math
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import keras
import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from tfkit.config import RecipeConfig, TunedRecipe, dump_recipe, find_recipe, load_tuned_recipe
from tfkit.config.yaml_document import dump_yaml
from tfkit.errors import ConfigError, ExportError, ModelError, TfkitError, TrainingError
from tfkit.running import Display, SilentDisplay
from tfkit.running.display import Stage
from tfkit.running.recipe import as_overrides
from tfkit.terminal.interruption import is_out_of_memory, was_interrupted
from tfkit.tuning.examples import ExamplesOfTrials
from tfkit.tuning.proposing import (
    FAILED,
    INTERRUPTED,
    PROCESS,
    SECONDS,
    STOPPED,
    VALUES,
    is_unfinished,
    suggested,
)
from tfkit.tuning.result import SweepResult, Tried
from tfkit.tuning.study import begin_with, held, open_study, take_up_unfinished, this_process
from tfkit.tuning.trials import Training, stages_of, task_of_recipe, without_untried_compression
from tfkit.tuning.words import told_figure, told_values
from tfkit.tuning.writing import write_sweep, write_trial

_OF_A_STAGE = 100_000  # a trial's epochs are counted from so many times the number of its stage
_EPOCHS_BEFORE_STOPPING = 2
_MOST_FAILED_FIRST = 3
_BEFORE_IMPORTANCE = 4  # finished trials
_FAILURES = (TrainingError, ModelError, ConfigError, ExportError)


def tune(
    recipe: str | Path, /, *, script: Path | None = None, display: Display | None = None, **changes: Any
) -> SweepResult:
    """Train a recipe again and again with other values, and write out the best; what `tfkit tune` does.

    Trials learn from the training split and are compared on the validation split; the test split is not touched.
    What is found is kept at once: the same call goes on where it was stopped.

    Args:
        recipe: A shipped recipe's name, or a YAML file, with a section `tune:`.
        script: A recipe script of your own, with `STAGES` as finetune_image has them.
        display: Where progress is shown; nowhere when None.
        **changes: Other values for keys: `tune={"trials": 5, "space": {"head.epochs": [5, 10]}}`.

    Returns:
        All trials, the best of them, and where the recipe with its values is.

    Raises:
        ConfigError: When the recipe, or what is to be tried, says anything unknown or impossible; tells all faults.
        RunError: When the study's folder holds something else.
        TrainingError: When the first three trials fail.

    Example:
        >>> found = tfkit.tune("digits_tune")  # doctest: +SKIP
        >>> found.best.values, found.best.figure  # doctest: +SKIP
        ({'fine_tune.learning_rate': 0.004}, 0.994)
        >>> tfkit.run(found.best_recipe)  # doctest: +SKIP
    """
    return tune_recipe(load_tuned_recipe(find_recipe(str(recipe)), as_overrides(changes), script=script), display)


def tune_recipe(tuned: TunedRecipe, display: Display | None = None) -> SweepResult:
    """Run the sweep of a recipe that has been read already; see `tune`."""
    return _Sweep(tuned, display or SilentDisplay()).run()


class _FailedTrialError(Exception):
    """A trial that came to nothing; the sweep goes on."""


class _Sweep:
    """One process's work on a sweep."""

    def __init__(self, tuned: TunedRecipe, display: Display) -> None:
        self._tuned, self._display = tuned, display
        self._task = task_of_recipe(tuned.config)
        if tuned.tune.metric not in (None, self._task.metric):
            raise ConfigError(
                f"tune.metric must be {self._task.metric}, what {self._task.title} is judged by, or null; "
                f"got {tuned.tune.metric}"
            )
        self._began = time.monotonic()
        self._stages = stages_of(tuned.config)
        self._recipe = {key: tuned.own(key) for key in tuned.space}
        self._folder = tuned.folder
        self._examples = ExamplesOfTrials(display)
        self._process = this_process()

    def run(self) -> SweepResult:
        config, tune = self._tuned.config, self._tuned.tune
        self._display.header(f"{config.run.name}: {len(self._recipe)} keys, {tune.trials} trials")
        examples = self._examples.of(config)
        self._chosen_on = examples.chosen_on
        self._study = open_study(self._folder, f"{config.run.name}-tune", tune, self._made_from(examples.digest))
        begin_with(self._study, self._tuned.space, self._recipe, self._folder)
        ended = ""
        try:
            while not (ended := self._one_more()):
                self._write_trial()
        finally:
            result = self._result(ended)
            if result.trials:
                write_sweep(result, self._tuned)
        return result

    def _one_more(self) -> str:
        """Run a trial; why none was begun, empty when one was."""
        with ExitStack() as beginning:
            # In SQLite two processes can take the same waiting trial, or both begin the last one that was asked for.
            beginning.enter_context(held(self._folder))
            if ended := self._enough():
                return ended

            def objective(trial: optuna.Trial) -> float:
                trial.set_user_attr(PROCESS, self._process)
                beginning.close()
                return self._objective(trial)

            self._study.optimize(objective, n_trials=1, catch=(_FailedTrialError,))
        return ""

    def _write_trial(self) -> None:
        over = _over(self._study.get_trials(deepcopy=False))
        numbers = [trial.number for trial in over]
        if self._last in numbers:  # another process may have taken this one for dead
            write_trial(self._result(""), numbers.index(self._last))

    def _made_from(self, digest: str) -> dict[str, str]:
        recipe = dump_recipe(self._tuned.config.model_copy(update={"run": type(self._tuned.config.run)()}))
        space = {key: values.told for key, values in self._tuned.space.items()}
        seeds = {"run.seed": self._tuned.config.run.seed, "tune.seed": self._tuned.tune.seed}
        tried = dict(space) | {"prune": self._tuned.tune.prune}
        return {"recipe": recipe, "seeds": dump_yaml(seeds), "tune": dump_yaml({"tune": tried}), "data": digest}

    def _enough(self) -> str:
        """Why no further trial is begun; empty when one is."""
        take_up_unfinished(self._study, self._tuned.space, self._recipe)
        trials = self._study.get_trials(deepcopy=False)
        over = _all_tried(trials)
        first = over[:_MOST_FAILED_FIRST]
        if len(first) == _MOST_FAILED_FIRST and all(trial.state == "failed" for trial in first):
            reasons = "\n".join(f"  {trial.reason}" for trial in first)
            hint = "mend the recipe or tune.space, and choose another run.name"
            raise TrainingError(f"the first {len(first)} trials failed:\n{reasons}", hint=hint)
        running = sum(trial.state == TrialState.RUNNING for trial in trials)
        asked, limit = self._tuned.tune.trials, self._tuned.tune.max_minutes
        if len(over) + running >= asked:
            others = f"; {running} more of another process are under way" if running else ""
            return f"{len(over)} trials are over, of {asked} asked for{others}"
        if limit is not None and time.monotonic() - self._began > 60 * limit:
            return f"{limit:g} minutes are over"
        return ""

    def _objective(self, trial: optuna.Trial) -> float:
        values = suggested(trial, self._tuned.space, self._recipe)
        trial.set_user_attr(VALUES, values)
        place, began = len(_over(self._study.get_trials(deepcopy=False))), time.monotonic()
        self._last = trial.number
        try:
            with self._display.stage(f"Trial {place + 1} of {self._tuned.tune.trials}") as stage:
                figure = self._tried(trial, values, stage)
        except KeyboardInterrupt:
            trial.set_user_attr(INTERRUPTED, True)
            raise
        finally:
            trial.set_user_attr(SECONDS, time.monotonic() - began)
        if figure is None:
            raise optuna.TrialPruned
        return figure

    def _tried(self, trial: optuna.Trial, values: Mapping[str, Any], stage: Stage) -> float | None:
        """The trial's figure; None when it was stopped early."""
        stage.result(told_values(values))  # what stands there when it is interrupted
        watching = _Watching(trial, stage)
        try:
            config = without_untried_compression(self._tuned.at(values), self._tuned.space)
            keras.backend.clear_session()
            if isinstance(config, RecipeConfig):
                self._examples.keep_pixels(config, self._folder)
            training = Training(self._stages, self._examples.of(config), watching)
            figure = training.figure(config)
            if not math.isfinite(figure):
                raise TrainingError(f"the {self._task.unit} is no finite number ({figure})")
        except optuna.TrialPruned:
            stopped = f"stopped after epoch {watching.epochs}: others were better by then"
            trial.set_user_attr(STOPPED, stopped)
            stage.result(f"{stopped}; {told_values(values)}")
            return None
        except Exception as fault:
            reason = _failure(fault)
            if not reason:
                raise
            trial.set_user_attr(FAILED, reason)
            stage.result(f"failed: {reason}; {told_values(values)}")
            raise _FailedTrialError(reason) from fault
        stage.result(f"{told_figure(self._task, figure)}; {told_values(values)}")
        return figure

    def _result(self, ended: str) -> SweepResult:
        space = self._tuned.space
        return SweepResult(
            name=self._tuned.config.run.name,
            folder=self._folder,
            task=self._task,
            keys={key: values.told for key, values in space.items()},
            trials=_all_tried(self._study.get_trials(deepcopy=False)),
            importance=_importance(self._study, space) if ended else {},
            chosen_on=self._chosen_on,
            ended=ended,
            asked=self._tuned.tune.trials,
            compresses=self._compresses(),
        )

    def _compresses(self) -> bool:
        config = self._tuned.config
        kept = without_untried_compression(config, self._tuned.space)
        return any(getattr(kept, name, None) is not None for name in ("pruning", "quantization"))


class _Watching:
    """Reports each epoch of a trial to the study, and stops it when others were better at that epoch."""

    def __init__(self, trial: optuna.Trial, stage: Stage) -> None:
        self._trial, self._stage = trial, stage
        self.epochs = 0  # of all stages

    def options(self, stage: int, title: str) -> dict[str, Any]:
        """Callbacks and progress of a stage."""

        def progress(done: int, total: int, text: str = "") -> None:
            self._stage.progress(done, total, f"{title}: {text}")

        def report(epoch: int, figure: float) -> None:
            self.epochs += 1
            self._trial.report(figure, stage * _OF_A_STAGE + epoch)
            if epoch + 1 >= _EPOCHS_BEFORE_STOPPING and self._trial.should_prune():
                raise optuna.TrialPruned

        return {"callbacks": (_EachEpoch(report),), "progress": progress}


class _EachEpoch(keras.callbacks.Callback):
    """Tells the validation figure after each epoch: accuracy or AUC, else the loss with its sign turned."""

    def __init__(self, report: Any) -> None:
        super().__init__()
        self._report, self._reported = report, -1

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        known = logs or {}
        figures = [known[name] for name in ("val_accuracy", "val_auc") if name in known]
        figures += [-known["val_loss"]] if "val_loss" in known else []
        if figures and epoch > self._reported and np.isfinite(figures[0]):  # a second run of one stage begins anew
            self._reported = epoch
            self._report(epoch, float(figures[0]))


def _failure(fault: Exception) -> str:
    """Why a trial failed, when it is the trial's own fault and the sweep can go on; else empty."""
    if was_interrupted():
        return ""
    if isinstance(fault, _FAILURES):
        return " ".join(str(fault).split())
    return "out of memory" if is_out_of_memory(fault) and not isinstance(fault, TfkitError) else ""


def _over(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    return [trial for trial in trials if trial.state.is_finished() and not is_unfinished(trial)]


def _all_tried(trials: list[FrozenTrial]) -> tuple[Tried, ...]:
    return tuple(_tried(number, trial) for number, trial in enumerate(_over(trials)))


def _tried(number: int, trial: FrozenTrial) -> Tried:
    marks = trial.user_attrs
    epochs = dict(trial.intermediate_values)
    values, seconds = marks.get(VALUES, {}), marks.get(SECONDS, 0.0)
    if trial.state == TrialState.FAIL:
        reason = marks.get(FAILED, "its process was killed in the middle of it, three times")
        return Tried(number, "failed", values, None, seconds, reason, epochs)
    if trial.state == TrialState.PRUNED:
        return Tried(number, "stopped", values, trial.value, seconds, marks.get(STOPPED, ""), epochs)
    return Tried(number, "finished", values, trial.value, seconds, "", epochs)


def _importance(study: optuna.Study, keys: Iterable[str]) -> dict[str, float]:
    """Each key's share of how much the figure differs between trials; none where too few differ."""
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    whole = [trial for trial in finished if set(trial.params) == set(keys)]  # the recipe may lie outside of the space
    if len({trial.value for trial in whole}) < 2 or len(whole) < _BEFORE_IMPORTANCE:
        return {}
    compared = optuna.create_study(direction="maximize")
    compared.add_trials(whole)
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    try:
        return dict(optuna.importance.get_param_importances(compared, evaluator=evaluator))
    except (ValueError, RuntimeError):  # all of them tried the same
        return {}
