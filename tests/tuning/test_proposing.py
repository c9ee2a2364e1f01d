"""What is proposed does not depend on where a sweep was stopped, and what was being tried then is tried again."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from tfkit.config import Choices, Range, TuneSection
from tfkit.errors import ConfigError, RunError
from tfkit.tuning.proposing import PROCESS, RECIPE, VALUES, is_unfinished, suggested
from tfkit.tuning.study import begin_with, open_study, take_up_unfinished, this_process

SPACE = {
    "head.learning_rate": Range(1e-4, 1e-2, log=True),
    "head.epochs": Range(2, 10, step=4, whole=True),
    "model.dropout": Range(0, 0.5),
    "data.image_size": Choices((32, [32, 48])),
}
RECIPE_VALUES = {"head.learning_rate": 0.5, "head.epochs": 6, "model.dropout": 0.0, "data.image_size": [32, 48]}
MADE_FROM = {"recipe": "head: {epochs: 6}", "data": "a digest"}


def opened(folder: Path, *, storage: str | None = "journal") -> optuna.Study:
    study = open_study(folder, "mine-tune", TuneSection(storage=storage), MADE_FROM)
    begin_with(study, SPACE, RECIPE_VALUES, folder)
    return study


def begin(study: optuna.Study, folder: Path, *, process: object = None) -> tuple[optuna.Trial, dict[str, object]]:
    take_up_unfinished(study, SPACE, RECIPE_VALUES)
    trial = study.ask()
    trial.set_user_attr(PROCESS, process or this_process())
    values = suggested(trial, SPACE, RECIPE_VALUES)
    trial.set_user_attr(VALUES, values)
    return trial, values


def go_on(study: optuna.Study, folder: Path, trials: int) -> None:
    for _ in range(trials):
        trial, values = begin(study, folder)
        study.tell(trial, -abs(values["model.dropout"] - 0.2) - abs(values["head.learning_rate"] - 3e-3))


def tried(study: optuna.Study) -> list[str]:
    """The values of all trials that are over."""
    return [json.dumps(trial.user_attrs[VALUES]) for trial in study.trials if not is_unfinished(trial)]


def dead_process() -> dict[str, object]:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return this_process() | {"process": ended.pid}


def test_the_first_trial_is_the_recipe_even_where_it_is_not_in_the_space(tmp_path: Path) -> None:
    study = opened(tmp_path / "tune")
    trial, values = begin(study, tmp_path / "tune")
    assert values == RECIPE_VALUES and trial.user_attrs[RECIPE]
    assert set(trial.params) == set(SPACE) - {"head.learning_rate"}


def test_a_sweep_that_was_killed_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    go_on(opened(whole), whole, 14)
    for trials in (0, 3, 6):  # then the process dies in the next trial: the recipe itself, one at random, one of TPE
        study = opened(killed)
        go_on(study, killed, trials)
        begin(study, killed, process=dead_process())
    study = opened(killed)
    go_on(study, killed, 5)
    assert sum(map(is_unfinished, study.trials)) == 3
    assert tried(study) == tried(opened(whole))


def test_a_trial_that_was_killed_before_its_values_were_known_is_proposed_again(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    go_on(opened(whole), whole, 3)
    study = opened(killed)
    go_on(study, killed, 1)
    trial = study.ask()
    trial.set_user_attr(PROCESS, dead_process())
    trial.suggest_float("head.learning_rate", 1e-4, 1e-2, log=True)
    go_on(study, killed, 2)
    assert tried(study) == tried(opened(whole))


def test_what_another_living_process_tries_is_left_to_it(tmp_path: Path) -> None:
    study = opened(tmp_path)
    other = {"host": "elsewhere", "process": os.getpid(), "began": 0.0}
    for process in (this_process(), other):
        begin(study, tmp_path, process=process)
    take_up_unfinished(study, SPACE, RECIPE_VALUES)
    assert [trial.state for trial in study.trials] == [TrialState.RUNNING] * 2


def test_the_trial_of_a_machine_that_fell_silent_is_done_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfkit.tuning.study._HEARTBEAT", 1)
    monkeypatch.setattr("tfkit.tuning.study._DEAD_AFTER", 2)
    study = opened(tmp_path, storage=None)
    elsewhere = {"host": "elsewhere", "process": 1, "began": 0.0}
    trial, values = begin(study, tmp_path, process=elsewhere)
    study._storage.record_heartbeat(trial._trial_id)  # as Study.optimize does while a trial runs
    take_up_unfinished(study, SPACE, RECIPE_VALUES)
    assert study.trials[0].state == TrialState.RUNNING
    time.sleep(3.5)
    assert begin(study, tmp_path)[1] == values and is_unfinished(study.trials[0])


def test_a_trial_that_kills_its_process_three_times_is_given_up(tmp_path: Path) -> None:
    study = opened(tmp_path)
    for _ in range(3):
        assert begin(study, tmp_path, process=dead_process())[1] == RECIPE_VALUES
    assert begin(study, tmp_path)[1] != RECIPE_VALUES
    assert [is_unfinished(trial) for trial in study.trials[:3]] == [True, True, False]


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    opened(tmp_path / "tune")
    with pytest.raises(RunError, match=r"holds a sweep of something else.*head.epochs was 6 and is 7; data"):
        open_study(
            tmp_path / "tune",
            "mine-tune",
            TuneSection(storage="journal"),
            {"recipe": "head: {epochs: 7}", "data": "another"},
        )
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    with pytest.raises(RunError, match="something else than a sweep"):
        opened(tmp_path / "full")


def test_a_study_is_kept_in_a_journal_or_a_database(tmp_path: Path) -> None:
    assert opened(tmp_path / "one").trials and (tmp_path / "one" / "study.journal").is_file()
    assert opened(tmp_path / "four", storage=None).trials and (tmp_path / "four" / "study.sqlite").is_file()
    assert opened(tmp_path / "two", storage=f"sqlite:///{tmp_path}/all.sqlite").trials
    with pytest.raises(ConfigError, match=r"tune.storage 'nosuch://here' cannot be opened"):
        opened(tmp_path / "three", storage="nosuch://here")
