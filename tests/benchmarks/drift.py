"""Drift that was made, and clean resamples: which of them `tfkit.drift` finds.

    python tests/benchmarks/drift.py DATA --minilm FOLDER [--sets fashion_mnist cifar10 banking77] [--resamples 20]
        [--seed 0] [--size 500]

DATA holds the sets; FOLDER is all-MiniLM-L6-v2 as Hugging Face saved it. A model is trained without two of the image
classes, or ten of the intents, and asked about held-out examples: half of the test split is the reference, the other
half is what comes in. Nothing in tfkit.drift was chosen on these figures.
"""

import argparse
import csv
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from measured import measured_on
from PIL import Image, ImageFilter

import tfkit
from tfkit.operations import TextTable, save_profile

_UNKNOWN_IMAGES, _UNKNOWN_INTENTS = 2, 10
# Ordinary words for the same things: who asks now talks differently.
_OTHER_WORDS = {"card": "plastic", "money": "cash", "account": "wallet", "transfer": "wire", "payment": "purchase"}
Case = tuple[str, int, list[Path]]


def main() -> None:
    """Print a row for each set and each drift."""
    options = _options()
    print("| set | drift | examples | found in | named | p, median |\n| --- | --- | --- | --- | --- | --- |")
    for name in options.sets:
        with tempfile.TemporaryDirectory() as folder:
            of_texts = name == "banking77"
            run, cases = (_texts if of_texts else _images)(name, Path(folder), options)
            _judge(name, run, cases, TextTable(text_column="text") if of_texts else TextTable())
    print(f"\nSeed {options.seed}. {measured_on()}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--minilm", type=Path)
    parser.add_argument("--sets", nargs="+", default=["fashion_mnist", "cifar10", "banking77"])
    parser.add_argument("--resamples", type=int, default=20)
    parser.add_argument("--size", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _judge(name: str, run: Path, cases: Iterator[Case], table: TextTable) -> None:
    found: dict[tuple[str, int], list[tuple[bool, str, float]]] = {}
    for kind, size, paths in cases:
        told = tfkit.drift(run, paths, reference=run / "reference.npz", table=table)
        first = told.comparison.shifts[0]
        named = ", ".join(shift.name for shift in told.comparison.shifts if shift.alarm)
        found.setdefault((kind, size), []).append((told.alarm, named, first.p_value))
        print(name, kind, told.alarm, named, first.p_value, file=sys.stderr, flush=True)
    for (kind, size), rows in found.items():
        alarms = sum(alarm for alarm, _, _ in rows)
        named = max((named for _, named, _ in rows), key=[named for _, named, _ in rows].count) or "-"
        p_value = float(np.median([p for _, _, p in rows]))
        print(f"| {name} | {kind} | {size} | {alarms} of {len(rows)} | {named} | {p_value:.2g} |", flush=True)


def _images(name: str, folder: Path, options: argparse.Namespace) -> tuple[Path, Iterator[Case]]:
    parts = {}
    for part, size in (("train", "10k"), ("test", "2k")):
        held = np.load(options.data / name / f"{part}{size}.npz")
        parts[part] = held["x"], held["y"]
    known = np.unique(parts["train"][1])[:-_UNKNOWN_IMAGES]
    pixels, labels = parts["train"]
    chosen = np.flatnonzero(np.isin(labels, known))[:4000]
    np.savez(folder / "train.npz", x=pixels[chosen], y=labels[chosen])
    pixels, labels = parts["test"]
    order = np.random.default_rng(options.seed).permutation(len(labels))
    seen, unseen = order[np.isin(labels[order], known)], order[~np.isin(labels[order], known)]
    reference, incoming = np.array_split(seen, 2)
    np.savez(folder / "test.npz", x=pixels[reference], y=labels[reference])
    channels = 1 if pixels.ndim == 3 else 3
    run = _run(
        "cifar10_resnet8_int8",
        folder,
        data={
            "train": str(folder / "train.npz"),
            "test": str(folder / "test.npz"),
            "image_size": pixels.shape[1],
            "channels": channels,
        },
        fine_tune={"epochs": 6},
        quantization={"epochs": 1},
    )

    def cases() -> Iterator[Case]:
        random = np.random.default_rng(options.seed + 1)
        ways: dict[str, Callable[[Image.Image], Image.Image]] = {
            "none: resampled": lambda picture: picture,
            "brightness + 10 %": lambda picture: picture.point(lambda level: min(255, level + 26)),
            "blur, radius 0.7": lambda picture: picture.filter(ImageFilter.GaussianBlur(0.7)),
            "unknown classes, 20 %": lambda picture: picture,
        }
        for kind, way in ways.items():
            for number in range(options.resamples if kind.startswith("none") else 5):
                some = random.choice(incoming, options.size, replace=False)
                if kind.startswith("unknown"):
                    fifth = options.size // 5
                    some = np.concatenate([some[fifth:], random.choice(unseen, fifth, replace=False)])
                target = folder / f"{kind[:5]}{number}"
                target.mkdir()
                for place in some:
                    way(Image.fromarray(pixels[place])).save(target / f"{place}.png")
                yield kind, options.size, [target]

    return run, cases()


def _texts(name: str, folder: Path, options: argparse.Namespace) -> tuple[Path, Iterator[Case]]:
    rows = {}
    for part in ("train", "test"):
        with (options.data / name / f"{part}.csv").open(newline="", encoding="utf-8") as file:
            rows[part] = [(row["text"], row["category"]) for row in csv.DictReader(file)]
    unknown = set(sorted({label for _, label in rows["train"]})[-_UNKNOWN_INTENTS:])
    random = np.random.default_rng(options.seed)
    known = [row for row in rows["test"] if row[1] not in unknown]
    others = [row for row in rows["test"] if row[1] in unknown]
    order = random.permutation(len(known))
    reference = [known[place] for place in order[: len(known) // 2]]
    incoming = [known[place] for place in order[len(known) // 2 :]]
    _write(folder / "train.csv", [row for row in rows["train"] if row[1] not in unknown])
    _write(folder / "test.csv", reference)
    run = _run(
        "intents",
        folder,
        data={"directory": str(folder)},
        model={"backbone": str(options.minilm)},
        fine_tune={"method": "head", "adversarial": None},
        quantization=None,
        distillation=None,
        export={"formats": ["tflite_dynamic_int8"]},
    )

    def cases() -> Iterator[Case]:
        for kind in ("none: resampled", "other words for five things", "unknown intents, 20 %"):
            for number in range(options.resamples if kind.startswith("none") else 5):
                some = [incoming[place] for place in random.choice(len(incoming), options.size, replace=False)]
                if kind.startswith("unknown"):
                    fifth = options.size // 5
                    new = [others[place] for place in random.choice(len(others), fifth, replace=False)]
                    some = [*some[fifth:], *new]
                if kind.startswith("other"):
                    some = [(" ".join(_OTHER_WORDS.get(w, w) for w in text.split()), label) for text, label in some]
                target = folder / f"{kind[:5]}{number}.csv"
                _write(target, some)
                yield kind, options.size, [target]

    return run, cases()


def _write(path: Path, rows: list[tuple[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "category"))
        writer.writerows(rows)


def _run(recipe: str, folder: Path, **changes: object) -> Path:
    loose = {"min_agreement": 0.5, "max_accuracy_drop": 0.5}
    tfkit.run(recipe, run={"name": "run", "directory": str(folder)}, acceptance=loose, **changes)
    save_profile(folder / "run", folder / "run" / "reference.npz")
    return folder / "run"


if __name__ == "__main__":
    main()
