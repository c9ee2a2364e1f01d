"""A sweep that is killed at random moments and started again, against one that nobody disturbed; then the best recipe.

    python tests/benchmarks/tuning.py [--trials 20] [--kills 2] [--seed 0]

SIGKILL goes to `tfkit tune` at moments drawn evenly from the seconds that the undisturbed sweep took, then the same
command is given again. Compared are the tables of trials, without their times, and the best recipes. `tfkit run` then
trains the best recipe and the recipe as it is, and judges both on the test split.
"""

import argparse
import csv
import json
import random
import signal
import tempfile
from pathlib import Path

from commands import tfkit_command
from measured import measured_on

RECIPE = """\
recipe: finetune_image
data: {source: digits, image_size: 16, channels: 1, resize: stretch, validation_fraction: 0.3}
model: {backbone: resnet8, weights: random, dropout: 0.2}
head: {epochs: 10, learning_rate: 1.0e-3}
export: {formats: [tflite_float32, tflite_int8]}
acceptance: {max_accuracy_drop: 0.02, min_agreement: 0.95}
tune:
  space:
    head.learning_rate: {low: 1.0e-4, high: 1.0e-1, log: true}
    head.epochs: {low: 5, high: 25, step: 5}
    head.optimizer: [adam, adamw, sgd]
    head.batch_size: [16, 32, 64]
    model.pooling: [average, max]
    model.dropout: {low: 0.0, high: 0.5}
"""


def table(folder: Path) -> list[dict[str, str]]:
    """The trials without their times; none where none is over."""
    path = folder / "runs/recipe-tune/trials.csv"
    if not path.is_file():
        return []
    with path.open(newline="") as rows:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(rows)]


def judged(folder: Path, recipe: str, name: str) -> str:
    """What a run of a recipe says of the test split."""
    ended = tfkit_command(folder, "run", recipe, f"run.name={name}")
    assert ended.status in (0, 3), ended.out  # 3: a file was refused, which the row tells
    report = json.loads((folder / "runs" / name / "report.json").read_text())
    files = ", ".join(f"{file['file']} {file['accuracy']:.3f}" for file in report["artifacts"])
    return f"{report['evaluation']['keras']:.3f} in Keras; {files}; all accepted: {report['accepted']}"


def main() -> None:
    """Run both sweeps and the best recipe, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
    options = parser.parse_args()
    asked, chosen = ("tune", "recipe.yaml", f"tune.trials={options.trials}"), random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="tuning-") as temporary:
        whole, killed = Path(temporary) / "whole", Path(temporary) / "killed"
        for folder in (whole, killed):
            folder.mkdir()
            (folder / "recipe.yaml").write_text(RECIPE)
        undisturbed = tfkit_command(whole, *asked)
        assert undisturbed.status == 0, undisturbed.out
        print(f"Undisturbed: {options.trials} trials in {undisturbed.seconds:.0f} s.\n", flush=True)
        for number in range(options.kills):
            moment = chosen.uniform(2.0, undisturbed.seconds / options.kills)
            ended = tfkit_command(killed, *asked, kill_after=moment)
            told = f"killed after {ended.seconds:.0f} s" if ended.status == -signal.SIGKILL else "had ended before"
            print(f"- kill {number + 1}: {told}, with {len(table(killed))} trials over in all", flush=True)
        last = tfkit_command(killed, *asked)
        assert last.status == 0, last.out
        rows = table(whole)
        best = [(folder / "runs/recipe-tune/best.yaml").read_text() for folder in (whole, killed)]
        states = {state: sum(row["state"] == state for row in rows) for state in ("finished", "stopped", "failed")}
        print(f"- then {last.seconds:.0f} s to the end: {len(table(killed))} trials are over\n")
        print(f"Tables of trials equal, to the last digit: {table(killed) == rows}.")
        print(f"Best recipes equal: {best[0] == best[1]}.")
        print(f"Of the {len(rows)} trials: {', '.join(f'{count} {state}' for state, count in states.items())}.\n")
        report = json.loads((killed / "runs/recipe-tune/report.json").read_text())
        print("| | validation accuracy | test split, judged once by `tfkit run` |\n| --- | --- | --- |")
        of_recipe, of_best = report["recipe_figure"], report["best_figure"]
        print(f"| the recipe as it is | {of_recipe:.3f} | {judged(killed, 'recipe.yaml', 'as_it_is')} |", flush=True)
        print(f"| best.yaml, trial {report['best_trial']} | {of_best:.3f} |", end=" ")
        print(f"{judged(killed, 'runs/recipe-tune/best.yaml', 'best')} |\n")
        print(f"Best values: {report['best_values']}. Importance: {report['importance']}.")
    print(f"\n{measured_on()}")


if __name__ == "__main__":
    main()
