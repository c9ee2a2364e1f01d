"""What `make quickstart` runs, once for each seed in processes with empty caches: its figures and its seconds.

    python tests/benchmarks/quickstart.py [--seeds 0 1 2] [--warm]

Both commands write into a temporary folder. Unless `--warm`, each seed begins with no bytecode (as uv leaves a fresh
environment) and with empty folders for HOME, KERAS_HOME and XDG_CACHE_HOME. CPU seconds are user and system time of a
command with its children: on a machine that others use they tell more than the clock.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measured import measured_on

RECIPES = ("digits_base", "digits")
Run = dict[str, Any]
FIGURES: dict[str, Callable[[Run], float]] = {
    "digits 0 to 4: Keras": lambda run: run["digits_base"]["evaluation"]["keras"],
    "digits 0 to 4: int8 file": lambda run: _int8(run["digits_base"])["accuracy"],
    "head on the frozen backbone": lambda run: run["digits"]["control"]["counterpart_accuracy"],
    "same head, random backbone": lambda run: run["digits"]["control"]["accuracy"],
    "fine-tuned, float": lambda run: run["digits"]["evaluation"]["float"],
    "half zeros and int8: Keras": lambda run: run["digits"]["evaluation"]["keras"],
    "half zeros and int8: file": lambda run: _int8(run["digits"])["accuracy"],
    "the file's agreement with Keras": lambda run: _int8(run["digits"])["agreement"],
}
TIMES: dict[str, Callable[[Run], float]] = {
    f"{recipe}: {kind}": lambda run, recipe=recipe, key=key: run[recipe][key]
    for recipe in RECIPES
    for kind, key in (("CPU seconds", "cpu"), ("seconds", "wall"))
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--warm", action="store_true", help="keep this machine's caches and bytecode")
    options = parser.parse_args()
    runs = []
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as folder:
            runs.append({recipe: _run(recipe, seed, Path(folder), options.warm) for recipe in RECIPES})
    tests = " and ".join(str(runs[0][recipe]["evaluation"]["examples"]) for recipe in RECIPES)
    print(f"\n{tests} test images; caches {'as they were' if options.warm else 'empty'}\n")
    print(f"| | {' | '.join(f'seed {seed}' for seed in options.seeds)} | mean |\n{'| --- ' * (len(runs) + 2)}|")
    for rows, form in ((FIGURES, ".4f"), (TIMES, ".0f")):
        for name, value in rows.items():
            values = [value(run) for run in runs]
            print(f"| {name} | {' | '.join(f'{each:{form}}' for each in values)} | {statistics.mean(values):{form}} |")
    stages = [{stage["name"]: stage["seconds"] for stage in run["digits"]["stages"]} for run in runs]
    parts = (f"{name} {statistics.median(stage[name] for stage in stages):.0f}" for name in stages[0])
    print(f"\nStages of digits, median seconds by the clock: {', '.join(parts)}.")
    print(measured_on())


def _run(recipe: str, seed: int, folder: Path, warm: bool) -> Run:
    """A recipe's report, with `cpu` and `wall`, the seconds that its command took."""
    words = [f"run.directory={folder / 'runs'}", f"run.seed={seed}"]
    if recipe == "digits":
        words.append(f"model.backbone={folder / 'runs' / 'digits_base'}")
    empty = {name: str(folder / name) for name in ("HOME", "KERAS_HOME", "XDG_CACHE_HOME", "PYTHONPYCACHEPREFIX")}
    environment = os.environ if warm else {**os.environ, **empty}
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [str(Path(sys.executable).with_name("tfkit")), "run", recipe, *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 3):  # 3: a file was refused, which is told below
        sys.exit(done.stderr)
    report: Run = json.loads((folder / "runs" / recipe / "report.json").read_text())
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    verdict = "accepted" if report["accepted"] else "refused"
    print(f"{recipe}, seed {seed}: {verdict}, {cpu:.0f} CPU s, {wall:.0f} s", file=sys.stderr, flush=True)
    return {**report, "cpu": cpu, "wall": wall}


def _int8(report: Run) -> Run:
    return next(artifact for artifact in report["artifacts"] if artifact["file"].endswith("model_int8.tflite"))


if __name__ == "__main__":
    main()
