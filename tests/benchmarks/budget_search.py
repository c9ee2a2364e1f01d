"""`tfkit optimize` on digits and on ants and bees: the Pareto set, and what the old ladder would have answered.

    python tests/benchmarks/budget_search.py RUNS [--data DATA] [--cases digits hymenoptera] [--seed 0] [--pictures DIR]

RUNS is a folder to work in: a second call goes on there. DATA holds hymenoptera/ and
weights/mobilenet_v2_1.0_224_deq.weights.h5; without it only digits are searched. The float models are those of the
recipes `digits_base` and `hymenoptera`; the search's own options stand in the table. The old ladder stopped at the
first file within the budget: int8 after training, then sensitive layers in float, then the whole model trained.
The Pareto pictures of the reports are written to DIR as SVG.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from image_recipes import FOLDERS, WEIGHTS
from measured import measured_on

from tfkit.reports.drawing import CSS_NAMES

LADDER = ("int8", "selective", "int8_qat_taught_50")
NAMESPACES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
CASES: dict[str, tuple[str, ...]] = {
    "digits": ("--max-drop", "0.01", "--max-files", "8"),
    "hymenoptera": ("--max-drop", "0.025", "--max-files", "6", "--epochs", "2", "--recovery-epochs", "4"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=["digits"])
    parser.add_argument("--minimize", nargs="+", choices=["bytes", "latency"], default=["bytes"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    report: dict[str, Any] = {}
    for case in options.cases:
        model = _trained(case, options)
        for minimize in options.minimize:
            report = _searched(case, model, minimize, options)
    print(f"\n{measured_on(report['host'])}")


def _trained(case: str, options: argparse.Namespace) -> Path:
    recipe = "digits_base" if case == "digits" else case
    folder: Path = options.runs / f"{recipe}-{options.seed}"
    if not (folder / "report.json").is_file():
        changes = {"run.name": folder.name, "run.directory": options.runs, "run.seed": options.seed}
        if case != "digits":
            changes |= {"data.directory": options.data / FOLDERS[recipe], "model.weights": options.data / WEIGHTS}
        _tfkit("run", recipe, *(f"{key}={value}" for key, value in changes.items()))
    return folder


def _searched(case: str, model: Path, minimize: str, options: argparse.Namespace) -> dict[str, Any]:
    folder: Path = options.runs / f"{case}-{options.seed}-{minimize}"
    data = "digits" if case == "digits" else str(options.data / FOLDERS[case])
    words = ["optimize", str(model), "--data", data, *CASES[case], "--minimize", minimize, "--seed", str(options.seed)]
    _tfkit(*words, "--output", str(folder))
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    _print(case, " ".join(CASES[case]), minimize, report)
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
        svg = re.findall(r"<svg.*?</svg>", (folder / "report.html").read_text(), re.DOTALL)[minimize == "latency"]
        alone = svg.replace("<svg ", f'<svg {NAMESPACES} font-family="sans-serif" ', 1)  # in the page they are known
        for colour, name in CSS_NAMES.items():
            alone = alone.replace(f"var(--{name})", colour)
        (options.pictures / f"budget_search_{case}_{minimize}.svg").write_text(alone)
    return report


def _print(case: str, words: str, minimize: str, report: dict[str, Any]) -> None:
    files = {file["name"]: file for file in report["candidates"]}
    ladder = next((name for name in LADDER if name in files and files[name]["within_budget"]), None)
    chosen, reference, test = report["chosen_candidate"], report["reference"], report["test"]
    print(f"\n### {case}, `{words} --minimize {minimize}`\n")
    minutes = sum(file["seconds"] for file in files.values()) / 60
    print(f"Chosen on {report['chosen_on']}; the files took {minutes:.0f} minutes; ended: {report['ended']}.\n")
    print("| file | accuracy there | bytes | p50, ms | |\n| --- | --- | --- | --- | --- |")
    print(f"| float32 | {reference['accuracy']:.4f} | {reference['bytes']:,} | {reference['latency_ms']:.3f} | |")
    for file in sorted(files.values(), key=lambda file: file["bytes"]):
        said = [] if file["within_budget"] else ["misses the budget"]
        said += ["Pareto"] if file["name"] in report["pareto"] else []
        said += ["**chosen**"] if file["name"] == chosen else []
        said += ["the old ladder's answer"] if file["name"] == ladder else []
        figures = f"{file['accuracy']:.4f} | {file['bytes']:,} | {file['latency_ms']:.3f}"
        print(f"| {file['title']} | {figures} | {', '.join(said)} |")
    if test:
        low, high = 100 * test["drop_low"], 100 * test["drop_high"]
        print(
            f"\nOn {test['examples']} test images, once: {test['accuracy']:.4f}, float {test['float_accuracy']:.4f}; "
            f"{100 * test['drop']:.2f} points lost (95 % interval {low:.2f} to {high:.2f}). "
            f"{'Accepted' if report['accepted'] else 'Refused'}."
        )


def _tfkit(*words: str) -> None:
    done = subprocess.run([str(Path(sys.executable).parent / "tfkit"), *words], capture_output=True, text=True)
    if done.returncode not in (0, 3):  # 3: nothing was accepted, which the table shows
        sys.exit(done.stdout + done.stderr)


if __name__ == "__main__":
    main()
