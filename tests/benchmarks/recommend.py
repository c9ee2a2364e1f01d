"""Films recommended by the shipped recipe, beside `implicit` and popularity on the same users, as Markdown.

    python tests/benchmarks/recommend.py DATA --implicit PYTHON [--seeds 0 1 2 3 4]

DATA holds ml-100k/. PYTHON is an interpreter of an environment with implicit, numpy and scipy, which this one lacks.
Ratings of 4 and 5 count. Users are shared out by the recipe; of each validation and test user the latest fifth is to be
found from what came before. Of implicit, alternating least squares (Hu, Koren and Volinsky 2008) and item-item cosine
take what each user took, as the recipe's model does, and their settings are the best of a grid on the validation users.
"""

import argparse
import csv
import json
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from measured import measured_on

import tfkit
from tfkit.config import find_recipe, load_recipe
from tfkit.data.histories import UserExamples, load_history_splits
from tfkit.running.recipe import as_overrides
from tfkit.tasks.ranking import list_figures

FIGURES = ("recall", "precision", "f1", "ndcg")
THEIRS = Path(__file__).parent / "recommend_implicit.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--implicit", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    options = parser.parse_args()
    rows: dict[str, list[dict[str, Any]]] = {}
    told = []
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            as_tables(options.data / "ml-100k", folder)
            changes: dict[str, Any] = {
                "run": {"directory": folder, "name": "run", "seed": seed},
                "data": {"directory": folder},
            }
            tfkit.run("recommend_table", **changes)
            report = json.loads((folder / "run" / "report.json").read_text())
            ours = [("tfkit, Keras model", report["evaluation"]["figures"], None)]
            for file in report["artifacts"]:
                ours.append((f"tfkit, {file['file'].removeprefix('artifacts/')}", file["figures"], file["agreement"]))
            for name, figures, same in ours:
                plain = {figure: figures[f"{figure}_at_10"] for figure in FIGURES}
                rows.setdefault(name, []).append({**plain, "same": same})
            told += [f"- seed {seed}: {note}" for note in fit_notes(report)]
            for name, figures in others(options.implicit, seed, changes, folder).items():
                rows.setdefault(name, []).append({**figures, "same": None})
    print("| lists of ten | recall | precision | F1 | NDCG | same items as Keras |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, found in rows.items():
        cells = [f"{100 * statistics.mean(one[figure] for one in found):.2f}" for figure in FIGURES]
        recalls = [100 * one["recall"] for one in found]
        cells[0] += f" ({min(recalls):.2f} to {max(recalls):.2f})"
        same = "" if found[0]["same"] is None else f"{100 * statistics.mean(one['same'] for one in found):.2f}"
        print(f"| {name} | {' | '.join(cells)} | {same} |")
    print("\nIn %, means of the seeds, lowest to highest in brackets. What was chosen, and items that nobody took:\n")
    print("\n".join(told))
    print(f"\nMovieLens 100k, ratings of 4 and 5, seeds {options.seeds}. {measured_on()}")


def as_tables(source: Path, folder: Path) -> None:
    """The data set as the recipe's two tables; an item's text is its title and its genres."""
    genres = [line.split("|")[0] for line in (source / "u.genre").read_text(encoding="latin-1").splitlines() if line]
    with (folder / "ratings.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user", "item", "rating", "time"])
        writer.writerows(line.split("\t") for line in (source / "u.data").read_text().splitlines())
    with (folder / "items.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["item", "name", "text"])
        for line in (source / "u.item").read_text(encoding="latin-1").splitlines():
            cells = line.split("|")
            kinds = [genre.replace("'", "") for genre, flag in zip(genres, cells[5:], strict=True) if flag == "1"]
            writer.writerow([cells[0], cells[1], " ".join([cells[1], *kinds, f"{cells[2][-4:-1]}0s"])])


def fit_notes(report: dict[str, Any]) -> list[str]:
    return list(next(stage["notes"] for stage in report["stages"] if stage["name"] == "fit"))


def others(python: Path, seed: int, changes: dict[str, Any], folder: Path) -> dict[str, dict[str, float]]:
    """What implicit and popularity reach on the recipe's own users."""
    config = load_recipe(find_recipe("recommend_table"), as_overrides(changes))
    splits = load_history_splits(**config.data.loading_options(), seed=seed)
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    arrays = {f"{name}_taken": part.taken().toarray().astype(np.float32) for name, part in parts.items()}
    arrays |= {f"{name}_wanted": part.labels[:, 1:] for name, part in parts.items()}
    np.savez(folder / "users.npz", **arrays)
    done = subprocess.run([python, THEIRS, folder / "users.npz", str(seed)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    told = {"popularity": figures_of(arrays["train_taken"].sum(axis=0)[None], splits.test)}
    for name, scores in np.load(folder / "scores.npz").items():
        told[name] = figures_of(scores, splits.test)
    return told


def figures_of(scores: np.ndarray, users: UserExamples) -> dict[str, float]:
    """Figures of scores of all items, those that a user has already left out."""
    return list_figures(users.labels[:, 1:], np.where(users.taken().toarray() > 0, -np.inf, scores))


if __name__ == "__main__":
    main()
