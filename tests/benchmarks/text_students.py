"""Smaller students of a text classifier on real data: what cutting and teaching cost and win.

    python tests/benchmarks/text_students.py DATA --backbone MINILM --output RESULTS.json
        [--cases mobile two_layers_less labels_only ...] [--seeds 0 1 2] [--changes fine_tune.epochs=1 ...]
    python tests/benchmarks/text_students.py --table RESULTS.json

DATA holds banking77/; MINILM is a folder or address of all-MiniLM-L6-v2. Every run is that of the shipped recipe
`intents_mobile` with the changes in `CASES`: each trains its own teacher. The whole model's dynamic_int8 file and the
student's are timed in the same process, one thread, at length 32. Finished runs are kept in RESULTS.json, and a
second call goes on behind them.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from measured import measured_on
from text_recipes import run_text_recipe

_WIDE = ("pruning.heads=null", "pruning.feedforward=null")
CASES: dict[str, tuple[str, ...]] = {
    "mobile": (),
    "mobile_four_layers": ("pruning.layers=4", "pruning.heads=8", "pruning.feedforward=768"),
    "two_layers_less": ("pruning.layers=4", *_WIDE),
    "two_layers_less_by_loss": ("pruning.layers=4", "pruning.drop=loss", *_WIDE),
    "labels_only": ("distillation=null",),  # what the teacher is worth
    "answers_only": ("distillation.hidden_states=0",),
}
_COLUMNS = ("case", "whole", "student", "points", "file", "agreement", "whole file", "its file", "time", "bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--backbone")
    parser.add_argument("--cases", nargs="+", default=["mobile", "two_layers_less", "labels_only"], choices=list(CASES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--changes", nargs="+", default=[], help="further key=value of the recipe, for a quick look")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--table", type=Path, help="only print the table of these results")
    options = parser.parse_args()
    if options.table is None:
        for case in options.cases:
            for seed in options.seeds:
                _run_once(case, seed, options)
    print_table(json.loads((options.table or options.output).read_text()))


def _run_once(case: str, seed: int, options: argparse.Namespace) -> None:
    runs = json.loads(options.output.read_text()) if options.output.exists() else []
    if any((run["case"], run["seed"]) == (case, seed) for run in runs):
        return
    words = [f"data.directory={options.data.resolve() / 'banking77'}", f"model.backbone={options.backbone}"]
    words += ["export.formats=[tflite_dynamic_int8]", *CASES[case], *options.changes]
    words.append(f"run.seed={seed}")
    with tempfile.TemporaryDirectory() as folder:
        report = run_text_recipe("intents_mobile", words, Path(folder), "run")
    runs.append({"case": case, "seed": seed, **_figures(report)})
    options.output.write_text(json.dumps(runs, indent=1))


def _figures(report: dict[str, Any]) -> dict[str, Any]:
    accuracy = {stage["name"]: stage["accuracy"] for stage in report["stages"]}
    seconds = {stage["name"]: stage["seconds"] for stage in report["stages"]}
    (file,) = report["artifacts"]
    names = ("bytes", "accuracy", "agreement", "latency_ms_p50", "latency_ms_p95")
    return {
        "examples": report["evaluation"]["examples"],
        "whole": accuracy["fine_tune"],
        "pruned": accuracy["pruning"],
        "student": report["evaluation"]["keras"],
        "seconds": {name: seconds[name] for name in ("fine_tune", "pruning", "quantization")},
        "pruning": report["compression"]["transformer"],
        "file": {name: file[name] for name in names},
        "host": report["host"],
    }


def print_table(runs: list[dict[str, Any]]) -> None:
    print("\n| " + " | ".join(_COLUMNS) + " |\n" + "| --- " * len(_COLUMNS) + "|")
    for case in CASES:
        chosen = [run for run in runs if run["case"] == case]
        if not chosen:
            continue
        whole, student = (statistics.mean(run[name] for run in chosen) for name in ("whole", "student"))
        file = statistics.mean(run["file"]["accuracy"] for run in chosen)
        before = statistics.median(run["pruning"]["latency_ms_before"] for run in chosen)
        after = statistics.median(run["file"]["latency_ms_p50"] for run in chosen)
        agreement = min(run["file"]["agreement"] for run in chosen)
        cells = [case, f"{whole:.4f}", f"{student:.4f}", f"{100 * (file - whole):+.1f}", f"{file:.4f}"]
        cells += [f">= {agreement:.4f}", f"{before:.2f} ms", f"{after:.2f} ms", f"{after / before:.2f}"]
        print("| " + " | ".join([*cells, f"{chosen[0]['file']['bytes']:,}"]) + " |")
    host = runs[0]["host"]
    print(
        f"\nAccuracies are means over seeds {sorted({run['seed'] for run in runs})} of {runs[0]['examples']:,} texts;"
    )
    print("points: the student's file against the whole Keras model; time: its file against the whole one's.")
    print(measured_on(host))


if __name__ == "__main__":
    main()
