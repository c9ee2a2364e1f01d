"""What a sweep leaves in its folder: `trials.csv`, `best.yaml`, TensorBoard's HParams, and the report."""

import csv
import io
from pathlib import Path

from tfkit.config import TunedRecipe, dump_recipe
from tfkit.config.yaml_document import Plain
from tfkit.errors import RunError
from tfkit.files import write_whole
from tfkit.tuning.report import write_report
from tfkit.tuning.result import SweepResult
from tfkit.tuning.study import held
from tfkit.tuning.words import told_figure, told_value


def write_trial(result: SweepResult, number: int) -> None:
    """Write a trial that is over into the table and for TensorBoard.

    Args:
        result: The sweep so far.
        number: The trial's place.
    """
    _write(result.folder, "trials.csv", _table(result))
    _write_hyperparameters(result, number)


def write_sweep(result: SweepResult, tuned: TunedRecipe) -> None:
    """Write the table, the report and, where a trial has finished, the best recipe.

    Args:
        result: The sweep.
        tuned: Its recipe.

    Raises:
        RunError: When a file cannot be written.
    """
    _write(result.folder, "trials.csv", _table(result))
    if result.best is not None:
        _write(result.folder, result.best_recipe.name, best_recipe(result, tuned))
    with held(result.folder):
        write_report(result)


def best_recipe(result: SweepResult, tuned: TunedRecipe) -> str:
    """The recipe with the best trial's values, as YAML; its run is called `NAME-best`, and it has no `tune:`."""
    best = result.best
    assert best is not None
    config = tuned.at(best.values)
    run = config.run.model_copy(update={"name": f"{result.name}-best"})
    told = f"# The best of {len(result.trials)} trials: validation {told_figure(result.task, best.figure)}.\n"
    return told + dump_recipe(config.model_copy(update={"run": run}))


def _table(result: SweepResult) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    keys = list(result.keys)
    rows.writerow(["trial", "state", f"validation_{result.task.metric}", "seconds", *keys, "reason"])
    for trial in result.trials:
        figure = "" if trial.figure is None else repr(trial.figure)
        values = [told_in_table(trial.values.get(key)) for key in keys]
        rows.writerow([trial.number, trial.state, figure, f"{trial.seconds:.1f}", *values, trial.reason])
    return text.getvalue()


def told_in_table(value: Plain) -> str:
    """A value with all its digits."""
    return repr(value) if isinstance(value, float) else told_value(value)


def _write_hyperparameters(result: SweepResult, number: int) -> None:
    import tensorflow as tf
    from tensorboard.plugins.hparams import api

    trial, metric = result.trials[number], f"validation_{result.task.metric}"
    folder = result.folder / "tensorboard" / f"trial_{number:03}"
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default():
        values = {key: _plain(value) for key, value in trial.values.items()}
        api.hparams(values | {"state": trial.state}, trial_id=f"trial_{number:03}")
        for epoch, figure in enumerate((trial.epochs or {}).values()):
            tf.summary.scalar("validation_by_epoch", figure, step=epoch)
        if trial.figure is not None:
            tf.summary.scalar(metric, trial.figure, step=0)
    writer.close()


def _plain(value: Plain) -> bool | int | float | str:
    return value if isinstance(value, bool | int | float | str) else told_value(value)


def _write(folder: Path, name: str, text: str) -> None:
    try:
        with held(folder):
            write_whole(folder / name, text)
    except OSError as fault:
        hint = "make room, or mend its permissions"
        raise RunError(f"cannot write '{folder / name}': {fault.strerror}", hint=hint) from None
