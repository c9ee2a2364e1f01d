"""Which files of tfkit a task needs: it is taken out of a copy, whose other tasks still pass their tests, and put back.

    python tests/benchmarks/task_places.py [multilabel regression]

For each task a clone of this repository loses the task's own modules and its name in the lists. There a model of a task
that stayed goes from data to proved files, and mypy finds no fault. Then `git diff --stat` shows what brings it back.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tfkit.tasks import TASKS, Task

_HERE = Path(__file__).resolve().parents[2]
_LISTS = ("tfkit/tasks/__init__.py", "tfkit/data/target_kinds/__init__.py", "tfkit/config/task_section.py")
_ANOTHER = ["-m", "pytest", "tests/tasks/test_conformance.py", "-m=", "-k", "image-binary", "-p", "no:cacheprovider"]


def main() -> None:
    """Print each task's files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="*", default=["multilabel", "regression"])
    wanted = parser.parse_args().tasks
    for task in (task for task in TASKS if task.name in wanted):
        with tempfile.TemporaryDirectory() as folder:
            print(f"\n{task.title}:\n\n{_needed(task, Path(folder, 'tfkit'))}", flush=True)


def _needed(task: Task, clone: Path) -> str:
    _told("git", "clone", "--quiet", str(_HERE), str(clone), place=_HERE)
    for module in (f"tfkit/tasks/{task.name}.py", f"tfkit/data/target_kinds/{task.targets.name}.py"):
        (clone / module).unlink()
    for file in _LISTS:
        text = (clone / file).read_text(encoding="utf-8")
        for name in (task.name.upper(), task.targets.name.upper()):
            text = re.sub(rf"^from \S+ import {name}\n|^    \"{name}\",\n", "", text, flags=re.M)
            text = re.sub(rf"(?<=[( ]){name}, |, {name}(?=\))", "", text)
        text = re.sub(rf"^    \"{task.name}\": \"{task.targets.name}\",\n", "", text, flags=re.M)
        text = re.sub(rf"\"{task.name}\", |, \"{task.name}\"(?=[\]])", "", text)
        (clone / file).write_text(text, encoding="utf-8")
    (clone / ".venv").symlink_to(_HERE / ".venv")
    _told(
        sys.executable, "-c", f"import tfkit, sys; sys.exit(not tfkit.__file__.startswith({str(clone)!r}))", place=clone
    )
    print(_told(sys.executable, *_ANOTHER, place=clone).splitlines()[-1], flush=True)
    print(
        _told(sys.executable, "-m", "mypy", "--cache-dir", "/dev/null", "tfkit", place=clone).splitlines()[-1],
        flush=True,
    )
    _told("git", "-c", "user.name=-", "-c", "user.email=-", "commit", "--quiet", "-am", "without", place=clone)
    return _told("git", "diff", "--stat=100", "HEAD", "HEAD~1", "--", "tfkit", place=clone)


def _told(*words: str, place: Path) -> str:
    done = subprocess.run(
        words, cwd=place, capture_output=True, text=True, env=None if words[0] == "git" else _environment(place)
    )
    if done.returncode:
        sys.exit(f"{' '.join(words)}\n{done.stdout[-3000:]}\n{done.stderr[-2000:]}")
    return done.stdout.rstrip()


def _environment(place: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(place), "TF_CPP_MIN_LOG_LEVEL": "2"}


if __name__ == "__main__":
    main()
