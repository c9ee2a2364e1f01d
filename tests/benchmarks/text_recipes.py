"""The text recipes on real data: what each way of fine-tuning reaches, what it trains, and what its files do.

    python tests/benchmarks/text_recipes.py DATA --backbone MINILM --output RESULTS.json
        [--cases intents_all intents_lora intents_head intents_int8 ...] [--seeds 0 1 2] [--keep FOLDER]
    python tests/benchmarks/text_recipes.py --table RESULTS.json

MINILM is a folder or address of all-MiniLM-L6-v2; DATA holds banking77/, sst2/ and financial_phrasebank/. Every run is
that of the shipped recipe, with the changes in `CASES`; its figures are those of its report.json. Finished runs are
kept in RESULTS.json, and a second call goes on behind them; --keep leaves the runs' own folders too.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from measured import measured_on

_FLOAT = ("quantization=null", "distillation=null")  # that stage would train all of the weights
CASES: dict[str, tuple[str, tuple[str, ...]]] = {
    "intents_all": ("intents", ("data.directory={data}/banking77",)),
    "intents_lora": (
        "intents",
        (
            "data.directory={data}/banking77",
            "fine_tune.method=lora",
            "fine_tune.epochs=6",
            "fine_tune.learning_rate=2.0e-3",
            "fine_tune.adversarial=null",
            *_FLOAT,
        ),
    ),
    "intents_head": (
        "intents",
        (
            "data.directory={data}/banking77",
            "fine_tune.method=head",
            "fine_tune.solver=gradient",
            "fine_tune.epochs=60",
            "fine_tune.learning_rate=5.0e-3",
            "fine_tune.adversarial=null",
            *_FLOAT,
        ),
    ),
    # Short texts, as a device gets them; text_stock.py shows what the file is worth without the training.
    "intents_int8": (
        "intents",
        (
            "data.directory={data}/banking77",
            "data.sequence_length=32",
            "quantization.target=int8",
            "quantization.epochs=3",
            "quantization.learning_rate=5.0e-5",
            "export.formats=[tflite_int8]",
        ),
    ),
    "sentiment": ("sentiment", ("data.directory={data}/sst2",)),
    "finance_sentiment": ("finance_sentiment", ("data.train={data}/financial_phrasebank/Sentences_AllAgree.txt",)),
}

HEADINGS = (
    "case",
    "test texts",
    "accuracy after fine-tuning",
    "training",
    "learned",
    "peak memory",
    "file",
    "accuracy",
)
HEADINGS += ("agreement", "bytes", "p50")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--backbone")
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--output", type=Path)
    parser.add_argument("--keep", type=Path, help="folder where the runs stay; thrown away when left out")
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
    recipe, changes = CASES[case]
    words = [change.format(data=options.data.resolve()) for change in changes]
    with contextlib.ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        words += [f"model.backbone={options.backbone}", f"run.seed={seed}"]
        report = run_text_recipe(recipe, words, folder, f"{case}_{seed}")
    runs.append({"case": case, "seed": seed, **_figures(report)})
    options.output.write_text(json.dumps(runs, indent=1))


def run_text_recipe(recipe: str, changes: list[str], folder: Path, name: str) -> dict[str, Any]:
    """The report of one run of a shipped recipe, in a process of its own, left in `folder`/`name`."""
    words = [*changes, f"run.directory={folder.resolve()}", f"run.name={name}"]
    done = subprocess.run([sys.executable, "-m", "tfkit.cli.main", "run", recipe, *words])
    if done.returncode not in (0, 3):  # a refused file (status 3) has its report too
        sys.exit(f"{recipe}, {name}: tfkit ended with status {done.returncode}")
    report: dict[str, Any] = json.loads((folder / name / "report.json").read_text())
    return report


def _figures(report: dict[str, Any]) -> dict[str, Any]:
    files = ("file", "bytes", "accuracy", "agreement", "latency_ms_p50")
    trained = next(stage for stage in report["stages"] if stage["name"] == "fine_tune")
    return {
        "accuracy": trained["accuracy"],
        "shipped_accuracy": report["evaluation"]["keras"],
        "examples": report["evaluation"]["examples"],
        "length": report["model"]["text"]["sequence_length"],
        "seconds": trained["seconds"],
        "notes": trained["notes"],
        "learned": trained["trainable_parameters"],
        "peak_bytes": trained["peak_memory_bytes"],
        "files": [{name: file[name] for name in files} for file in report["artifacts"]],
        "host": report["host"],
    }


def print_table(runs: list[dict[str, Any]]) -> None:
    print(f"\n| {' | '.join(HEADINGS)} |\n{'| --- ' * len(HEADINGS)}|")
    for case in CASES:
        chosen = [run for run in runs if run["case"] == case]
        for place, file in enumerate(chosen[0]["files"] if chosen else ()):
            found = [run["files"][place] for run in chosen]
            accuracy = _spread([run["accuracy"] for run in chosen])
            seconds = f"{statistics.median(run['seconds'] for run in chosen):.0f} s"
            name = file["file"].removeprefix("artifacts/")
            cells = [case, chosen[0]["examples"], accuracy, seconds, *_costs(chosen), name]
            cells += [_spread([one["accuracy"] for one in found]), f">= {min(one['agreement'] for one in found):.4f}"]
            cells += [f"{file['bytes']:,}", f"{statistics.median(one['latency_ms_p50'] for one in found):.2f} ms"]
            print("| " + " | ".join(map(str, cells)) + " |")
    host = runs[0]["host"]
    print(f"\nMean (lowest to highest) of seeds {sorted({run['seed'] for run in runs})}.", end=" ")
    print(measured_on(host))


def _costs(runs: list[dict[str, Any]]) -> list[str]:
    """Parameters that learned and the largest peak memory; runs of before this was measured have neither."""
    learned, peaks = runs[0].get("learned"), [run["peak_bytes"] for run in runs if run.get("peak_bytes")]
    return [f"{learned:,}" if learned else "", f"{max(peaks) / 1e9:.2f} GB" if peaks else ""]


def _spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.4f} ({min(values):.4f}-{max(values):.4f})"


if __name__ == "__main__":
    main()
