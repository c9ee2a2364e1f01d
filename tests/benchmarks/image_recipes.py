"""The image recipes on real photos, some seeds each: accuracy, files, and where the time goes, as Markdown.

    python tests/benchmarks/image_recipes.py DATA [--seeds 0 1 2] [--recipes hymenoptera oxford_flowers]

DATA holds hymenoptera/ and oxford12/ with class folders below train/ and val/ or test/, and
weights/mobilenet_v2_1.0_224_deq.weights.h5. Runs are written to a temporary folder.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measured import measured_on

FOLDERS = {"hymenoptera": "hymenoptera", "oxford_flowers": "oxford12", "oxford_flowers_small": "oxford12"}
WEIGHTS = "weights/mobilenet_v2_1.0_224_deq.weights.h5"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--recipes", nargs="+", default=["hymenoptera", "oxford_flowers"], choices=list(FOLDERS))
    options = parser.parse_args()
    for recipe in options.recipes:
        with tempfile.TemporaryDirectory() as folder:
            runs = [run_recipe(recipe, options.data, seed, Path(folder)) for seed in options.seeds]
        print(f"\n### {recipe}: {runs[0]['evaluation']['examples']} test images, seeds {options.seeds}\n")
        print("| file | size | accuracy | agreement | p50 of one image, 1 thread |\n| --- | --- | --- | --- | --- |")
        print(f"| Keras | | {_spread(runs, lambda run: run['evaluation']['keras'], '.3f')} | | |")
        for index, artifact in enumerate(runs[0]["artifacts"]):
            cells = [
                _spread(runs, lambda run, index=index, key=key: run["artifacts"][index][key], form)
                for key, form in (("accuracy", ".3f"), ("agreement", ".3f"), ("latency_ms_p50", ".1f"))
            ]
            name = artifact["file"].removeprefix("artifacts/")
            print(f"| `{name}` | {artifact['bytes'] / 1e6:.1f} MB | {cells[0]} | {cells[1]} | {cells[2]} ms |")
        stages = {
            stage["name"]: statistics.median(_seconds(run, stage["name"]) for run in runs)
            for stage in runs[0]["stages"]
        }
        parts = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in stages.items())
        wall = statistics.median(run["wall"] for run in runs)
        print(f"\nWhole command, TensorFlow's start included: {wall:.0f} s (median). By stage: {parts}.")
    print(f"\n{measured_on()}")


def run_recipe(recipe: str, data: Path, seed: int, folder: Path, **changes: Any) -> dict[str, Any]:
    """Run a recipe into `folder`/`recipe`-`seed` by the command line; gives its report and, as `wall`, its seconds."""
    overrides = {
        "run.name": f"{recipe}-{seed}",
        "run.directory": folder,
        "run.seed": seed,
        "data.directory": data / FOLDERS[recipe],
        "model.weights": data / WEIGHTS,
        **changes,
    }
    command = [str(Path(sys.executable).parent / "tfkit"), "run", recipe, *(f"{k}={v}" for k, v in overrides.items())]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    wall = time.perf_counter() - began
    if done.returncode not in (0, 3):  # 3: a file was refused, which the table shows
        sys.exit(done.stderr)
    report: dict[str, Any] = json.loads((folder / f"{recipe}-{seed}" / "report.json").read_text())
    verdict = (
        "accepted"
        if report["accepted"]
        else "refused: " + "; ".join(reason for artifact in report["artifacts"] for reason in artifact["refusals"])
    )
    print(
        f"{recipe}, seed {seed}: {report['evaluation']['keras']:.3f}, {wall:.0f} s, {verdict}",
        file=sys.stderr,
        flush=True,
    )
    return {**report, "wall": wall}


def _spread(runs: list[dict[str, Any]], value: Callable[[dict[str, Any]], float], form: str) -> str:
    values = [value(run) for run in runs]
    return f"{statistics.mean(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def _seconds(run: dict[str, Any], name: str) -> float:
    return next(stage["seconds"] for stage in run["stages"] if stage["name"] == name)


if __name__ == "__main__":
    main()
