"""The beginning of a run: its folder is new, or that of the same run, which was stopped; one process works in it."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tfkit.arguments import takes_text
from tfkit.artifacts.run_directory import OTHER_WAYS, RunDirectory
from tfkit.errors import RunError

_LOCK = ".lock"
_MOST_TOLD = 3


def refuse_existing_run(path: Path, *, overwrite: bool = False, recipe: str | None = None) -> None:
    """Say at once, before any work is done, that a run of this name is there already.

    Args:
        path: The run's folder, usually `runs/<name>`.
        overwrite: Whether it may be set aside later, by `create_run_directory`.
        recipe: The resolved recipe, YAML: an unfinished run of the same one goes on.

    Raises:
        RunError: When it is there and may not, or another process is working in it.

    Example:
        >>> refuse_existing_run(Path("runs/never_started"))
    """
    if (process := running_process(path)) not in (None, os.getpid()):
        raise RunError(
            f"process {process} is working in '{path}'",
            hint="wait for it, or choose another name with run.name=NAME",
        )
    if overwrite or not _is_taken(path) or _goes_on(path, recipe, overwrite=overwrite):
        return
    run = RunDirectory(path)
    began = None if recipe is None else run.began_with("recipe")
    if began is not None and recipe is not None:
        differences = _differences(began, recipe)
        if run.is_sealed and not differences:
            told = f"'{path}' holds the finished run of this recipe, and is never silently overwritten"
            raise RunError(told, hint=OTHER_WAYS)
        if not run.is_sealed:
            others = [f"{key} was {before} and is {now}" for key, before, now in differences]
            more = f", and {len(others) - _MOST_TOLD} more" if len(others) > _MOST_TOLD else ""
            raise RunError(
                f"'{path}' holds an unfinished run of another recipe: {', '.join(others[:_MOST_TOLD])}{more}",
                hint=f"with the values that it began with it goes on; or {OTHER_WAYS}",
            )
    raise RunError(f"'{path}' exists already and is never silently overwritten", hint=OTHER_WAYS)


@takes_text
def create_run_directory(path: Path, *, overwrite: bool = False, recipe: str | None = None) -> RunDirectory:
    """Make the folder of a new run, or go on with one that was stopped.

    Args:
        path: Where, usually `runs/<name>`.
        overwrite: Set an existing run aside under `<name>.previous-N` first. Nothing is ever deleted. A run that was
            itself begun so and was stopped goes on.
        recipe: The resolved recipe, YAML: an unfinished run of the same one goes on. None begins a new run.

    Returns:
        The run's folder, empty, or with what the stopped run has done.

    Raises:
        RunError: When a run is there already and `overwrite` is False, another process works in it, or the folder
            cannot be made.

    Example:
        >>> run = create_run_directory(Path("runs/first"))
        >>> run.path.is_dir(), run.is_finished
        (True, False)
    """
    refuse_existing_run(path, overwrite=overwrite, recipe=recipe)
    goes_on = _goes_on(path, recipe, overwrite=overwrite)
    try:
        if _is_taken(path) and not goes_on:
            path.rename(_free_name(path))
        path.mkdir(parents=True, exist_ok=True)
        lock = _locked(path)
    except OSError as fault:
        raise RunError(
            f"cannot make the run's folder '{path}': {fault.strerror}", hint="choose another run.directory"
        ) from None
    if lock is None:
        raise RunError(
            f"another process has just begun a run in '{path}'", hint="choose another name with run.name=NAME"
        )
    run = RunDirectory(path, goes_on, lock)
    if goes_on:
        run.clear_unproved()
    return run


def running_process(path: Path) -> int | None:
    """The process that is working in a run's folder: it holds the folder's lock until it ends, killed or not.

    Args:
        path: The run's folder, which need not exist.

    Returns:
        Its number, 0 when it has not written it yet; None when there is none.

    Example:
        >>> running_process(Path("runs/never_started"))
    """
    if not (path / _LOCK).is_file():
        return None
    with (path / _LOCK).open() as lock:
        if _takes(lock):
            return None
        number = lock.read().strip()
    return int(number) if number.isdecimal() else 0


def _is_taken(path: Path) -> bool:
    return path.exists() and (
        not path.is_dir() or any(not file.name.startswith((_LOCK, ".unfinished-")) for file in path.iterdir())
    )


def _goes_on(path: Path, recipe: str | None, *, overwrite: bool) -> bool:
    """Whether there is an unfinished run of the same recipe; one that `overwrite` began goes on with it too."""
    run = RunDirectory(path)
    began = None if recipe is None or run.is_sealed else run.began_with("recipe")
    if began is None or recipe is None or _differences(began, recipe):
        return False
    return not overwrite or bool(_keys(began).get("run.overwrite"))


def _differences(began: str, recipe: str) -> list[tuple[str, object, object]]:
    """Each key that two recipes have with other values, those of both; `run.overwrite` makes no other run."""
    before, now = _keys(began), _keys(recipe)
    names = [name for name in dict.fromkeys((*before, *now)) if name != "run.overwrite"]
    unsaid = "unsaid"
    pairs = ((name, before.get(name, unsaid), now.get(name, unsaid)) for name in names)
    return [(name, one, other) for name, one, other in pairs if one != other]


def _keys(recipe: str) -> dict[str, object]:
    """Every value of a recipe by its key, `head.epochs`."""

    def walked(value: object, name: str) -> Iterator[tuple[str, object]]:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                yield from walked(inner, f"{name}.{key}" if name else str(key))
        else:
            yield name, value

    return dict(walked(yaml.safe_load(recipe), ""))


def _locked(path: Path) -> Any:
    """The open lock file of a folder; None when another process holds it."""
    lock = (path / _LOCK).open("a")
    if not _takes(lock):
        lock.close()
        return None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _takes(lock: Any) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # file systems without locks: nobody can hold one
        pass
    return True


def _free_name(path: Path) -> Path:
    number = 1
    while (candidate := path.with_name(f"{path.name}.previous-{number}")).exists():
        number += 1
    return candidate
