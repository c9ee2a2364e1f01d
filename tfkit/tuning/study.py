"""The study that a sweep's trials are kept in: opened or begun, shared by processes, gone on with after any stop."""

import fcntl
import os
import socket
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
import psutil
import yaml
from optuna.exceptions import ExperimentalWarning, OptunaError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from tfkit.config import TuneSection
from tfkit.errors import ConfigError, RunError
from tfkit.tuning.proposing import (
    ATTEMPT,
    INTERRUPTED,
    PROCESS,
    RECIPE,
    REPEATS,
    VALUES,
    ByPlace,
    Space,
    is_unfinished,
    parameters_of,
)

# Seconds between a process's signs of life in a database, and without one until others take it for dead.
_HEARTBEAT, _DEAD_AFTER = 30, 300
_NAMELESS = timedelta(seconds=10)  # a trial says which process runs it right after it has begun
_BEFORE_PRUNING = 4  # finished trials before any is stopped early
_MADE_FROM = "made_from"
_LOCK = ".sweep.lock"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a study's folder against other processes of this machine while the block runs."""
    with (folder / _LOCK).open("a") as lock:
        with suppress(OSError):  # file systems without locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def open_study(folder: Path, name: str, tune: TuneSection, made_from: Mapping[str, str]) -> optuna.Study:
    """Open a sweep's study, or begin it.

    Args:
        folder: Its folder; made when it is missing.
        name: What it is called in a database.
        tune: The recipe's section.
        made_from: What it is made from: one of something else is not gone on with.

    Returns:
        The study.

    Raises:
        RunError: When the folder or the study belongs to something else.
        ConfigError: When the storage cannot be opened.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if folder.exists() and (not folder.is_dir() or not _is_study(folder)):
        raise RunError(f"'{folder}' holds something else than a sweep", hint="choose another run.name")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        hint = "choose another run.directory"
        raise RunError(f"cannot make the folder '{folder}': {fault.strerror}", hint=hint) from None
    with held(folder):
        pruner = optuna.pruners.MedianPruner(n_startup_trials=_BEFORE_PRUNING, n_min_trials=_BEFORE_PRUNING - 1)
        study = optuna.create_study(
            study_name=name,
            storage=_storage(folder, tune.storage),
            sampler=ByPlace(tune.seed),
            pruner=pruner if tune.prune else optuna.pruners.NopPruner(),
            direction="maximize",
            load_if_exists=True,
        )
        known = study.user_attrs.get(_MADE_FROM)
        if known is None:
            study.set_user_attr(_MADE_FROM, dict(made_from))
        elif differs := _differences(known, made_from):
            raise RunError(
                f"'{folder}' holds a sweep of something else; what differs: {'; '.join(differs)}",
                hint="choose another run.name, or give the same recipe to go on with it",
            )
    return study


def begin_with(study: optuna.Study, space: Space, recipe: Mapping[str, Any], folder: Path) -> None:
    """Let the recipe as it is be the first trial."""
    with held(folder):
        if not study.get_trials(deepcopy=False):
            study.enqueue_trial(parameters_of(space, recipe), user_attrs={RECIPE: True})


def take_up_unfinished(study: optuna.Study, space: Space, recipe: Mapping[str, Any]) -> None:
    """Put each trial in again whose process is dead; what it tried, it tries again. The folder is `held` meanwhile."""
    with _experiments_allowed():
        optuna.storages.fail_stale_trials(study)  # of other machines
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if _is_dead(trial):
            with suppress(ValueError, OptunaError):  # another process was quicker
                study.tell(trial.number, state=TrialState.FAIL)
    trials = study.get_trials(deepcopy=False)
    again = {trial.user_attrs.get(REPEATS) for trial in trials}
    for trial in trials:
        if is_unfinished(trial) and trial.number not in again:
            marks = trial.user_attrs
            attempt = marks.get(ATTEMPT, 1) + (INTERRUPTED not in marks)
            said = {REPEATS: trial.number, ATTEMPT: attempt} | ({RECIPE: True} if RECIPE in marks else {})
            # One that was stopped before all was proposed is proposed anew, which gives the same.
            tried = recipe if RECIPE in marks else marks.get(VALUES, {})
            study.enqueue_trial(parameters_of(space, tried), user_attrs=said)


def this_process() -> dict[str, str | int | float]:
    """What tells this process from all others, of other machines too."""
    return {"host": socket.gethostname(), "process": os.getpid(), "began": psutil.Process().create_time()}


def _is_dead(trial: FrozenTrial) -> bool:
    """Whether the process that runs a trial has ended, as far as this machine can know."""
    runs = trial.user_attrs.get(PROCESS)
    if runs is None:
        return trial.datetime_start is not None and datetime.now() - trial.datetime_start > _NAMELESS
    if runs["host"] != socket.gethostname():
        return False  # Optuna's heartbeat tells, where the storage has one
    try:
        return bool(abs(psutil.Process(runs["process"]).create_time() - runs["began"]) > 1)
    except psutil.NoSuchProcess:
        return True


def _is_study(folder: Path) -> bool:
    return (folder / _LOCK).exists() or not any(folder.iterdir())


def _storage(folder: Path, said: str | None) -> BaseStorage:
    if said == "journal":
        return JournalStorage(JournalFileBackend(str(folder / "study.journal")))
    address = said or f"sqlite:///{folder.absolute() / 'study.sqlite'}"
    waiting = {"connect_args": {"timeout": 60}} if address.startswith("sqlite") else {}
    try:
        with _experiments_allowed():
            return RDBStorage(address, waiting, heartbeat_interval=_HEARTBEAT, grace_period=_DEAD_AFTER)
    except Exception as fault:  # of SQLAlchemy, of a driver, or that there is no driver
        told = str(fault).strip().splitlines()[0][:300]
        raise ConfigError(
            f"tune.storage '{said or address}' cannot be opened: {told}",
            hint="it is null, journal, or an address as SQLAlchemy takes it: postgresql://USER@HOST/NAME",
        ) from None


@contextmanager
def _experiments_allowed() -> Iterator[None]:
    """Without Optuna's word that its heartbeat may change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def _differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    found = []
    for name in dict.fromkeys((*before, *now)):
        if before.get(name) == now.get(name):
            continue
        one, other = _keys(before.get(name, "")), _keys(now.get(name, ""))
        keys = [key for key in dict.fromkeys((*one, *other)) if one.get(key) != other.get(key)]
        found += [f"{key} was {one.get(key, 'unsaid')} and is {other.get(key, 'unsaid')}" for key in keys[:3]] or [name]
    return found


def _keys(said: str) -> dict[str, object]:
    """The values of a recipe's YAML, or of a space's, by `section.key`; nothing of a digest."""
    tree = yaml.safe_load(said)
    sections = tree.items() if isinstance(tree, dict) else ()
    inner = ((name, value if isinstance(value, dict) else {"": value}) for name, value in sections)
    return {f"{name}.{key}".rstrip("."): value for name, keys in inner for key, value in keys.items()}
